/*
 * status: how a process is, for those who ask. Internal to service.
 *
 *     /health   200, or 503 with the names of the workers that are overdue: the watchdog would not be fed
 *     /ready    200 once it works and until it drains, also through an outage, which it names; else 503
 *     /metrics  200, metrics_write_text
 */
#ifndef COMMON_STATUS_H
#define COMMON_STATUS_H

#include "common/service.h"

struct status {
    const struct daemon *daemon;
    const struct service_counters *counters;
    int64_t started_at_ms;   /* wall clock */
    pthread_mutex_t lock;    /* of the run: who reads it keeps it from ending */
    struct service *service; /* NULL: none is under way */
};
void status_init(struct status *status, const struct daemon *daemon, const struct service_counters *counters);
void status_destroy(struct status *status);

/* The run that is asked about from now on; NULL before it is freed. */
void status_watch(struct status *status, struct service *service);

void status_metrics(struct status *status, struct metrics *ret);
/* Appends the answer to a path, and returns HTTP's status: 404 for any other. */
int status_answer(struct status *status, const char *path, struct buf *ret);

#endif
