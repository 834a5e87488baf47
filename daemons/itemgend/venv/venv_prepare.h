/* venv_prepare: builds environments before the service runs, for example for a container image. */
#ifndef ITEMGEND_VENV_PREPARE_H
#define ITEMGEND_VENV_PREPARE_H

#include "base/buf.h"
#include "base/err.h"

/*
 * Builds and compiles the environments of `packages` in prepared_dir, except those already there, and appends a line
 * for each. `config` is a struct itemgend_options; it needs only the keys that decide what is installed. A service
 * with the same values finds the environments (venv_store_folder). Results: those of venv_cache_use, and NEVER
 * "bad_value": prepared_dir is not set.
 */
int venv_prepare(const void *config, struct buf *ret, struct err *err) must_check;

#endif
