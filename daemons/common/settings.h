/* settings: the keys that both daemons have, as a part of their tables. */
#ifndef COMMON_SETTINGS_H
#define COMMON_SETTINGS_H

#include <stddef.h>

#include "common/monitoring.h"

struct settings {
    char *queue_url, *dead_letter_queue_url, *region;
    int64_t workers;
    int64_t wait_time_ms, visibility_timeout_ms, backoff_min_ms, backoff_max_ms, probe_interval_ms, stop_timeout_ms;
    int log_level; /* index into settings_log_levels */
    struct monitoring monitoring;
};

extern const char *const settings_log_levels[];
const char *settings_log_level(const struct settings *settings);

/* For schema->check. */
void settings_check(const struct settings *settings, struct buf *errors);

/* The keys for a config struct TYPE whose member MEMBER is a struct settings. */
#define SETTINGS_KEYS(TYPE, MEMBER, WORKERS, WORKERS_HELP, QUEUE_HELP, STOP_HELP)                                      \
    { .name = "queue_url", .type = CONFIG_STRING, .offset = offsetof(TYPE, MEMBER.queue_url), .help = QUEUE_HELP },    \
        { .name = "dead_letter_queue_url",                                                                             \
          .type = CONFIG_STRING,                                                                                       \
          .offset = offsetof(TYPE, MEMBER.dead_letter_queue_url),                                                      \
          .default_text = "",                                                                                          \
          .help = "URL of the dead-letter queue; not set: the one that the queue's redrive policy names." },           \
        { .name = "region",                                                                                            \
          .type = CONFIG_STRING,                                                                                       \
          .offset = offsetof(TYPE, MEMBER.region),                                                                     \
          .default_text = "",                                                                                          \
          .help = "AWS region; not set: AWS_REGION, AWS_DEFAULT_REGION or the profile's." },                           \
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
          .help = "How long one receive waits for a message (long polling). A stop waits for it too." },               \
        { .name = "visibility_timeout",                                                                                \
          .type = CONFIG_DURATION,                                                                                     \
          .offset = offsetof(TYPE, MEMBER.visibility_timeout_ms),                                                      \
          .max = 43200000,                                                                                             \
          .default_text = "0s",                                                                                        \
          .help = "How long a message stays invisible without a heartbeat (one comes at half of it); 0s: the queue's " \
                  "own." },                                                                                            \
        { .name = "backoff_min",                                                                                       \
          .type = CONFIG_DURATION,                                                                                     \
          .offset = offsetof(TYPE, MEMBER.backoff_min_ms),                                                             \
          .max = 43200000,                                                                                             \
          .default_text = "30s",                                                                                       \
          .help = "Wait before a message that failed is tried again; it triples with each receive." },                 \
        { .name = "backoff_max",                                                                                       \
          .type = CONFIG_DURATION,                                                                                     \
          .offset = offsetof(TYPE, MEMBER.backoff_max_ms),                                                             \
          .max = 43200000,                                                                                             \
          .default_text = "10m",                                                                                       \
          .help = "The longest such wait." },                                                                          \
        { .name = "probe_interval",                                                                                    \
          .type = CONFIG_DURATION,                                                                                     \
          .offset = offsetof(TYPE, MEMBER.probe_interval_ms),                                                          \
          .min = 100,                                                                                                  \
          .max = 600000,                                                                                               \
          .default_text = "10s",                                                                                       \
          .help = "How often, at least, something that is down (database, queue, topic) is tried again: after a "      \
                  "second first, then after ever longer up to this." },                                                \
        { .name = "stop_timeout",                                                                                      \
          .type = CONFIG_DURATION,                                                                                     \
          .offset = offsetof(TYPE, MEMBER.stop_timeout_ms),                                                            \
          .max = 3600000,                                                                                              \
          .default_text = "90s",                                                                                       \
          .help = STOP_HELP },                                                                                         \
        { .name = "log_level",                                                                                         \
          .type = CONFIG_CHOICE,                                                                                       \
          .offset = offsetof(TYPE, MEMBER.log_level),                                                                  \
          .choices = settings_log_levels,                                                                              \
          .default_text = "info",                                                                                      \
          .help = "What is logged: this and all that is graver." },                                                    \
        MONITORING_KEYS(TYPE, MEMBER.monitoring)

#endif
