/*
 * spawn: starts a program of which nothing outlives its keeper.
 *
 * The keeper is a process between the caller and the program: a child subreaper, that waits for the program, ends all
 * that is left below it, and then ends as the program did. Who ends the processes below it (tree_kill) so ends it too.
 * It dies with the thread that started it, and the program with it.
 *
 * The program gets a session of its own, an empty stdin, `output_fd` as stdout and stderr, no other descriptor but
 * `control_fd`, no signal blocked or ignored, no core file and no new privileges. Its limits are soft ones: it can
 * raise them, and has to lower the hard ones where they are to hold.
 */
#ifndef ITEMGEND_SPAWN_H
#define ITEMGEND_SPAWN_H

#include <signal.h>
#include <sys/types.h>

#include "itemgend/sandbox/cgroup.h"

enum { SPAWN_CONTROL_FD = 3 };

/* The program's path, as execvp would find it in the caller's PATH; NULL where there is none. The caller frees. */
char *spawn_find(const char *name) must_check;

struct spawn {
    const char *const *argv; /* argv[0]: a path or a name that is looked for in the caller's PATH; ends with NULL */
    const char *const *environment; /* "NAME=value", ends with NULL */
    const char *directory;          /* working directory */
    int output_fd;
    int control_fd;              /* becomes SPAWN_CONTROL_FD; -1: none */
    const struct cgroup *cgroup; /* the program is in it; NULL: in the caller's */
    int64_t memory_limit;        /* RLIMIT_DATA of each process, bytes */
    int64_t file_limit;          /* bytes that one file may grow to */
    int64_t files;               /* that one process may have open */
};

/*
 * 0: it runs; `ret` is the keeper's, the caller waits for it. LATER, an outage: "cannot_run": no such program, not
 * executable, no such directory. NEVER: "bad_command": its words are too long. < 0: no processes or descriptors to be
 * had.
 */
int spawn_start(const struct spawn *spawn, pid_t *ret, struct err *err) must_check;

/* Kills all below the keeper and waits until it has ended itself; one that cannot end what it keeps is killed, too.
 * `ended_fd`: as process_fd gave it. spawn_wait is still due. */
void spawn_kill(pid_t keeper, int ended_fd);

/* Takes the keeper's exit status, which is the program's; `ret` may be NULL. */
void spawn_wait(pid_t keeper, siginfo_t *ret);

#endif
