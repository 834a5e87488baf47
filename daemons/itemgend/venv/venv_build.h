/* venv_build: has uv build one environment. Internal to venv/. */
#ifndef ITEMGEND_VENV_BUILD_H
#define ITEMGEND_VENV_BUILD_H

#include "itemgend/venv/venv_store.h"

struct sandbox;

/*
 * Builds an environment in the folder, which the caller has locked (venv_store.h). A failed build leaves nothing.
 * `sandbox` NULL: without one. Results: those of venv_cache_use.
 */
int venv_build(const struct itemgend_options *options, const struct sandbox *sandbox, const char *requirement,
               const char *folder, int stop_fd, struct err *err) must_check;

/*
 * Compiles the modules of an environment, which the caller holds, to bytecode, and notes that it is done. This takes
 * longer than the build, so it runs at the lowest priority while the first items are made.
 */
int venv_build_compile(const struct itemgend_options *options, const struct sandbox *sandbox,
                       const struct stored_venv *stored, int stop_fd, struct err *err) must_check;

/*
 * Empties the cache of uv if it exceeds cache_limit together with the environments (`venvs_size` bytes). Files that it
 * shares with an environment do not count. The cache only saves downloads, and it keeps the files of removed
 * environments. Waits for builds in progress.
 */
int venv_build_trim_cache(const struct itemgend_options *options, int64_t venvs_size, int stop_fd, struct err *err)
    must_check;

#endif
