/*
 * backlog: the requests that this process has received and that no worker is working on. It decides whose turn it is.
 *
 * Workers add what they receive and take requests in the order of arrival. A request is passed over while it has to
 * wait, so it does not hold up the requests behind it:
 *
 * - while as many items of its package are being made as the package's `concurrency` allows;
 * - while the package registry is down and its environment is not built yet. One of these requests is the probe: it is
 *   tried again after 1 s, then after twice as long, up to probe_interval. When it succeeds, all of them go on.
 *
 * Leases are renewed meanwhile. The backlog is full, and nothing is received, while more than `workers` requests wait.
 */
#ifndef ITEMGEND_BACKLOG_H
#define ITEMGEND_BACKLOG_H

#include "itemgend/request/job.h"

struct backlog; /* one per run, shared by its workers; thread-safe */

struct backlog_options {
    const struct packages *packages; /* borrowed */
    size_t workers;
    int64_t probe_interval_ms;
};
/* `now_ms` is time_mono_ms() in all of these. */
int backlog_new(const struct backlog_options *options, struct backlog **ret, struct err *err) must_check;
/* Frees the requests in it too. NULL is allowed. */
void backlog_free(struct backlog *backlog);

/* Adds a received request, and owns it from then on. */
void backlog_add(struct backlog *backlog, struct job *job);

/* The next request that does not have to wait; NULL: none. The caller owns it, and ends its turn with backlog_done or
 * backlog_await_registry. */
struct job *backlog_take(struct backlog *backlog, int64_t now_ms);
/* Its item was made, or failed for a reason of its own: the next request of its package may go on. The caller keeps
 * the job. */
void backlog_done(struct backlog *backlog, struct job *job);
/* The registry is down, as `err` says: the job goes back into the backlog. Logs when an outage of the registry begins,
 * and when it ends. */
void backlog_await_registry(struct backlog *backlog, struct job *job, const struct err *err, int64_t now_ms);

/* True: receive nothing for now. */
bool backlog_is_full(struct backlog *backlog);
/* The time until the registry is probed again, at most `otherwise_ms`. */
int64_t backlog_due_in_ms(struct backlog *backlog, int64_t now_ms, int64_t otherwise_ms);
/* Waits until a request can go on or there is room for another (true), until `deadline_ms`, or until stop_fd is
 * readable. */
bool backlog_wait(struct backlog *backlog, int stop_fd, int64_t deadline_ms);

/* At the end: any request, for its message to be returned to the queue; NULL: the backlog is empty. */
struct job *backlog_take_any(struct backlog *backlog);

#endif
