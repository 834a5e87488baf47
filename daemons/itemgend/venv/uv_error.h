/* uv_error: finds out from uv's output why it failed. */
#ifndef ITEMGEND_UV_ERROR_H
#define ITEMGEND_UV_ERROR_H

#include "base/buf.h"
#include "base/err.h"

/*
 * 0: the output reports no failure of uv. NEVER: "unresolvable" (with its last lines), "needs_source_build",
 * "environment_failed". LATER, an outage: "registry_unavailable", "no_environment" (no space).
 */
int uv_error(const struct buf *output, struct err *err) must_check;

#endif
