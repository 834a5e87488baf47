/*
 * spawn: starts a program and makes sure that none of its processes outlives it.
 *
 * A keeper process stands between the caller and the program. It is a child subreaper: it waits for the program, kills
 * all processes that are left below it, and then exits with the program's status. Killing all processes below the
 * keeper (process_tree_kill) therefore ends the keeper too. The keeper dies with the thread that started it, and the
 * program dies with the keeper.
 *
 * The program gets its own session, an empty stdin, `output_fd` as stdout and stderr, and no other descriptor except
 * `control_fd`. No signal is blocked or ignored; it writes no core files and gets no new privileges. Its limits are
 * soft limits: a program that needs hard limits lowers them itself.
 */
#ifndef ITEMGEND_SPAWN_H
#define ITEMGEND_SPAWN_H

#include <signal.h>
#include <sys/types.h>

#include "itemgend/sandbox/cgroup.h"

enum { SPAWN_CONTROL_FD = 3 };

/* The path of the program that execvp would run with the caller's PATH; NULL: not found. The caller frees it. */
char *spawn_find(const char *name) must_check;

struct spawn {
    const char *const *argv;        /* argv[0]: a path, or a name to look up in the caller's PATH; ends with NULL */
    const char *const *environment; /* "NAME=value", ends with NULL */
    const char *directory;          /* working directory */
    int output_fd;
    int control_fd;              /* becomes SPAWN_CONTROL_FD; -1: none */
    const struct cgroup *cgroup; /* for the program; NULL: the caller's */
    int64_t memory_limit;        /* RLIMIT_DATA of each process, bytes */
    int64_t file_limit;          /* RLIMIT_FSIZE: maximum size of a file, bytes */
    int64_t files;               /* RLIMIT_NOFILE: open files of each process */
};

/*
 * 0: the program runs; *ret is the keeper, and the caller must wait for it. LATER, an outage: "cannot_run": program or
 * directory not found, or not executable. NEVER: "bad_command": the command line is too long. < 0: no processes or
 * file descriptors are left.
 */
int spawn_start(const struct spawn *spawn, pid_t *ret, struct err *err) must_check;

/* Kills all processes below the keeper and waits until the keeper has ended; kills the keeper if it does not end.
 * `ended_fd` is its process_fd. spawn_wait must follow. */
void spawn_kill(pid_t keeper, int ended_fd);

/* Waits for the keeper and takes its exit status, which is the program's. `ret` may be NULL. */
void spawn_wait(pid_t keeper, siginfo_t *ret);

#endif
