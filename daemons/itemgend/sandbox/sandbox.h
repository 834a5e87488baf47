/*
 * sandbox: the isolation of package code, which is written by strangers.
 *
 * With bubblewrap it gets its own user, PID, IPC, UTS and cgroup namespaces and its own session, no capabilities, no
 * new privileges, and a read-only root: /usr and the few files of /etc that programs need. It sees neither the
 * configuration of the daemon nor credentials nor other processes. Where bubblewrap does not work (Fargate), resource
 * limits are all there is, and package code runs as the daemon's user. docs/explanation/sandbox.md describes both.
 */
#ifndef ITEMGEND_SANDBOX_H
#define ITEMGEND_SANDBOX_H

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"
#include "itemgend/options.h"
#include "itemgend/sandbox/cgroup.h"

/* The isolation in force, chosen once; immutable, shared by threads. */
struct sandbox;

/* Absolute paths of the host, visible in the sandbox at the same place. Each list ends with NULL, or is NULL. If a path
 * is inside another one, it must come later, or be writable. */
struct sandbox_paths {
    const char *const *read_only, *const *writable;
};

/*
 * Finds out what works here by running `true` in it. With `sandbox: auto` it falls back to resource limits if
 * bubblewrap is not installed or the kernel refuses it. NEVER "sandbox_unavailable": bubblewrap, or a network other
 * than open, is required and does not work here; the text says why and what to do. LATER: "interrupted" (`stop_fd`
 * became readable; -1: none), or the machine was too slow to find out: a slow moment must not remove the sandbox.
 */
int sandbox_open(const struct itemgend_options *options, int stop_fd, struct sandbox **ret, struct err *err) must_check;
void sandbox_free(struct sandbox *sandbox); /* NULL is allowed */
static inline void sandbox_free_pointer(struct sandbox **sandbox)
{
    sandbox_free(*sandbox);
}
#define auto_sandbox cleanup(sandbox_free_pointer)

bool sandbox_is_bubblewrap(const struct sandbox *sandbox);
/* The cgroups that limit the memory of items; NULL: none here. */
struct cgroups *sandbox_cgroups(const struct sandbox *sandbox);

/*
 * Appends the part of the command line that comes before the program (nothing without bubblewrap). The program and its
 * arguments follow. A failure is sticky in `argv`.
 *
 * The caller sets no_new_privs, limits and a session, and a working directory inside `paths`. The thread that forks
 * must stay alive, because all of the sandbox dies with it. Inside, getuid() differs, user namespaces may be made, and
 * /tmp is small: set TMPDIR to a path in `paths`.
 */
void sandbox_wrap(const struct sandbox *sandbox, const struct sandbox_paths *paths, struct strv *argv);

/* Appends lines that describe the isolation in force, for --check-config. */
void sandbox_describe(const struct sandbox *sandbox, struct buf *ret);
/* Logs it: a notice with the fields SANDBOX, NETWORK and MEMORY, and a warning for each protection that is missing. */
void sandbox_log(const struct sandbox *sandbox);

#endif
