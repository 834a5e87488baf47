#include "worker/lease_table.h"

#include <stdio.h>

#include "test.h"

enum { START_MS = 1000000, VISIBILITY_MS = 30000, HOURS_12_MS = SQS_VISIBILITY_MAX_S * 1000 };

static struct lease_table table;
static struct lease_round lease_round; /* too large for a stack */

static void begin(size_t n, int64_t received_at_ms)
{
    lease_table_init(&table, VISIBILITY_MS);
    for (size_t i = 0; i < n; i++) {
        char handle[32];
        struct err err = ERR_INIT;
        snprintf(handle, sizeof(handle), "handle %zu", i);
        CHECK(lease_table_add(&table, handle, received_at_ms, &err) == 0);
    }
}

static struct lease *first(void)
{
    return lease_table_find(&table, "handle 0");
}

/* A round at `now_ms` whose call takes 100 ms; each request gets `result`. */
static size_t run_round(int64_t now_ms, int call_result, int result)
{
    lease_table_begin_round(&table, now_ms, &lease_round);
    for (size_t i = 0; i < lease_round.n; i++) {
        CHECK(lease_round.leases[i]->is_renewing);
        lease_round.requests[i].result = result;
    }
    return lease_table_end_round(&table, &lease_round, call_result, now_ms, now_ms + 100);
}

static void test_a_lease_is_renewed_at_half_its_time(void)
{
    begin(1, START_MS);
    CHECK(table.next_at_ms == START_MS + VISIBILITY_MS / 2);
    CHECK(run_round(START_MS + VISIBILITY_MS / 2 - LEASE_SLACK_MS - 1, 0, 0) == 0);
    CHECK(table.next_at_ms == START_MS + VISIBILITY_MS / 2);
    int64_t now_ms = START_MS + VISIBILITY_MS / 2 - LEASE_SLACK_MS;
    CHECK(run_round(now_ms, 0, 0) == 1);
    CHECK(lease_round.requests[0].visibility_s == VISIBILITY_MS / 1000);
    CHECK_STRING(lease_round.requests[0].receipt_handle, "handle 0");
    CHECK(!first()->is_renewing && !first()->is_lost);
    /* From the time before the call: SQS may have counted from there. */
    CHECK(table.next_at_ms == now_ms + VISIBILITY_MS / 2);
    lease_table_clear(&table);
}

static void test_the_earliest_lease_is_first(void)
{
    struct err err = ERR_INIT;
    begin(1, START_MS);
    CHECK(lease_table_add(&table, "older", START_MS - 5000, &err) == 0);
    CHECK(lease_table_add(&table, "newer", START_MS + 5000, &err) == 0);
    CHECK(table.next_at_ms == START_MS - 5000 + VISIBILITY_MS / 2);
    CHECK(run_round(table.next_at_ms, 0, 0) == 1);
    CHECK_STRING(lease_round.requests[0].receipt_handle, "older");
    CHECK(table.next_at_ms == START_MS + VISIBILITY_MS / 2);
    lease_table_clear(&table);
}

static void test_a_handle_has_one_lease(void)
{
    struct err err = ERR_INIT;
    begin(2, START_MS);
    CHECK(lease_table_add(&table, "handle 0", START_MS + 1, &err) == 0);
    CHECK(table.n == 2);
    CHECK(first()->renew_at_ms == START_MS + VISIBILITY_MS / 2);
    lease_table_remove(&table, first());
    CHECK(table.n == 1 && !first());
    CHECK(lease_table_find(&table, "handle 1") != NULL);
    CHECK(run_round(START_MS + VISIBILITY_MS, 0, 0) == 1);
    lease_table_clear(&table);
    CHECK(table.n == 0 && !lease_table_find(&table, "handle 1"));
}

static void test_an_empty_table_waits(void)
{
    begin(0, START_MS);
    CHECK(table.next_at_ms == INT64_MAX);
    CHECK(run_round(START_MS, 0, 0) == 0);
    CHECK(table.next_at_ms == INT64_MAX);
    begin(1, START_MS);
    lease_table_remove(&table, first());
    CHECK(run_round(table.next_at_ms, 0, 0) == 0);
    CHECK(table.next_at_ms == INT64_MAX);
    lease_table_clear(&table);
}

static void test_a_failure_is_tried_again_in_a_second(void)
{
    static const struct {
        int call_result, result;
    } rows[] = { { 0, LATER }, { LATER, 0 }, { NEVER, 0 }, { -12, 0 } };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        begin(3, START_MS);
        int64_t now_ms = START_MS + VISIBILITY_MS / 2;
        CHECK(run_round(now_ms, rows[i].call_result, rows[i].result) == 0);
        CHECK_ROW(!first()->is_lost && !first()->is_renewing, "row %zu", i);
        CHECK_ROW(table.next_at_ms == now_ms + 100 + LEASE_RETRY_MS, "row %zu: %lld", i, (long long)table.next_at_ms);
        lease_table_clear(&table);
    }
}

/* SQS is down: a lease that is due between does not make requests more frequent. */
static void test_when_all_fail_the_others_wait_too(void)
{
    struct err err = ERR_INIT;
    begin(1, START_MS);
    int64_t now_ms = START_MS + VISIBILITY_MS / 2;
    CHECK(lease_table_add(&table, "next", START_MS + LEASE_SLACK_MS + 1, &err) == 0);
    CHECK(run_round(now_ms, LATER, 0) == 0);
    CHECK(lease_round.n == 1);
    CHECK(table.next_at_ms == now_ms + 100 + LEASE_RETRY_MS);
    lease_table_clear(&table);
}

static void test_a_rejected_handle_is_lost(void)
{
    begin(1, START_MS);
    CHECK(run_round(START_MS + VISIBILITY_MS / 2, 0, NEVER) == 0);
    CHECK(first()->is_lost);
    CHECK(table.next_at_ms == INT64_MAX);
    CHECK(run_round(START_MS + VISIBILITY_MS, 0, 0) == 0);
    CHECK(lease_round.n == 0 && table.n == 1);
    lease_table_clear(&table);
}

/* In the last half minute a renewal asks for less, and in the last second for nothing. */
static void test_twelve_hours_are_the_end(void)
{
    static const struct {
        int64_t left_ms;
        int visibility_s; /* 0: no request */
    } rows[] = { { VISIBILITY_MS + 1, 30 }, { VISIBILITY_MS - 1, 29 }, { 1000, 1 }, { 999, 0 }, { 0, 0 }, { -1, 0 } };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        begin(1, START_MS);
        lease_table_begin_round(&table, START_MS + HOURS_12_MS - rows[i].left_ms, &lease_round);
        bool is_asked = rows[i].visibility_s > 0;
        CHECK_ROW(lease_round.n == is_asked && lease_round.n_expired == !is_asked, "row %zu", i);
        CHECK_ROW(first()->is_lost == !is_asked, "row %zu", i);
        if (is_asked)
            CHECK_ROW(lease_round.requests[0].visibility_s == rows[i].visibility_s, "row %zu", i);
        lease_table_clear(&table);
    }
}

static void test_a_working_day_of_renewals(void)
{
    int n = 0;
    begin(1, START_MS);
    for (; table.next_at_ms != INT64_MAX && n < 5000; n++) {
        int64_t now_ms = table.next_at_ms;
        (void)run_round(now_ms, 0, 0);
        for (size_t i = 0; i < lease_round.n; i++)
            CHECK(now_ms + lease_round.requests[i].visibility_s * 1000 <= START_MS + HOURS_12_MS);
    }
    /* Each 15 s, then some shorter ones until nothing is left. */
    CHECK_ROW(n > 2880 && n < 2900, "%d", n);
    CHECK(first()->is_lost && lease_round.n_expired == 1);
    lease_table_clear(&table);
}

static void test_a_round_is_limited(void)
{
    begin(2 * LEASE_ROUND_MAX + 7, START_MS);
    int64_t now_ms = START_MS + VISIBILITY_MS / 2;
    CHECK(run_round(now_ms, 0, 0) == LEASE_ROUND_MAX);
    CHECK(table.next_at_ms <= now_ms);
    CHECK(run_round(now_ms, 0, 0) == LEASE_ROUND_MAX);
    CHECK(run_round(now_ms, 0, 0) == 7);
    CHECK(table.next_at_ms == now_ms + VISIBILITY_MS / 2);
    lease_table_clear(&table);
}

static bool add_some(void *context)
{
    (void)context;
    struct err err = ERR_INIT;
    lease_table_init(&table, VISIBILITY_MS);
    int r = 0;
    for (int i = 0; i < 3 && r == 0; i++)
        r = lease_table_add(&table, (const char *[]){ "a", "b", "c" }[i], START_MS, &err);
    CHECK(r == 0 ? table.n == 3 : table.n < 3 && r < 0);
    lease_table_clear(&table);
    return r == 0;
}

int main(void)
{
    test_a_lease_is_renewed_at_half_its_time();
    test_the_earliest_lease_is_first();
    test_a_handle_has_one_lease();
    test_an_empty_table_waits();
    test_a_failure_is_tried_again_in_a_second();
    test_when_all_fail_the_others_wait_too();
    test_a_rejected_handle_is_lost();
    test_twelve_hours_are_the_end();
    test_a_working_day_of_renewals();
    test_a_round_is_limited();
    test_failing_allocations(add_some, NULL);
    return test_end();
}
