/* environment_prepare: environments that are made before the service runs, as for a container's image. */
#ifndef ITEMGEND_ENVIRONMENT_PREPARE_H
#define ITEMGEND_ENVIRONMENT_PREPARE_H

#include "base/buf.h"
#include "base/err.h"

/*
 * Makes the environments of `packages` in prepared_dir, compiled, where they are not there yet, and adds a line for
 * each. `config` is a struct itemgend_options of which only what decides on environments has to be set. Where the same
 * decides later (environment_store_folder), they are found there. Results as environments_use has them; NEVER,
 * "bad_value": no prepared_dir.
 */
int environment_prepare(const void *config, struct buf *ret, struct err *err) must_check;

#endif
