#include "worker/settle.h"

#include "test.h"

enum { MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS, TEN_MINUTES_MS = 10 * MINUTE_MS };

static const struct {
    int result, receive_count;
    bool has_lease;
    enum settle_action expected;
} decisions[] = {
    /* five attempts */
    { 0, 1, true, SETTLE_ACTION_DELETE },
    { 0, 5, true, SETTLE_ACTION_DELETE },
    { LATER, 1, true, SETTLE_ACTION_BACK_OFF },
    { LATER, 4, true, SETTLE_ACTION_BACK_OFF },
    { LATER, 5, true, SETTLE_ACTION_DEAD_LETTER },
    { LATER, 6, true, SETTLE_ACTION_DEAD_LETTER }, /* the receive in reserve */
    { NEVER, 1, true, SETTLE_ACTION_DEAD_LETTER },
    { NEVER, 6, true, SETTLE_ACTION_DEAD_LETTER },
    { SETTLE_RETURN, 1, true, SETTLE_ACTION_RELEASE },
    { SETTLE_RETURN, 4, true, SETTLE_ACTION_RELEASE },
    { SETTLE_RETURN, 5, true, SETTLE_ACTION_DEAD_LETTER },
    /* Another consumer may have it: its result decides. Done is done. */
    { 0, 1, false, SETTLE_ACTION_DELETE },
    { LATER, 1, false, SETTLE_ACTION_ABANDON },
    { LATER, 5, false, SETTLE_ACTION_ABANDON },
    { NEVER, 1, false, SETTLE_ACTION_ABANDON },
    { SETTLE_RETURN, 1, false, SETTLE_ACTION_ABANDON },
    { SETTLE_RETURN, 5, false, SETTLE_ACTION_ABANDON },
};

static const struct {
    int64_t min_ms, max_ms;
    int receive_count;
    int64_t leased_ms;
    double unit;
    int expected_s;
} backoffs[] = {
    { 30000, TEN_MINUTES_MS, 1, 0, 0, 30 },
    { 30000, TEN_MINUTES_MS, 2, 0, 0, 90 },
    { 30000, TEN_MINUTES_MS, 3, 0, 0, 270 },
    { 30000, TEN_MINUTES_MS, 4, 0, 0, 600 },
    { 30000, TEN_MINUTES_MS, INT32_MAX, 0, 0, 600 },
    { 30000, TEN_MINUTES_MS, 4, 0, 0.9999, 451 },
    { 1001, TEN_MINUTES_MS, 1, 0, 0, 2 }, /* rounded up */
    { 0, 0, 1, 0, 0, 1 },                 /* never 0, which would release it */
    { 1, 1, 1, 0, 0, 1 },
    /* Within the 12 hours of a lease, with a second to spare. */
    { 12 * HOUR_MS, 12 * HOUR_MS, 1, 0, 0, 43199 },
    { TEN_MINUTES_MS, TEN_MINUTES_MS, 1, 12 * HOUR_MS - MINUTE_MS, 0, 59 },
    { TEN_MINUTES_MS, TEN_MINUTES_MS, 1, 12 * HOUR_MS, 0, 1 },
    { TEN_MINUTES_MS, TEN_MINUTES_MS, 1, 13 * HOUR_MS, 0, 1 },
    { 1, INT64_MAX, 1000, 0, 0, 43199 },
};

static const struct {
    int max_receive_count, attempts;
} redrives[] = { { 0, 5 }, { 1, 1 }, { 2, 1 }, { 3, 2 }, { 5, 4 }, { 6, 5 }, { 1000, 999 } };

int main(void)
{
    for (size_t i = 0; i < N_ELEMENTS(decisions); i++) {
        enum settle_action got =
            settle_decide(decisions[i].result, decisions[i].receive_count, 5, decisions[i].has_lease);
        CHECK_ROW(got == decisions[i].expected, "row %zu: %d", i, (int)got);
    }
    for (size_t i = 0; i < N_ELEMENTS(redrives); i++) {
        int got = settle_attempts(redrives[i].max_receive_count);
        CHECK_ROW(got == redrives[i].attempts, "row %zu: %d", i, got);
    }
    for (size_t i = 0; i < N_ELEMENTS(backoffs); i++) {
        int got_s = settle_backoff_s(backoffs[i].min_ms, backoffs[i].max_ms, backoffs[i].receive_count,
                                     backoffs[i].leased_ms, backoffs[i].unit);
        CHECK_ROW(got_s == backoffs[i].expected_s, "row %zu: %d", i, got_s);
    }
    /* The waits between five attempts, on average: about 15 minutes. */
    int sum_s = 0;
    for (int i = 1; i < 5; i++)
        sum_s += settle_backoff_s(30000, TEN_MINUTES_MS, i, 0, 0.5);
    CHECK(sum_s > 14 * 60 && sum_s < 16 * 60);
    return test_end();
}
