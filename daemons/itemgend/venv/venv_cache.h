/*
 * venv_cache: the Python virtual environments that packages run in: built by uv, shared, and kept on disk.
 *
 * There is one environment for each requirement together with everything that decides what is installed for it: `with`,
 * constraints, Python, indexes, source_builds.
 *
 * - It is built once, however many threads and processes ask for it, and kept across restarts.
 * - When it is older than environment_ttl it is built again, in the background.
 * - When all of them exceed cache_limit, the least recently used ones are removed, but none that is in use.
 * - An environment in prepared_dir is used as it is.
 * - Its files are hard links into the cache of uv: nobody may write to them.
 * - No package code runs during a build, unless source_builds allows it; then it runs in the sandbox.
 */
#ifndef ITEMGEND_VENV_CACHE_H
#define ITEMGEND_VENV_CACHE_H

#include "itemgend/options.h"
#include "itemgend/venv/venv.h"

struct sandbox;
struct venv_cache; /* one per run of the service; thread-safe */

enum {
    VENV_CACHE_WAIT_MS = 22 * 60 * 1000, /* venv_cache_use takes no longer: LATER "environment_slow" */
};

/*
 * `options` and `sandbox` (NULL: builds run without one) outlive the cache. Starts a thread that builds the
 * environments of `packages`, refreshes old ones and removes unused ones. Its failures are warnings in the log. < 0
 * only.
 */
int venv_cache_open(const struct itemgend_options *options, const struct sandbox *sandbox, struct venv_cache **ret,
                    struct err *err) must_check;
/* Ends the thread and its build. Call it after all environments were released. NULL is allowed. */
void venv_cache_close(struct venv_cache *cache);

/*
 * Takes the environment of a requirement (one that requirement_check accepts) into use. All spellings of a name share
 * one environment. If there is none, builds it; if another thread or process is building it, waits and shares its
 * result, good or bad. Ends when `stop_fd` becomes readable: LATER "interrupted".
 *
 * - NEVER: "unresolvable" (with the end of uv's output), "needs_source_build", "environment_failed".
 * - LATER: "environment_slow".
 * - LATER, an outage: "registry_unavailable", "cannot_run" (no uv), "no_environment" (it fails without the package too:
 *   no Python, no space).
 */
int venv_cache_use(struct venv_cache *cache, const char *requirement, int stop_fd, const struct venv **ret,
                   struct err *err) must_check;
/* Takes an environment that is in use into use once more. */
void venv_cache_hold(struct venv_cache *cache, const struct venv *venv);
/* Ends one use or hold. `venv` NULL is allowed. */
void venv_cache_release(struct venv_cache *cache, const struct venv *venv);

#endif
