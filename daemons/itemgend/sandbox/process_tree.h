/*
 * process_tree: all processes below one process: measures and kills them. It reads /proc.
 *
 * The root itself does not belong to the tree. It should be a child subreaper, or have a PID namespace below it, so
 * that orphans stay in the tree.
 */
#ifndef ITEMGEND_PROCESS_TREE_H
#define ITEMGEND_PROCESS_TREE_H

#include <sys/types.h>

#include "base/base.h"

struct process_tree_usage {
    int64_t processes;
    int64_t memory; /* bytes: resident memory, and unlinked files in memory (memfd, tmpfs) */
    int64_t disk;   /* bytes of unlinked files on disk */
    int64_t cpu_ms; /* of the processes and of the children that they have waited for */
};

/*
 * Measures the processes below `root`. Shared memory counts once for each process. If that sum exceeds `memory_limit`,
 * it is measured exactly, which costs more. If there are more than `process_limit` processes, only their number is
 * set, and counting stops there.
 */
void process_tree_measure(pid_t root, int64_t memory_limit, int64_t process_limit, struct process_tree_usage *ret);

/* Kills all processes below `root`, even while they fork. Their parents still have to wait for them. */
void process_tree_kill(pid_t root);

#endif
