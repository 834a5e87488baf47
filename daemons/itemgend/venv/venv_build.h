/* environment_build: has uv make one environment. Internal to environment. */
#ifndef ITEMGEND_ENVIRONMENT_BUILD_H
#define ITEMGEND_ENVIRONMENT_BUILD_H

#include "itemgend/venv/venv_cache.h"

/*
 * Makes a whole build in the folder, which the caller has locked (environment_store.h); what fails leaves nothing.
 * `sandbox` NULL: without one. Results as environments_use has them.
 */
int environment_build(const struct itemgend_options *options, const struct sandbox *sandbox, const char *requirement,
                      const char *folder, int stop_fd, struct err *err) must_check;

/*
 * Compiles the packages' modules to bytecode and notes that it is done. That takes longer than to make all else, so it
 * is done while the first items are made already, and at the lowest priority. The environment is held.
 */
int environment_build_compile(const struct itemgend_options *options, const struct sandbox *sandbox,
                              const struct environment *environment, int stop_fd, struct err *err) must_check;

/*
 * Empties uv's cache if it, as far as no environment shares its files, and `environments` bytes take more than
 * cache_limit: it only spares downloads, and what was evicted or replaced takes its space there until then. Waits for
 * builds under way.
 */
int environment_build_trim_cache(const struct itemgend_options *options, int64_t environments, int stop_fd,
                                 struct err *err) must_check;

#endif
