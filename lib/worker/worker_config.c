#include "worker/worker_config.h"

#include <string.h>

const char *const worker_config_log_levels[] = { "error", "warning", "notice", "info", "debug", NULL };

const char *worker_config_log_level(const struct worker_config *settings)
{
    return worker_config_log_levels[settings->log_level];
}

/* https://sqs.REGION.amazonaws.com/ACCOUNT/NAME, or the same of a custom endpoint. */
static bool is_queue_url(const char *url)
{
    size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
    size_t host = scheme ? strcspn(url + scheme, "/") : 0;
    return host > 0 && !memchr(url + scheme, '@', host) && strlen(url + scheme + host) > 1 && !strpbrk(url, " \t");
}

static void check_queue_url(const char *key, const char *url, struct buf *errors)
{
    if (url && *url && !is_queue_url(url))
        config_complain(errors, key, "is not a queue URL like https://sqs.us-west-2.amazonaws.com/123456789012/NAME");
}

void worker_config_check(const struct worker_config *settings, struct buf *errors)
{
    check_queue_url("queue_url", settings->queue_url, errors);
    check_queue_url("dead_letter_queue_url", settings->dead_letter_queue_url, errors);
    monitoring_check(&settings->monitoring, errors);
    if (settings->backoff_min_ms > settings->backoff_max_ms)
        config_complain(errors, "backoff_min", "must not be longer than backoff_max");
    if (settings->visibility_timeout_ms > 0 && settings->visibility_timeout_ms < 2000)
        config_complain(errors, "visibility_timeout", "must be 0s or at least 2s, or heartbeats come too late");
}
