/*
 * command: runs a command within limits and leaves nothing of it behind.
 *
 * The command gets a session of its own, no descriptors but the standard three (stdin is empty), the given environment
 * and directory, no new privileges, and dies with the thread that started it. Its limits are RLIMIT_DATA for one
 * process and, sampled, the resident memory of all its processes together. When it ends, or is ended, its whole process
 * group is killed.
 */
#ifndef ITEMGEND_COMMAND_H
#define ITEMGEND_COMMAND_H

#include "base/buf.h"
#include "base/err.h"

struct command {
    const char *const
        *argv; /* argv[0]: the program, a path or a name that is looked for in the caller's PATH; ends with NULL */
    const char *const *environment; /* "NAME=value", ends with NULL */
    const char *directory;          /* working directory */
    int64_t memory_limit;           /* bytes */
    int64_t time_limit_ms;
    int64_t file_limit; /* bytes that one file may grow to */
    int stop_fd;        /* readable: end it now */
};

enum command_end {
    COMMAND_EXITED, /* by itself: exit_code */
    COMMAND_KILLED, /* by a signal that was not ours: signal_number */
    COMMAND_TIMED_OUT,
    COMMAND_OUT_OF_MEMORY,
    COMMAND_INTERRUPTED, /* stop_fd */
};

struct command_result {
    enum command_end end;
    int exit_code, signal_number;
    int64_t peak_memory; /* bytes resident, all processes together, as sampled */
    struct buf output;   /* the last 8 KiB of stdout and stderr */
};
#define COMMAND_RESULT_INIT \
    {                       \
        .output = BUF_INIT  \
    }
void command_result_clear(struct command_result *result);
#define auto_command_result cleanup(command_result_clear)

/* 0: it ran, see the result. LATER, an outage: "cannot_run": no such program, not executable. < 0: no processes or
 * descriptors to be had. */
int command_run(const struct command *command, struct command_result *ret, struct err *err) must_check;

#endif
