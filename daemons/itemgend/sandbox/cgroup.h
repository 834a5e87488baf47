/*
 * cgroup: limits the memory of all processes of an item together, with cgroups v2 where they are delegated.
 *
 * See Documentation/admin-guide/cgroup-v2.rst of the kernel. itemgend takes over its own cgroup: it moves itself into
 * the subgroup `daemon`, because a cgroup that limits subgroups may not contain processes, and gives each item a
 * subgroup beside it. If any of this is missing or refused, nothing changes, and only the limits and samples of
 * supervise.h apply; they apply with cgroups too.
 *
 * Package code must not write to these files. The hierarchy must be mounted with nsdelegate, which makes cgroup
 * namespaces boundaries, and each sandbox has one. Without a sandbox, package code runs as our user and could write.
 */
#ifndef ITEMGEND_CGROUP_H
#define ITEMGEND_CGROUP_H

#include <sys/types.h>

#include "base/err.h"

struct cgroups; /* our own cgroup, taken over; thread-safe */

/*
 * Takes it over. `process` is "/proc/self", which has the files cgroup and mountinfo. NEVER "no_cgroup": it does not
 * work here, the text says why, and nothing has changed. All threads of this process move, so call it once at a time.
 */
int cgroups_open(const char *process, struct cgroups **ret, struct err *err) must_check;
/* Moves back. Call it when no subgroup is in use. NULL is allowed. */
void cgroups_free(struct cgroups *cgroups);

/* A subgroup. */
struct cgroup {
    struct cgroups *cgroups;
    int fd; /* of its directory; -1: there is none, and the functions below do nothing */
    char name[24];
};
#define CGROUP_INIT \
    {               \
        .fd = -1    \
    }

/* Makes an empty subgroup with this limit in bytes. On failure `ret` does not change, and the first failure is logged.
 * `cgroups` NULL: does nothing. */
void cgroup_make(struct cgroups *cgroups, int64_t memory_limit, struct cgroup *ret);
/* Moves a process into it. Memory counts from then on, also that of its children. */
void cgroup_add(const struct cgroup *cgroup, pid_t pid);
/* Moves the calling process into it, between fork and exec. Async-signal-safe. */
void cgroup_enter(const struct cgroup *cgroup);
/* True: the kernel has killed processes in it because it reached its limit. Raises `peak` to its peak memory, bytes. */
bool cgroup_ran_out(const struct cgroup *cgroup, int64_t *peak);
/* Kills all processes in it and removes it. */
void cgroup_clear(struct cgroup *cgroup);
#define auto_cgroup cleanup(cgroup_clear)

#endif
