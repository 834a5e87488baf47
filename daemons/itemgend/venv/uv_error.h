/* uv_error: what uv's words say of its failure. */
#ifndef ITEMGEND_UV_ERROR_H
#define ITEMGEND_UV_ERROR_H

#include "base/buf.h"
#include "base/err.h"

/*
 * 0: it says of no failure of its own. NEVER: "unresolvable" with its last lines, "needs_source_build",
 * "environment_failed". LATER, an outage: "registry_unavailable", "no_environment" (no space).
 */
int uv_error(const struct buf *output, struct err *err) must_check;

#endif
