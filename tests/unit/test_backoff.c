#include "base/backoff.h"

#include "test.h"

enum { MINUTE_MS = 60000 };

static const struct {
    int64_t first_ms;
    int factor;
    int64_t max_ms;
    int failures;
    int64_t expected_ms;
} rows[] = {
    { 1000, 2, 10000, 1, 1000 },
    { 1000, 2, 10000, 2, 2000 },
    { 1000, 2, 10000, 4, 8000 },
    { 1000, 2, 10000, 5, 10000 },
    { 1000, 2, 10000, INT32_MAX, 10000 },
    { 1000, 2, 10000, 0, 1000 },
    { 1000, 2, 100, 1, 100 },
    { 30000, 3, 10 * MINUTE_MS, 3, 270000 },
    { 30000, 3, 10 * MINUTE_MS, 4, 10 * MINUTE_MS },
    { 0, 3, 10 * MINUTE_MS, INT32_MAX, 0 },
    { 1, 3, INT64_MAX, 39, 1350851717672992089 },
    { 1, 3, INT64_MAX, 1000, INT64_MAX },
};

static const struct {
    int64_t wait_ms;
    double unit;
    int64_t expected_ms;
} jitters[] = {
    { 30000, 0, 30000 }, { 30000, 0.5, 26250 }, { 600000, 0.9999, 450015 }, { 0, 0.5, 0 }, { 1, 0.9999, 1 },
};

int main(void)
{
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        int64_t got_ms = backoff_ms(rows[i].first_ms, rows[i].factor, rows[i].max_ms, rows[i].failures);
        CHECK_ROW(got_ms == rows[i].expected_ms, "row %zu: %lld", i, (long long)got_ms);
    }
    for (size_t i = 0; i < N_ELEMENTS(jitters); i++) {
        int64_t got_ms = backoff_jitter_ms(jitters[i].wait_ms, jitters[i].unit);
        CHECK_ROW(got_ms == jitters[i].expected_ms, "jitter %zu: %lld", i, (long long)got_ms);
    }
    return test_end();
}
