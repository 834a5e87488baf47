/*
 * parking: the requests that this process holds and that no worker works at: what they wait for, and whose turn it is.
 *
 * What is received comes here, and workers take from here what can go on, in the order of arrival. A request waits
 * while as many of its package are made as its `concurrency` allows, or, where its environment could not be made
 * because the registry is down, until the registry answers: one of those that wait tries again, after 1 s, doubling to
 * probe_interval, and when it succeeds they all go on. So neither stands in the way of requests that need no new
 * environment, or of other packages. Heartbeats go on meanwhile. While more than `workers` wait, nothing is received.
 */
#ifndef ITEMGEND_PARKING_H
#define ITEMGEND_PARKING_H

#include "itemgend/request/job.h"

struct parking; /* one per run, shared by its workers */

struct parking_options {
    const struct packages *packages; /* borrowed */
    size_t workers;
    int64_t probe_interval_ms;
};
/* `now_ms` is time_mono_ms() in all of these. */
int parking_new(const struct parking_options *options, struct parking **ret, struct err *err) must_check;
/* Frees what is still there. NULL is allowed. */
void parking_free(struct parking *parking);

/* A request that was received; owned from here on. */
void parking_add(struct parking *parking, struct job *job);

/* One that can go on now, the caller's until parking_done or parking_await_registry; NULL: none. */
struct job *parking_take(struct parking *parking, int64_t now_ms);
/* It has been made, or has failed by itself: its place among those of its package is free. The caller keeps it. */
void parking_done(struct parking *parking, struct job *job);
/* The registry is down for it, as `err` says: owned from here on. Logged when that begins, and when it ends. */
void parking_await_registry(struct parking *parking, struct job *job, const struct err *err, int64_t now_ms);

/* Whether nothing is to be received. */
bool parking_is_full(struct parking *parking);
/* Until what waits for the registry is to be tried again, at most `otherwise_ms`. */
int64_t parking_due_in_ms(struct parking *parking, int64_t now_ms, int64_t otherwise_ms);
/* Waits until something can go on or there is room (true), until `deadline_ms`, or until stop_fd is readable. */
bool parking_wait(struct parking *parking, int stop_fd, int64_t deadline_ms);

/* At the end: whatever is there, to be given back; NULL: nothing is. */
struct job *parking_take_any(struct parking *parking);

#endif
