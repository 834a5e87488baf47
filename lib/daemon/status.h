/*
 * status: answers HTTP requests about the state of the process. Internal to service.
 *
 *     /health   200, or 503 with the names of the overdue workers; then the watchdog is not fed either
 *     /ready    200 from the end of the start until the process drains, else 503; names an outage, which stays 200
 *     /metrics  200, metrics_write_text
 */
#ifndef DAEMON_STATUS_H
#define DAEMON_STATUS_H

#include "daemon/service.h"

struct status {
    const struct daemon *daemon;
    const struct service_counters *counters;
    int64_t started_at_ms;   /* wall clock */
    pthread_mutex_t lock;    /* for `service`: it does not end while the lock is held */
    struct service *service; /* NULL: no run() is in progress */
};
void status_init(struct status *status, const struct daemon *daemon, const struct service_counters *counters);
void status_destroy(struct status *status);

/* The service to report on from now on; NULL before the service is freed. */
void status_watch(struct status *status, struct service *service);

void status_metrics(struct status *status, struct metrics *ret);
/* Appends the answer to a path and returns the HTTP status: 404 for an unknown path. */
int status_answer(struct status *status, const char *path, struct buf *ret);

#endif
