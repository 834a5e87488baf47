/*
 * metrics: the counters and gauges of a process, for Prometheus and CloudWatch. Pure.
 *
 * The two lists below define all metrics. A new one is a line here, and code that adds to its counter:
 *     service_counters(service)->batches++;
 * /metrics, the metrics in the log and docs/reference/metrics.md follow from the line.
 */
#ifndef DAEMON_METRICS_H
#define DAEMON_METRICS_H

#include <stdint.h>

#include "base/buf.h"

struct daemon;
struct service_counters;

/* Which daemons have a metric: a bit mask, see `metrics` of struct daemon. */
enum { METRICS_ITEMGEND = 1, METRICS_ITEMLOADD = 2, METRICS_BOTH = METRICS_ITEMGEND | METRICS_ITEMLOADD };

/*
 * X(member, kind, daemons, name, embedded, help)
 *     member    of struct metrics, and of struct service_counters
 *     kind      COUNTER, COUNTER_MS (counted in ms, shown in s), GAUGE or GAUGE_MS
 *     name      for Prometheus, without the name of the daemon, which is put before it except for "process_..."
 *     embedded  for CloudWatch; NULL: not sent there, because each metric costs money
 */

/* Counted by the daemons (service_counters). */
#define METRICS_COUNTED(X)                                                                                             \
    X(received, COUNTER, BOTH, "messages_received_total", "MessagesReceived", "Messages received from the queue.")     \
    X(done, COUNTER, BOTH, "messages_done_total", "MessagesDone", "Messages deleted because their work is done.")      \
    X(later, COUNTER, BOTH, "messages_later_total", "MessagesLater", "Messages left in the queue for a retry.")        \
    X(never, COUNTER, BOTH, "messages_never_total", "MessagesNever", "Messages sent to the dead-letter queue.")        \
    X(returned, COUNTER, BOTH, "messages_returned_total", "MessagesReturned",                                          \
      "Messages returned to the queue by a stop.")                                                                     \
    X(heartbeats, COUNTER, BOTH, "heartbeats_total", NULL, "Heartbeats: a message's visibility timeout was extended.") \
    X(items, COUNTER, BOTH, "items_total", "Items", "Items published (itemgend) or documents loaded (itemloadd).")     \
    X(batches, COUNTER, ITEMLOADD, "batches_total", "Batches", "Batches loaded.")                                      \
    X(retries, COUNTER, BOTH, "retries_total", "Retries", "Retried requests to AWS.")                                  \
    X(age_ms, COUNTER_MS, BOTH, "message_age_seconds_total", NULL,                                                     \
      "Sum of the ages of the messages when they were received.")                                                      \
    X(work_ms, COUNTER_MS, BOTH, "work_seconds_total", NULL,                                                           \
      "Sum of the time that workers took to make items or to load batches.")                                           \
    X(held, GAUGE, BOTH, "messages_held", "MessagesHeld",                                                              \
      "Messages held and kept invisible; in itemgend also those that wait for a package registry.")

/* Read from the state of the process (daemon/status.c). */
#define METRICS_OBSERVED(X)                                                                   \
    X(ready, GAUGE, BOTH, "ready", NULL, "1 while /ready answers 200, else 0.")               \
    X(workers, GAUGE, BOTH, "workers", NULL, "Workers.")                                      \
    X(overdue, GAUGE, BOTH, "workers_overdue", "WorkersOverdue",                              \
      "Workers that gave no sign of life in time; while there are any, /health answers 503.") \
    X(waiting, GAUGE, BOTH, "workers_waiting", "WorkersWaiting",                              \
      "Workers that wait for a dependency that is down, and receive nothing meanwhile.")      \
    X(started_at_ms, GAUGE_MS, BOTH, "process_start_time_seconds", NULL,                      \
      "When the process started, in seconds since 1970.")

struct metrics { /* at one moment; counters since the start of the process */
#define METRICS_MEMBER(member, ...) int64_t member;
    METRICS_COUNTED(METRICS_MEMBER)
    METRICS_OBSERVED(METRICS_MEMBER)
#undef METRICS_MEMBER
};

/* Copies the counters. The caller fills in the observed metrics. */
void metrics_read(const struct service_counters *counters, struct metrics *ret);

/* The functions below write only the metrics that the daemon has. */

/* Prometheus text format 0.0.4; each name begins with the daemon's name (schema->prefix). */
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

/* The documentation: a Markdown table. */
void metrics_write_help(const struct daemon *daemon, struct buf *ret);

#endif
