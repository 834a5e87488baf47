/*
 * command: runs a command within limits and leaves nothing of it behind.
 *
 * It runs as spawn.h says, in the given environment and directory, with no more than the limits (supervise.h), and what
 * it started ends with it.
 */
#ifndef ITEMGEND_COMMAND_H
#define ITEMGEND_COMMAND_H

#include "itemgend/sandbox/cgroup.h"
#include "itemgend/sandbox/command_result.h"

struct command {
    const char *const *argv; /* argv[0]: a path or a name that is looked for in the caller's PATH; ends with NULL */
    const char *const *environment; /* "NAME=value", ends with NULL */
    const char *directory;          /* working directory, and what the disk limit is for */
    const struct limits *limits;
    struct cgroups *cgroups; /* that hold its memory too; NULL: none */
    int stop_fd;             /* readable: end it now; -1: none */
};

/* 0: it ran, see the result. LATER, an outage: "cannot_run": no such program, not executable. NEVER: "bad_command" (too
 * long). < 0: no processes or descriptors to be had. */
int command_run(const struct command *command, struct command_result *ret, struct err *err) must_check;

#endif
