/* metrics: the numbers of a process, as Prometheus and CloudWatch read them. Pure. */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include "common/service.h"

struct metrics { /* as they were at one moment */
    int64_t started_at_ms;
    /* Counters, since the start. */
    int64_t received, done, later, never, returned, heartbeats, items, batches, retries, age_ms, work_ms;
    /* Gauges. */
    int64_t held, ready, workers, overdue, waiting;
};

/* Fills in what the process counts; the rest is the caller's. */
void metrics_read(const struct service_counters *counters, struct metrics *ret);

/* Prometheus text format 0.0.4; each name begins with the daemon's (schema->prefix). Batches only where the daemon
 * counts them. */
void metrics_write_text(const struct daemon *daemon, const struct metrics *metrics, struct buf *ret);

/*
 * A document in CloudWatch's embedded metric format as the members of a JSON object, without its braces: counters since
 * `before`, gauges as they are. The dimension is Service, the daemon's name.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
struct metrics_document {
    const struct daemon *daemon;
    const char *space; /* CloudWatch's namespace */
    int64_t now_ms;
};
void metrics_write_embedded(const struct metrics_document *document, const struct metrics *metrics,
                            const struct metrics *before, struct buf *ret);

#endif
