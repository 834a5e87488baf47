#include "test.h"

#include <string.h>

#include "aws/aws_batch.h"

enum { ITEMS_MAX = 200 };

struct entries {
    struct aws_batch_item items[ITEMS_MAX];
    int results[ITEMS_MAX];
    struct err errs[ITEMS_MAX];
    struct aws_batch batch;
};

static void begin(struct entries *entries, size_t n, const size_t *sizes, size_t size_max)
{
    memset(entries, 0, sizeof(*entries));
    for (size_t i = 0; i < n; i++)
        entries->items[i] = (struct aws_batch_item){
            .index = i, .size = sizes ? sizes[i] : 1, .result = &entries->results[i], .err = &entries->errs[i]
        };
    entries->batch = (struct aws_batch){ .items = entries->items, .n = n, .size_max = size_max };
}

static size_t settle_all(struct aws_batch *batch)
{
    size_t n = 0;
    for (size_t g = 0; g < batch->n_groups; g++)
        for (size_t i = 0; i < batch->groups[g].n; i++, n++)
            aws_batch_done(batch->groups[g].items[i]);
    return n;
}

/* Requests have ten entries, and never more requests than allowed are sent at once. */
static void test_tens(struct entries *entries)
{
    static const size_t numbers[] = { 0, 1, 9, 10, 11, 25, 159, 160, 161, 200 };
    for (size_t k = 0; k < N_ELEMENTS(numbers); k++) {
        size_t n = numbers[k], sent = 0;
        begin(entries, n, NULL, 1000);
        while (aws_batch_next(&entries->batch, NULL)) {
            CHECK(entries->batch.n_groups <= AWS_BATCH_REQUESTS_MAX);
            for (size_t g = 0; g + 1 < entries->batch.n_groups; g++)
                CHECK(entries->batch.groups[g].n == AWS_BATCH_ENTRIES_MAX);
            sent += settle_all(&entries->batch);
        }
        CHECK_ROW(sent == n, "%zu of %zu", sent, n);
    }
}

/* A request has at most size_max bytes; a larger entry is sent alone. */
static void test_sizes(struct entries *entries)
{
    static const size_t sizes[] = { 60, 40, 1, 99, 1, 50, 50, 100, 130, 5 };
    /* 60+40 | 1+99 | 1+50 | 50 | 100 | 130 | 5 */
    static const size_t groups[] = { 2, 2, 2, 1, 1, 1, 1 };
    begin(entries, N_ELEMENTS(sizes), sizes, 100);
    CHECK(aws_batch_next(&entries->batch, NULL));
    CHECK(entries->batch.n_groups == N_ELEMENTS(groups));
    for (size_t g = 0; g < entries->batch.n_groups && g < N_ELEMENTS(groups); g++)
        CHECK_ROW(entries->batch.groups[g].n == groups[g], "group %zu: %zu", g, entries->batch.groups[g].n);
}

static void test_find(struct entries *entries)
{
    begin(entries, 3, NULL, 100);
    CHECK(aws_batch_next(&entries->batch, NULL) && entries->batch.n_groups == 1);
    struct aws_batch_group *group = &entries->batch.groups[0];
    static const char *const none[] = { "3", "-1", "", "x", "1 ", "00x", "99999999999999999999" };
    for (size_t i = 0; i < N_ELEMENTS(none); i++)
        CHECK_ROW(!aws_batch_find(group, none[i]), "\"%s\"", none[i]);
    CHECK(!aws_batch_find(group, NULL));
    struct aws_batch_item *item = aws_batch_find(group, "1");
    CHECK(item == &entries->items[1]);
    aws_batch_done(item);
    CHECK(!aws_batch_find(group, "1")); /* already reported */
    aws_batch_unanswered(&entries->batch, group);
    CHECK(entries->results[0] == LATER && entries->results[1] == 0 && entries->results[2] == LATER);
    CHECK(entries->items[0].state == AWS_BATCH_AGAIN);
}

/* A rejected request is sent again entry by entry, together with entries that were not sent yet. */
static void test_split(struct entries *entries)
{
    begin(entries, 4, NULL, 100);
    CHECK(aws_batch_next(&entries->batch, NULL) && entries->batch.n_groups == 1);
    aws_batch_split(&entries->batch.groups[0]);
    entries->items[3].state = AWS_BATCH_READY; /* as if it had not been sent yet */
    CHECK(aws_batch_next(&entries->batch, NULL) && entries->batch.n_groups == 4);
    struct err err = ERR_INIT;
    (void)!err_never(&err, "invalid_message", "no");
    aws_batch_request_failed(&entries->batch.groups[0], NEVER, &err);
    CHECK(entries->results[0] == NEVER && err_is(&entries->errs[0], "invalid_message"));
    aws_batch_done(&entries->items[1]);
    aws_batch_done(&entries->items[2]);
    aws_batch_done(&entries->items[3]);
    CHECK(!aws_batch_next(&entries->batch, NULL));
}

static void test_codes(struct entries *entries)
{
    begin(entries, 2, NULL, 100);
    CHECK(aws_batch_next(&entries->batch, NULL));
    aws_batch_failed(&entries->batch, &entries->items[0], "InternalError", "m");
    CHECK(!entries->batch.throttled && err_is(&entries->errs[0], "service_unavailable"));
    aws_batch_failed(&entries->batch, &entries->items[1], "ThrottlingException", "m");
    CHECK(entries->batch.throttled && err_is(&entries->errs[1], "throttled"));
}

int main(void)
{
    static struct entries entries;
    test_tens(&entries);
    test_sizes(&entries);
    test_find(&entries);
    test_split(&entries);
    test_codes(&entries);
    return test_end();
}
