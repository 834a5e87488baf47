/*
 * cgroup: holds the memory of all processes of an item together, by cgroups of version 2 where they are delegated.
 *
 * After the kernel's Documentation/admin-guide/cgroup-v2.rst. Our own group is taken over: itemgend moves itself into
 * the subgroup `daemon`, because a group that divides memory among subgroups may hold no process, and each item gets a
 * subgroup beside it. Where anything of this is not there or is refused nothing is changed and nothing is held: the
 * limits and samples of supervise.h are in force with it and without it.
 *
 * Package code must not reach these files: the hierarchy has to be mounted with nsdelegate, which makes cgroup
 * namespaces (each sandbox has one) boundaries. Without a sandbox it is of our user, and could.
 */
#ifndef ITEMGEND_CGROUP_H
#define ITEMGEND_CGROUP_H

#include <sys/types.h>

#include "base/err.h"

struct cgroups; /* our own group, taken over; thread-safe */

/*
 * Takes it over. `process`: "/proc/self", where the files cgroup and mountinfo are. NEVER "no_cgroup": it cannot be,
 * the text says why, and all is as it was. All threads are moved: once at a time.
 */
int cgroups_open(const char *process, struct cgroups **ret, struct err *err) must_check;
/* Gives it back; no subgroup is in use. NULL is allowed. */
void cgroups_free(struct cgroups *cgroups);

/* A subgroup. */
struct cgroup {
    struct cgroups *cgroups;
    int fd; /* of its directory; -1: there is none, and all that is done with it does nothing */
    char name[24];
};
#define CGROUP_INIT \
    {               \
        .fd = -1    \
    }

/* Makes one with this limit, bytes, and nobody in it. Where that fails `ret` stays what it was, and the log says so
 * once. `cgroups` NULL: none is made. */
void cgroup_make(struct cgroups *cgroups, int64_t memory_limit, struct cgroup *ret);
/* Puts a process into it, which so far has charged nothing to it: what it forks and what it takes from now on counts.
 */
void cgroup_add(const struct cgroup *cgroup, pid_t pid);
/* The same for the calling process, between fork and exec: async-signal-safe. */
void cgroup_enter(const struct cgroup *cgroup);
/* Whether the kernel has ended processes in it for want of memory; then raises `peak` to the most that it had, bytes.
 */
bool cgroup_ran_out(const struct cgroup *cgroup, int64_t *peak);
/* Kills all that is in it, and removes it. */
void cgroup_clear(struct cgroup *cgroup);
#define auto_cgroup cleanup(cgroup_clear)

#endif
