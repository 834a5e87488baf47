/*
 * forkserver_pool: the fork servers in use, one for each environment.
 *
 * The first item that needs a server starts it. A server is replaced after server_items items or server_age, or when
 * its environment was built again; items in progress are finished first. It is ended after server_idle without work.
 * The pool keeps at most workers + 4 idle servers, and ends the least recently used ones above that.
 */
#ifndef ITEMGEND_FORKSERVER_POOL_H
#define ITEMGEND_FORKSERVER_POOL_H

#include "itemgend/forkserver/forkserver.h"
#include "itemgend/options.h"
#include "itemgend/venv/venv_cache.h"

struct forkserver_pool; /* one per run; thread-safe */

/* The arguments outlive it. Starts a thread. NEVER: "helper_missing". */
int forkserver_pool_open(const struct itemgend_options *options, const struct sandbox *sandbox,
                         struct venv_cache *venvs, struct forkserver_pool **ret, struct err *err) must_check;

/*
 * Makes an item, and starts a server first if the environment has none. The caller has `venv` in use; `place` is a
 * directory for items of this environment alone (workdir_place). 0: it ran; see the result. NEVER, LATER: those of
 * forkserver_wait_ready and forkserver_run; LATER, an outage: "cannot_run".
 */
int forkserver_pool_run(struct forkserver_pool *pool, const struct venv *venv, const char *place,
                        const struct forkserver_job *job, struct command_result *ret, struct err *err) must_check;

/* Ends all servers. Call it when no forkserver_pool_run is running. NULL is allowed. */
void forkserver_pool_close(struct forkserver_pool *pool);

#endif
