/*
 * command: runs a command within limits, and leaves none of its processes behind.
 *
 * It starts the command as spawn.h describes, and enforces the limits as supervise.h describes.
 */
#ifndef ITEMGEND_COMMAND_H
#define ITEMGEND_COMMAND_H

#include "itemgend/sandbox/cgroup.h"
#include "itemgend/sandbox/command_result.h"

struct command {
    const char *const *argv;        /* argv[0]: a path, or a name to look up in the caller's PATH; ends with NULL */
    const char *const *environment; /* "NAME=value", ends with NULL */
    const char *directory;          /* working directory, and the directory of the disk limit */
    const struct limits *limits;
    struct cgroups *cgroups; /* limit its memory too; NULL: none */
    int stop_fd;             /* readable: end the command now; -1: none */
};

/* 0: it ran; see the result. LATER, an outage: "cannot_run": program not found, or not executable. NEVER:
 * "bad_command": the command line is too long. < 0: no processes or file descriptors are left. */
int command_run(const struct command *command, struct command_result *ret, struct err *err) must_check;

#endif
