/*
 * network: what package code reaches.
 *
 * filtered: a network namespace of its own with slirp4netns as the way out (libexec/itemgend-network), where the
 * credential endpoints and the machine's own addresses are closed, but for `loopback_ports`. open: the daemon's own
 * network. closed: none, which is bubblewrap's --unshare-net. docs/explanation/network.md says what each holds.
 */
#ifndef ITEMGEND_NETWORK_H
#define ITEMGEND_NETWORK_H

#include "base/buf.h"
#include "base/err.h"
#include "itemgend/options.h"
#include "base/strv.h"

/* What is in force, found out once; immutable, shared by threads. */
struct network;

/*
 * Finds out by running what works here, within 10 s. `sandboxed` is a command that succeeds in the sandbox, NULL where
 * that is not bubblewrap and so only an open network is possible. `options->network` auto: filtered where it works,
 * else open. NEVER "sandbox_unavailable": what is demanded does not work here; the text says why and what to do. LATER:
 * "interrupted" (`stop_fd`, -1: none), or the machine was too busy to tell.
 */
int network_open(const struct itemgend_options *options, char *const *sandboxed, int stop_fd, struct network **ret,
                 struct err *err) must_check;
void network_free(struct network *network); /* NULL allowed */

int network_in_force(const struct network *network); /* enum network_choice, never NETWORK_AUTO */
const char *network_name(const struct network *network);

/* Appends what stands before bubblewrap's own command line: nothing for open and closed. A failure is sticky in `argv`.
 * All descriptors and the environment go through to the program, the exit status comes back; a parent and a sibling of
 * it stay beside it and end with it. */
void network_wrap(const struct network *network, struct strings *argv);

/* Appends one line for each thing that is weaker than auto would have it. */
void network_warnings(const struct network *network, struct buf *ret);

#endif
