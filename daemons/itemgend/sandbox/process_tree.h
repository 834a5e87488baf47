/*
 * tree: all processes below one, as /proc shows them, what they take, and their end.
 *
 * The one at the root is not itself part of it. It should be a child subreaper, or have a PID namespace below it: then
 * whoever loses its parent stays in the tree.
 */
#ifndef ITEMGEND_TREE_H
#define ITEMGEND_TREE_H

#include <sys/types.h>

#include "base/base.h"

struct tree_usage {
    int64_t processes;
    int64_t memory; /* bytes: resident, and in files without a name that lie in memory (memfd, tmpfs) */
    int64_t disk;   /* bytes in files without a name that lie on a disk */
    int64_t cpu_ms; /* of those that run, and of those they have waited for */
};

/*
 * What the processes below `root` take. Memory that several share is counted for each, unless that sum is over
 * `memory_limit`: then it is found out exactly, which costs more. Stops at a process more than
 * `process_limit`, and then tells nothing else.
 */
void tree_measure(pid_t root, int64_t memory_limit, int64_t process_limit, struct tree_usage *ret);

/* Kills all below `root`, also those that are just being forked. Whoever is their parent still has to wait for them. */
void tree_kill(pid_t root);

#endif
