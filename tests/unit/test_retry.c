#include "test.h"

#include <string.h>

#include "aws/retry.h"

static void test_delays(void)
{
    static const struct {
        enum retry_kind kind;
        int failures;
        double unit;
        int64_t retry_after_ms, expected_ms;
    } rows[] = {
        { RETRY_TRANSIENT, 1, 0.0, -1, 0 },
        { RETRY_TRANSIENT, 1, 0.5, -1, 25 },
        { RETRY_TRANSIENT, 2, 0.5, -1, 50 },
        { RETRY_TRANSIENT, 3, 0.5, -1, 100 },
        { RETRY_TRANSIENT, 1, 0.999, -1, 49 },
        { RETRY_THROTTLED, 1, 0.5, -1, 500 },
        { RETRY_THROTTLED, 2, 0.5, -1, 1000 },
        { RETRY_THROTTLED, 5, 0.5, -1, 8000 },
        { RETRY_THROTTLED, 6, 0.5, -1, 10000 }, /* 32 s, cut to 20 */
        { RETRY_THROTTLED, 2000000000, 0.5, -1, 10000 },
        /* x-amz-retry-after may raise the delay by up to 5 s. */
        { RETRY_TRANSIENT, 1, 0.5, 10, 25 },
        { RETRY_TRANSIENT, 1, 0.5, 26, 26 },
        { RETRY_TRANSIENT, 1, 0.5, 5025, 5025 },
        { RETRY_TRANSIENT, 1, 0.5, 5026, 5025 },
        { RETRY_TRANSIENT, 1, 0.0, 0, 0 },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        int64_t got_ms = retry_delay_ms(rows[i].kind, rows[i].failures, rows[i].unit, rows[i].retry_after_ms);
        CHECK_ROW(got_ms == rows[i].expected_ms, "row %zu: %ld ms", i, (long)got_ms);
    }
}

static void test_quota(void)
{
    struct retry_quota quota;
    retry_quota_init(&quota);
    retry_quota_refund(&quota, 14);
    CHECK(quota.tokens == RETRY_QUOTA_MAX); /* never more than the maximum */

    int n = 0;
    while (retry_quota_take(&quota, RETRY_TRANSIENT) == 14)
        n++;
    CHECK(n == 35 && quota.tokens == 10);
    CHECK(retry_quota_take(&quota, RETRY_TRANSIENT) == 0);
    CHECK(retry_quota_take(&quota, RETRY_THROTTLED) == 5);
    CHECK(retry_quota_take(&quota, RETRY_THROTTLED) == 5);
    CHECK(retry_quota_take(&quota, RETRY_THROTTLED) == 0);
    CHECK(quota.tokens == 0);
    for (int i = 0; i < 5; i++)
        retry_quota_refund(&quota, 0); /* calls without a retry */
    CHECK(quota.tokens == 5);
    retry_quota_refund(&quota, 14);
    CHECK(quota.tokens == 19);
}

static void test_clock(void)
{
    static const struct {
        const char *date;
        int64_t clock_ms;
        bool ok;
        int64_t offset_ms;
    } rows[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777000, true, 0 },
        { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777000 + 300000, true, -300000 },
        { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777000 - 300000, true, 300000 },
        { "Thu, 29 Feb 2024 23:59:59 GMT", 1709251199000, true, 0 },
        { "Sat, 31 Dec 2022 00:00:00 GMT", 1672444800000, true, 0 },
        { "Wed, 29 Feb 2023 23:59:59 GMT", 0, false, 0 },
        { "Sun, 06 Nov 1994 08:49:37 UTC", 0, false, 0 },
        { "Sun, 06 Nov 1994 08:49:37", 0, false, 0 },
        { "Sun, 06 Nov 1994 24:49:37 GMT", 0, false, 0 },
        { "Sun, 06 anF 1994 08:49:37 GMT", 0, false, 0 },
        { "Sun, 06 Foo 1994 08:49:37 GMT", 0, false, 0 },
        { "Sun, 6 Nov 1994 08:49:37 GMT ", 0, false, 0 },
        { "Sunday, 06-Nov-94 08:49:37 GMT", 0, false, 0 },
        { "1994-11-06T08:49:37Z", 0, false, 0 },
        { "", 0, false, 0 },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        int64_t offset_ms = 0;
        bool ok = retry_clock_offset(rows[i].date, rows[i].clock_ms, &offset_ms);
        CHECK_ROW(ok == rows[i].ok && offset_ms == rows[i].offset_ms, "%s: %d, %ld ms", rows[i].date, ok,
                  (long)offset_ms);
    }
}

int main(void)
{
    test_delays();
    test_quota();
    test_clock();
    return test_end();
}
