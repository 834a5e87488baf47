/*
 * service_run: one run of the service, as the main thread and run() share it. Internal to service.
 *
 * Only the main thread drains and aborts. run()'s thread and the workers wake it through `poke_fd`.
 */
#ifndef DAEMON_SERVICE_RUN_H
#define DAEMON_SERVICE_RUN_H

#include "daemon/service.h"

struct service {
    const struct daemon *daemon;
    const void *config;
    struct service_counters *counters;
    int drain_fd, abort_fd; /* eventfds */
    int poke_fd;            /* for the main thread */
    int worker_fd;          /* for service_wait: a worker has ended */
    _Atomic bool is_draining, is_aborting;
    _Atomic bool is_ready;   /* service_wait was reached */
    _Atomic bool has_failed; /* a worker has ended before the drain */

    pthread_mutex_t lock; /* for the two below: service_wait lends them to the main thread */
    struct worker *workers;
    size_t n_workers;

    pthread_t thread; /* run()'s */
    _Atomic bool has_ended;
    int result; /* this and err are valid once it has ended */
    struct err err;
};

/* The common part of a daemon's config struct. */
const struct daemon_config *daemon_config_of(const struct daemon *daemon, const void *config);

/* Starts run() in its thread. */
int service_run_start(const struct daemon *daemon, const void *config, struct service_counters *counters,
                      struct service **ret, struct err *err) must_check;
/* Joins the thread, which has ended, and frees the service. */
void service_run_end(struct service *service);

void service_run_drain(struct service *service);
void service_run_abort(struct service *service);

/* Clears poke_fd. */
void service_run_unpoke(struct service *service);

/* Each of these appends the names of some workers, and returns their number. */
size_t service_run_busy(struct service *service, struct buf *ret);                    /* that have not ended */
size_t service_run_overdue(struct service *service, int64_t now_ms, struct buf *ret); /* whose pulse is overdue */
size_t service_run_waiting(struct service *service, struct buf *ret); /* in an outage, each with its error code */

#endif
