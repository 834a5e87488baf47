/*
 * sandbox: what package code runs in.
 *
 * Package code was written by strangers. With bubblewrap it gets user, PID, IPC, UTS and cgroup namespaces and a
 * session of its own, no capabilities, no new privileges, and a read-only root with /usr and the few files of /etc that
 * programs need: not the daemon's configuration, nor credentials, nor the machine's processes. Where that does not work
 * (Fargate) it runs within the limits of its processes only, as the daemon's user. docs/explanation/sandbox.md says
 * what each holds.
 */
#ifndef ITEMGEND_SANDBOX_H
#define ITEMGEND_SANDBOX_H

#include "base/buf.h"
#include "base/err.h"
#include "itemgend/sandbox/cgroup.h"
#include "itemgend/options.h"
#include "base/strv.h"

/* What is in force, found out once; immutable, shared by threads. */
struct sandbox;

/* Absolute paths of the host, in lists that end with NULL (a list may be NULL), seen inside at the same place. Where
 * one lies in another, the inner one comes later, or is writable. */
struct sandbox_paths {
    const char *const *read_only, *const *writable;
};

/*
 * Finds out by running `true` in it what works here. `options->sandbox` auto: falls back to limits where bubblewrap is
 * not installed or the kernel refuses it. NEVER "sandbox_unavailable": bubblewrap, or a network other than open, is
 * demanded and does not work here; the text says why and what to do. LATER: "interrupted" (`stop_fd`, -1: none), or the
 * machine was too busy to tell: being slow for once is no reason to go without.
 */
int sandbox_open(const struct itemgend_options *options, int stop_fd, struct sandbox **ret, struct err *err) must_check;
void sandbox_free(struct sandbox *sandbox); /* NULL allowed */

bool sandbox_is_bubblewrap(const struct sandbox *sandbox);
/* That hold the memory of items; NULL: there are none here. */
struct cgroups *sandbox_cgroups(const struct sandbox *sandbox);

/*
 * Appends the words of the command line that come before the program (nothing in limits mode); the program and its
 * arguments follow. A failure is sticky in `argv`. Who runs it sets no_new_privs, limits and a session by itself, stays
 * alive (the thread that forks: all of it dies with that), and chooses a working directory among `paths`. Inside, the
 * user has another number than outside (getuid()), may make user namespaces, and /tmp is small: TMPDIR belongs into a
 * path that is given.
 */
void sandbox_wrap(const struct sandbox *sandbox, const struct sandbox_paths *paths, struct strings *argv);

/* Appends lines on what is in force, for --check-config. */
void sandbox_describe(const struct sandbox *sandbox, struct buf *ret);
/* The same in the log: a notice with the fields SANDBOX, NETWORK and MEMORY, a warning for each thing that is weaker
 * than auto would have it. */
void sandbox_log(const struct sandbox *sandbox);

#endif
