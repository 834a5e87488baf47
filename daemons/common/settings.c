#include "common/settings.h"

const char *const settings_log_levels[] = { "error", "warning", "notice", "info", "debug", NULL };

const char *settings_log_level(const struct settings *settings)
{
    return settings_log_levels[settings->log_level];
}

void settings_check(const struct settings *settings, struct buf *errors)
{
    if (settings->backoff_min_ms > settings->backoff_max_ms)
        config_complain(errors, "backoff_min", "is longer than backoff_max");
    if (settings->visibility_timeout_ms > 0 && settings->visibility_timeout_ms < 2000)
        config_complain(errors, "visibility_timeout", "is shorter than 2s: heartbeats need time to arrive");
}
