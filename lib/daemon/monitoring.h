/* monitoring: the configuration keys for monitoring a daemon, as a part of its table. */
#ifndef DAEMON_MONITORING_H
#define DAEMON_MONITORING_H

#include <stddef.h>

#include "daemon/config.h"

struct monitoring {
    char *metrics_address;   /* NULL or "": nothing listens */
    char *metrics_namespace; /* NULL or "": no metrics in the log */
    bool task_protection;
};

/* For schema->check. */
void monitoring_check(const struct monitoring *monitoring, struct buf *errors);

/* The keys, for a config struct TYPE whose member MEMBER is a struct monitoring. */
#define MONITORING_KEYS(TYPE, MEMBER)                                                                                  \
    { .name = "metrics_address",                                                                                       \
      .type = CONFIG_STRING,                                                                                           \
      .offset = offsetof(TYPE, MEMBER.metrics_address),                                                                \
      .default_text = "",                                                                                              \
      .example = "127.0.0.1:9464",                                                                                     \
      .help = "HOST:PORT or [IPv6]:PORT at which /health, /ready and /metrics (Prometheus) are served over HTTP. Not " \
              "set: "                                                                                                  \
              "nothing listens." },                                                                                    \
        { .name = "metrics_namespace",                                                                                 \
          .type = CONFIG_STRING,                                                                                       \
          .offset = offsetof(TYPE, MEMBER.metrics_namespace),                                                          \
          .default_text = "",                                                                                          \
          .example = "StactoolsIngest",                                                                                \
          .help = "CloudWatch namespace. The metrics are written to the log each minute for CloudWatch, if the log "   \
                  "goes to "                                                                                           \
                  "stdout as JSON lines. Not set: they are not." },                                                    \
    {                                                                                                                  \
        .name = "task_protection", .type = CONFIG_BOOL, .offset = offsetof(TYPE, MEMBER.task_protection),              \
        .default_text = "true",                                                                                        \
        .help = "Whether an ECS task is protected from scale-in while it holds messages. Without ECS_AGENT_URI, "      \
                "which ECS "                                                                                           \
                "sets, it has no effect."                                                                              \
    }

#endif
