#include "aws/retry.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/backoff.h"
#include "base/time.h"

enum {
    TRANSIENT_COST = 14,
    THROTTLED_COST = 5,
    TRANSIENT_BASE_MS = 50,
    THROTTLED_BASE_MS = 1000,
    DELAY_MAX_MS = 20000,
    RETRY_AFTER_EXTRA_MAX_MS = 5000,
};

int64_t retry_delay_ms(enum retry_kind kind, int failures, double unit, int64_t retry_after_ms)
{
    int64_t base_ms = kind == RETRY_THROTTLED ? THROTTLED_BASE_MS : TRANSIENT_BASE_MS;
    int64_t ceiling_ms = backoff_ms(base_ms, 2, DELAY_MAX_MS, failures);
    int64_t delay_ms = (int64_t)(unit * (double)ceiling_ms);

    if (retry_after_ms > delay_ms + RETRY_AFTER_EXTRA_MAX_MS)
        return delay_ms + RETRY_AFTER_EXTRA_MAX_MS;
    return retry_after_ms > delay_ms ? retry_after_ms : delay_ms;
}

void retry_quota_init(struct retry_quota *quota)
{
    atomic_init(&quota->tokens, RETRY_QUOTA_MAX);
}

int retry_quota_take(struct retry_quota *quota, enum retry_kind kind)
{
    int cost = kind == RETRY_THROTTLED ? THROTTLED_COST : TRANSIENT_COST;
    int tokens = atomic_load(&quota->tokens);
    while (tokens >= cost)
        if (atomic_compare_exchange_weak(&quota->tokens, &tokens, tokens - cost))
            return cost;
    return 0;
}

void retry_quota_refund(struct retry_quota *quota, int cost)
{
    int earned = cost > 0 ? cost : 1;
    int tokens = atomic_load(&quota->tokens);
    while (tokens < RETRY_QUOTA_MAX) {
        int sum = tokens + earned > RETRY_QUOTA_MAX ? RETRY_QUOTA_MAX : tokens + earned;
        if (atomic_compare_exchange_weak(&quota->tokens, &tokens, sum))
            return;
    }
}

/* Rewrites "Sun, 06 Nov 1994 08:49:37 GMT" as RFC 3339, because time_parse_rfc3339 checks its parts. */
bool retry_clock_offset(const char *date, int64_t clock_ms, int64_t *ret_offset_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    enum { DATE_LEN = 29, DAY = 5, MONTH = 8, YEAR = 12, CLOCK = 17, ZONE = 25 };

    if (strlen(date) != DATE_LEN || strcmp(date + ZONE, " GMT") != 0)
        return false;
    const char month_name[4] = { date[MONTH], date[MONTH + 1], date[MONTH + 2], '\0' };
    const char *month = strstr(months, month_name);
    if (!month || (month - months) % 3 != 0)
        return false;

    char text[TIME_TEXT_SIZE];
    int64_t date_us = 0;
    snprintf(text, sizeof(text), "%.4s-%02d-%.2sT%.8sZ", date + YEAR, (int)(month - months) / 3 + 1, date + DAY,
             date + CLOCK);
    if (!time_parse_rfc3339(text, &date_us))
        return false;
    *ret_offset_ms = date_us / 1000 - clock_ms;
    return true;
}
