/* monitoring: the keys that say how a daemon is watched, as a part of its table. */
#ifndef COMMON_MONITORING_H
#define COMMON_MONITORING_H

#include <stddef.h>

#include "common/config.h"

struct monitoring {
    char *metrics_address;   /* NULL or "": nothing listens */
    char *metrics_namespace; /* NULL or "": no metrics in the log */
    bool task_protection;
};

/* For schema->check. */
void monitoring_check(const struct monitoring *monitoring, struct buf *errors);

/* The keys for a config struct TYPE whose member MEMBER is a struct monitoring. */
#define MONITORING_KEYS(TYPE, MEMBER)                                                                                  \
    { .name = "metrics_address",                                                                                       \
      .type = CONFIG_STRING,                                                                                           \
      .offset = offsetof(TYPE, MEMBER.metrics_address),                                                                \
      .default_text = "",                                                                                              \
      .help = "HOST:PORT or [IPv6]:PORT where /health, /ready and /metrics (Prometheus) are served by HTTP; not set: " \
              "nowhere." },                                                                                            \
        { .name = "metrics_namespace",                                                                                 \
          .type = CONFIG_STRING,                                                                                       \
          .offset = offsetof(TYPE, MEMBER.metrics_namespace),                                                          \
          .default_text = "",                                                                                          \
          .help = "CloudWatch namespace of the metrics that go into the log each minute, where that is JSON lines on " \
                  "stdout; not set: none." },                                                                          \
    {                                                                                                                  \
        .name = "task_protection", .type = CONFIG_BOOL, .offset = offsetof(TYPE, MEMBER.task_protection),              \
        .default_text = "true",                                                                                        \
        .help = "Whether an ECS task is protected from scale-in while it holds messages; does nothing without "        \
                "ECS_AGENT_URI."                                                                                       \
    }

#endif
