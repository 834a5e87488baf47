/* worker_config: the configuration keys of a daemon that works off a queue, as a part of its table. */
#ifndef WORKER_WORKER_CONFIG_H
#define WORKER_WORKER_CONFIG_H

#include <stddef.h>

#include "daemon/daemon_config.h"

struct worker_config {
    char *queue_url, *dead_letter_queue_url, *region;
    int64_t workers;
    int64_t wait_time_ms, visibility_timeout_ms, backoff_min_ms, backoff_max_ms, probe_interval_ms;
    struct daemon_config daemon;
};

/* For schema->check: reports with config_complain. */
void worker_config_check(const struct worker_config *config, struct buf *errors);

/* The keys, for a config struct TYPE whose member MEMBER is a struct worker_config. The rest differs between the
 * daemons. */
#define WORKER_CONFIG_KEYS(TYPE, MEMBER, QUEUE_NAME, QUEUE_HELP, WORKERS, WORKERS_HELP, STOP_HELP)                     \
    { .name = "queue_url",                                                                                             \
      .type = CONFIG_STRING,                                                                                           \
      .offset = offsetof(TYPE, MEMBER.queue_url),                                                                      \
      .example = "https://sqs.us-west-2.amazonaws.com/123456789012/stactools-ingest-test-" QUEUE_NAME,                 \
      .help = QUEUE_HELP },                                                                                            \
        { .name = "dead_letter_queue_url",                                                                             \
          .type = CONFIG_STRING,                                                                                       \
          .offset = offsetof(TYPE, MEMBER.dead_letter_queue_url),                                                      \
          .default_text = "",                                                                                          \
          .help = "URL of the dead-letter queue. Not set: the queue that the redrive policy of queue_url names." },    \
        { .name = "region",                                                                                            \
          .type = CONFIG_STRING,                                                                                       \
          .offset = offsetof(TYPE, MEMBER.region),                                                                     \
          .default_text = "",                                                                                          \
          .example = "us-west-2",                                                                                      \
          .help = "AWS region. Not set: AWS_REGION, AWS_DEFAULT_REGION or the region of the AWS profile." },           \
        { .name = "workers",                                                                                           \
          .type = CONFIG_INT,                                                                                          \
          .offset = offsetof(TYPE, MEMBER.workers),                                                                    \
          .min = 1,                                                                                                    \
          .max = 256,                                                                                                  \
          .default_text = WORKERS,                                                                                     \
          .help = WORKERS_HELP },                                                                                      \
        { .name = "wait_time",                                                                                         \
          .type = CONFIG_DURATION,                                                                                     \
          .offset = offsetof(TYPE, MEMBER.wait_time_ms),                                                               \
          .max = 20000,                                                                                                \
          .default_text = "20s",                                                                                       \
          .help = "How long a receive waits for a message (long polling), in whole seconds. A stop waits for open "    \
                  "receives to return." },                                                                             \
        { .name = "visibility_timeout",                                                                                \
          .type = CONFIG_DURATION,                                                                                     \
          .offset = offsetof(TYPE, MEMBER.visibility_timeout_ms),                                                      \
          .max = 43200000,                                                                                             \
          .default_text = "0s",                                                                                        \
          .help = "How long a received message stays invisible to others. Heartbeats renew it at half of this time "   \
                  "while work on the message goes on. 0s: as configured at the queue." },                              \
        { .name = "backoff_min",                                                                                       \
          .type = CONFIG_DURATION,                                                                                     \
          .offset = offsetof(TYPE, MEMBER.backoff_min_ms),                                                             \
          .max = 43200000,                                                                                             \
          .default_text = "30s",                                                                                       \
          .help = "Delay before the first retry of a message. It triples with each further retry." },                  \
        { .name = "backoff_max",                                                                                       \
          .type = CONFIG_DURATION,                                                                                     \
          .offset = offsetof(TYPE, MEMBER.backoff_max_ms),                                                             \
          .max = 43200000,                                                                                             \
          .default_text = "10m",                                                                                       \
          .help = "Maximum delay before a retry of a message." },                                                      \
        { .name = "probe_interval",                                                                                    \
          .type = CONFIG_DURATION,                                                                                     \
          .offset = offsetof(TYPE, MEMBER.probe_interval_ms),                                                          \
          .min = 100,                                                                                                  \
          .max = 600000,                                                                                               \
          .default_text = "10s",                                                                                       \
          .help = "Maximum delay before a dependency that is down (database, queue, topic) is tried again. The delay " \
                  "begins at 1s and doubles." },                                                                       \
        DAEMON_CONFIG_KEYS(TYPE, MEMBER.daemon, STOP_HELP)

#endif
