/*
 * forkserver: one fork server (libexec/forkserver.py) and the items it makes.
 *
 * The server imports the package once and forks for each item. Package code runs in it from the import on, so it is
 * not trusted: its messages are short and checked, and each wait for one has a deadline. The server and all processes
 * that it started end together with the thread that started the server.
 */
#ifndef ITEMGEND_FORKSERVER_H
#define ITEMGEND_FORKSERVER_H

#include "itemgend/sandbox/command_result.h"
#include "itemgend/sandbox/sandbox.h"
#include "itemgend/venv/venv.h"

struct forkserver {
    pid_t keeper;            /* of the server (spawn.h), the root of its process tree; 0: it was never started */
    int ended_fd;            /* process_fd of the keeper */
    int control_fd;          /* our end of its socket */
    int output_fd;           /* its output until it is ready; -1 from then on */
    pid_t pid;               /* the server's own, once it is ready */
    struct cgroups *cgroups; /* limit the memory of its items; NULL: none */
    bool apart;              /* each item has namespaces of its own */
    int64_t import_ms;
};
#define FORKSERVER_INIT                                   \
    {                                                     \
        .ended_fd = -1, .control_fd = -1, .output_fd = -1 \
    }

struct forkserver_start {
    const struct venv *venv;
    const struct sandbox *sandbox;
    const char *program; /* forkserver.py, absolute */
    const char *place; /* the directory that holds the items' directories, the only one that the server can write to */
    const struct limits *limits;
};

struct forkserver_job {
    const char *const *arguments; /* of the command `stac`; ends with NULL */
    const char *directory;        /* the item's, in the server's place */
    const char *const *variables; /* "NAME=value", added to the item's environment; ends with NULL; NULL: none */
    const struct limits *limits;
    int stop_fd;
};

/* Starts the server and does not wait for the import. The calling thread must outlive the server. LATER, an outage:
 * "cannot_run". */
int forkserver_start(const struct forkserver_start *start, struct forkserver *ret, struct err *err) must_check;

/*
 * Waits until the package is imported, within the limits of an item.
 * NEVER: "import_failed", with the end of what the server printed; those of command_result_check.
 * LATER: "import_failed" (a signal ended it), "sandbox_failed" (bubblewrap or the network failed), "interrupted".
 */
int forkserver_wait_ready(struct forkserver *server, const struct forkserver_start *start, int stop_fd, struct err *err)
    must_check;

/*
 * Makes an item. 0: it ran; see the result. LATER "server_died": the server ended, or sent nonsense; the caller then
 * ends it with forkserver_kill, and knows nothing about the item. < 0: no file descriptors are left.
 */
int forkserver_run(struct forkserver *server, const struct forkserver_job *job, struct command_result *ret,
                   struct err *err) must_check;

/* True: it ended by itself. */
bool forkserver_has_ended(const struct forkserver *server);
/* Kills the server with all its processes, so that forkserver_run returns in other threads. Thread-safe.
 * forkserver_clear must follow. */
void forkserver_kill(const struct forkserver *server);
/* Kills it, takes its exit status, and closes its descriptors. */
void forkserver_clear(struct forkserver *server);

#endif
