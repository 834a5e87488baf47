#include "worker/settle.h"

#include "test.h"

enum { MINUTE_MS = 60000 };

static const struct {
    int64_t min_ms, max_ms;
    int receive_count;
    double unit;
    int64_t expected_ms;
} rows[] = {
    { 30000, 10 * MINUTE_MS, 1, 0, 30000 },   { 30000, 10 * MINUTE_MS, 2, 0, 90000 },
    { 30000, 10 * MINUTE_MS, 3, 0, 270000 },  { 30000, 10 * MINUTE_MS, 4, 0, 600000 },
    { 30000, 10 * MINUTE_MS, 5, 0, 600000 },  { 30000, 10 * MINUTE_MS, INT32_MAX, 0, 600000 },
    { 30000, 10 * MINUTE_MS, 1, 0.5, 26250 }, { 30000, 10 * MINUTE_MS, 4, 0.9999, 450015 },
    { 30000, 10 * MINUTE_MS, 0, 0, 30000 },   { 30000, 10000, 3, 0, 10000 },
    { 0, 10 * MINUTE_MS, INT32_MAX, 0, 0 },   { 1, INT64_MAX, 39, 0, 1350851717672992089 },
    { 1, INT64_MAX, 1000, 0, INT64_MAX },
};

static const struct {
    int max_receive_count, attempts;
} redrives[] = { { 0, 5 }, { 1, 1 }, { 2, 1 }, { 3, 2 }, { 5, 4 }, { 6, 5 }, { 1000, 999 } };

int main(void)
{
    for (size_t i = 0; i < N_ELEMENTS(redrives); i++) {
        int got = settle_attempts(redrives[i].max_receive_count);
        CHECK_ROW(got == redrives[i].attempts, "row %zu: %d", i, got);
    }
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        int64_t got_ms = settle_backoff_ms(rows[i].min_ms, rows[i].max_ms, rows[i].receive_count, rows[i].unit);
        CHECK_ROW(got_ms == rows[i].expected_ms, "row %zu: %lld", i, (long long)got_ms);
    }
    /* The waits between five attempts, on average: about 15 minutes. */
    int64_t sum_ms = 0;
    for (int i = 1; i < 5; i++)
        sum_ms += settle_backoff_ms(30000, 10 * MINUTE_MS, i, 0.5);
    CHECK(sum_ms > 14 * MINUTE_MS && sum_ms < 16 * MINUTE_MS);
    return test_end();
}
