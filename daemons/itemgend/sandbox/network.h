/*
 * network: the network access of package code.
 *
 * - filtered: a network namespace whose only way out is slirp4netns (libexec/itemgend-network). Credential endpoints
 *   and the addresses of this machine are closed, except `loopback_ports`.
 * - open: the daemon's own network.
 * - closed: none (bubblewrap's --unshare-net).
 *
 * docs/explanation/network.md describes what each protects from.
 */
#ifndef ITEMGEND_NETWORK_H
#define ITEMGEND_NETWORK_H

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"
#include "itemgend/options.h"

/* The network in force, chosen once; immutable, shared by threads. */
struct network;

/*
 * Finds out what works here by running it, within 10 s. `sandboxed` is a command that succeeds in bubblewrap; NULL:
 * without bubblewrap, only an open network is possible. With `network: auto` it chooses filtered if that works,
 * else open. NEVER "sandbox_unavailable": the required network does not work here; the text says why and what to do.
 * LATER: "interrupted" (`stop_fd` became readable; -1: none), or the machine was too slow to find out.
 */
int network_open(const struct itemgend_options *options, char *const *sandboxed, int stop_fd, struct network **ret,
                 struct err *err) must_check;
void network_free(struct network *network); /* NULL is allowed */

int network_in_force(const struct network *network); /* enum network_choice, never NETWORK_AUTO */
const char *network_name(const struct network *network);

/* Appends the part of the command line that comes before bubblewrap's; nothing for open and closed. A failure is sticky
 * in `argv`. The program keeps all descriptors and variables, and its exit status is passed on. A parent and a sibling
 * process of it end together with it. */
void network_wrap(const struct network *network, struct strv *argv);

/* Appends a line for each protection that is missing. */
void network_warnings(const struct network *network, struct buf *ret);

#endif
