/* libexec: the helpers that itemgend starts and nobody else. */
#ifndef ITEMGEND_LIBEXEC_H
#define ITEMGEND_LIBEXEC_H

#include "base/err.h"

/* The path of a helper: ../libexec/stactools-ingest/NAME from the directory of this program, wherever that was
 * installed or built. NEVER "helper_missing". The caller frees. */
int libexec_find(const char *name, char **ret_path, struct err *err) must_check;

#endif
