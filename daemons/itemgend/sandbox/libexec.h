/* libexec: finds the helper programs that only itemgend starts. */
#ifndef ITEMGEND_LIBEXEC_H
#define ITEMGEND_LIBEXEC_H

#include "base/err.h"

/* The path of a helper: ../libexec/stactools-ingest/NAME, relative to the directory of this program. The caller frees
 * it. NEVER "helper_missing". */
int libexec_find(const char *name, char **ret_path, struct err *err) must_check;

#endif
