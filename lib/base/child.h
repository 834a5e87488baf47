/*
 * child: runs a program and takes what it prints, bounded in bytes and time.
 *
 * No shell. The program inherits the environment and nothing else: its input is empty, no descriptor of ours is
 * open in it, signals are as at login. It leads a process group of its own, and when it
 * has ended, or its time is up, everything in that group is killed.
 */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include "base/buf.h"
#include "base/err.h"

enum { CHILD_MESSAGE_MAX = 4096 };

struct child {
    char *const *argv; /* argv[0] is looked for on PATH where it has no '/' */
    int timeout_ms;
    int stop_fd; /* -1: none */
    size_t max_output;
    /* Results. */
    int status;         /* as wait(2) gives it */
    struct buf output;  /* its stdout; a secret, wiped by child_clear */
    struct buf message; /* the first CHILD_MESSAGE_MAX bytes of its stderr, the rest is dropped */
};

/*
 * 0: it has ended by itself, see status. NEVER: "not_found" (no such program, or not executable), "output_too_large".
 * LATER: "timeout"; "interrupted"; "cannot_run", the system has no room for it. Thread-safe.
 */
int child_run(struct child *child, struct err *err) must_check;
void child_clear(struct child *child);
#define auto_child cleanup(child_clear)

#endif
