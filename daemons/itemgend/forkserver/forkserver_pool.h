/*
 * servers: makes items in fork servers, of which there is one for each environment in use.
 *
 * A server is started when the first item needs it, replaced after server_items or server_age (its running items
 * finish) or when its environment was made anew, and ended when it was idle for server_idle, or longest of more idle
 * ones than four and one for each worker.
 */
#ifndef ITEMGEND_SERVERS_H
#define ITEMGEND_SERVERS_H

#include "daemon/service.h"
#include "itemgend/sandbox/command_result.h"
#include "itemgend/venv/venv_cache.h"
#include "itemgend/options.h"
#include "itemgend/sandbox/sandbox.h"

struct servers; /* those of one run of the service; thread-safe */

struct server_job {
    struct environment *environment; /* in use by the caller */
    const char *place;               /* a directory for this environment alone (workdir_place) */
    const char *directory;           /* the item's, in it */
    const char *const *arguments;    /* of the command `stac`; ends with NULL */
    const char *const *variables;    /* "NAME=value", more for the item's environment; ends with NULL; NULL: none */
    const struct limits *limits;
    int stop_fd;
};

/* All that is given outlives it. Starts a thread. */
int servers_open(const struct itemgend_options *options, const struct sandbox *sandbox,
                 struct environments *environments, struct servers **ret, struct err *err) must_check;

/*
 * Makes an item, and starts a server where none is there. 0: it ran, see the result. NEVER, LATER: what server.h has
 * for the start and the run: "import_failed", "server_died", "sandbox_failed", "interrupted", limits; LATER, an outage:
 * "cannot_run".
 */
int servers_run(struct servers *servers, const struct server_job *job, struct command_result *ret, struct err *err)
    must_check;

/* Ends all servers. No servers_run is under way. NULL is allowed. */
void servers_close(struct servers *servers);

#endif
