/* daemon_config: the configuration keys of every daemon, as a part of its table. */
#ifndef DAEMON_DAEMON_CONFIG_H
#define DAEMON_DAEMON_CONFIG_H

#include <stddef.h>

#include "daemon/config.h"

struct daemon_config {
    int64_t stop_timeout_ms;
    int log_level;           /* index into daemon_config_log_levels */
    char *metrics_address;   /* NULL or "": nothing listens */
    char *metrics_namespace; /* NULL or "": no metrics in the log */
    bool task_protection;
};

extern const char *const daemon_config_log_levels[];

/* For schema->check: reports with config_complain. */
void daemon_config_check(const struct daemon_config *config, struct buf *errors);

/* The keys, for a config struct TYPE with a struct daemon_config as its member MEMBER. */
#define DAEMON_CONFIG_KEYS(TYPE, MEMBER, STOP_HELP)                                                                    \
    { .name = "stop_timeout",                                                                                          \
      .type = CONFIG_DURATION,                                                                                         \
      .offset = offsetof(TYPE, MEMBER.stop_timeout_ms),                                                                \
      .max = 3600000,                                                                                                  \
      .default_text = "90s",                                                                                           \
      .help = STOP_HELP },                                                                                             \
        { .name = "log_level",                                                                                         \
          .type = CONFIG_CHOICE,                                                                                       \
          .offset = offsetof(TYPE, MEMBER.log_level),                                                                  \
          .choices = daemon_config_log_levels,                                                                         \
          .default_text = "info",                                                                                      \
          .help = "Minimum severity to log." },                                                                        \
        { .name = "metrics_address",                                                                                   \
          .type = CONFIG_STRING,                                                                                       \
          .offset = offsetof(TYPE, MEMBER.metrics_address),                                                            \
          .default_text = "",                                                                                          \
          .example = "127.0.0.1:9464",                                                                                 \
          .help = "HOST:PORT or [IPv6]:PORT at which /health, /ready and /metrics (Prometheus) are served over HTTP. " \
                  "Not set: nothing listens." },                                                                       \
        { .name = "metrics_namespace",                                                                                 \
          .type = CONFIG_STRING,                                                                                       \
          .offset = offsetof(TYPE, MEMBER.metrics_namespace),                                                          \
          .default_text = "",                                                                                          \
          .example = "StactoolsIngest",                                                                                \
          .help = "CloudWatch namespace. The metrics are written to the log each minute for CloudWatch, if the log "   \
                  "goes to stdout as JSON lines. Not set: they are not." },                                            \
    {                                                                                                                  \
        .name = "task_protection", .type = CONFIG_BOOL, .offset = offsetof(TYPE, MEMBER.task_protection),              \
        .default_text = "true",                                                                                        \
        .help = "Whether an ECS task is protected from scale-in while it holds messages. Without ECS_AGENT_URI, "      \
                "which ECS sets, it has no effect."                                                                    \
    }

#endif
