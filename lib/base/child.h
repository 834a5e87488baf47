/*
 * child: runs a program and reads its output, bounded in bytes and time.
 *
 * - No shell. The program inherits only the environment: its stdin is empty and none of our descriptors are open.
 *   Its signals have their defaults.
 * - It leads its own process group. When it ends, or its time is up, the whole group is killed.
 */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include "base/buf.h"
#include "base/err.h"

enum { CHILD_MESSAGE_MAX = 4096 };

struct child {
    char *const *argv; /* argv[0] is searched in PATH if it has no '/' */
    int timeout_ms;
    int stop_fd; /* -1: none */
    size_t max_output;
    /* Results. */
    int status;         /* as of wait(2) */
    struct buf output;  /* its stdout; may be a secret */
    struct buf message; /* the first CHILD_MESSAGE_MAX bytes of its stderr */
};

/*
 * Thread-safe.
 * - 0: the program has ended; see `status`.
 * - NEVER: "not_found" (no such program, or not executable), "output_too_large".
 * - LATER: "timeout"; "interrupted"; "cannot_run" (the system lacks memory or processes).
 */
int child_run(struct child *child, struct err *err) must_check;
void child_clear(struct child *child);
#define auto_child cleanup(child_clear)

#endif
