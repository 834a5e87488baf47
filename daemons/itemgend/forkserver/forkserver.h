/*
 * server: one fork server (libexec/forkserver.py) and the items that it makes. Internal to servers.
 *
 * Package code runs in it, from its import on: it is not trusted. What it sends is short and checked, and what it does
 * not send is waited for no longer than a deadline. It and all it started end with the thread that started it.
 */
#ifndef ITEMGEND_SERVER_H
#define ITEMGEND_SERVER_H

#include "itemgend/venv/venv_cache.h"
#include "itemgend/sandbox/sandbox.h"
#include "itemgend/forkserver/forkserver_pool.h"

struct server {
    pid_t keeper;            /* of the server (spawn.h) and the root of its tree; 0: it was never started */
    int ended_fd;            /* of the keeper, as process_fd gives it */
    int control_fd;          /* our end */
    int output_fd;           /* what it prints until it is ready; -1 from then on */
    pid_t pid;               /* the server's own, once it is ready */
    struct cgroups *cgroups; /* that hold the memory of its items too; NULL: none */
    bool apart;              /* each item has namespaces of its own */
    int64_t import_ms;
};
#define SERVER_INIT                                       \
    {                                                     \
        .ended_fd = -1, .control_fd = -1, .output_fd = -1 \
    }

struct server_start {
    const struct environment *environment;
    const struct sandbox *sandbox;
    const char *program; /* forkserver.py, absolute */
    const char *place;   /* the directory that items have theirs in, the only one that it can write to */
    const struct limits *limits;
};

/* Starts it, without waiting for the import. The calling thread has to last longer than it. LATER, an outage:
 * "cannot_run". */
int server_start(const struct server_start *start, struct server *ret, struct err *err) must_check;

/* Waits until everything is imported, within the limits of an item. NEVER: "import_failed", with the last of what it
 * printed, and those of command_result_check. LATER: "import_failed" (ended by a signal), "sandbox_failed" (bubblewrap
 * could not start it, or its network has ended), "interrupted". */
int server_wait_ready(struct server *server, const struct server_start *start, int stop_fd, struct err *err) must_check;

/*
 * Makes an item. 0: it ran, see the result. LATER "server_died": the server ended, or what it said made no sense; it
 * should then be ended by server_end. < 0: no descriptors to be had. After LATER nothing of the item is sure.
 */
int server_run(struct server *server, const struct server_job *job, struct command_result *ret, struct err *err)
    must_check;

/* Whether it has ended by itself. */
bool server_has_ended(const struct server *server);
/* Kills it with all it started; other threads' server_run then return. Thread-safe; server_clear is still due. */
void server_kill(const struct server *server);
/* Kills it, takes its exit status, and closes. */
void server_clear(struct server *server);

#endif
