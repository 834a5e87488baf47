#include "worker/worker_config.h"

#include <string.h>

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

void worker_config_check(const struct worker_config *config, struct buf *errors)
{
    check_queue_url("queue_url", config->queue_url, errors);
    check_queue_url("dead_letter_queue_url", config->dead_letter_queue_url, errors);
    daemon_config_check(&config->daemon, errors);
    if (config->backoff_min_ms > config->backoff_max_ms)
        config_complain(errors, "backoff_min", "must not be longer than backoff_max");
    if (config->visibility_timeout_ms > 0 && config->visibility_timeout_ms < 2000)
        config_complain(errors, "visibility_timeout", "must be 0s or at least 2s, so that heartbeats come in time");
}
