/* Whose turn it is: concurrency of a package, a registry that is down, room for what is received. */
#include "itemgend/request/backlog.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

static char *patterns[] = { (char[]){ "*" } };
static char *entries[] = { (char[]){ "one concurrency=1" }, (char[]){ "two concurrency=2" },
                           (char[]){ "two==9 concurrency=1" }, (char[]){ "any time_limit=1m" } };
static const struct itemgend_options config = {
    .allowed_packages = { .items = patterns, .n = N_ELEMENTS(patterns) },
    .packages = { .items = entries, .n = N_ELEMENTS(entries) },
};
static const struct err down = { .code = "registry_unavailable", .outage = true, .text = "it is down" };

enum { WORKERS = 3, PROBE_INTERVAL_MS = 5000 };

static struct packages *packages;

static struct parking *open_parking(void)
{
    struct parking *parking = NULL;
    const struct parking_options options = { .packages = packages,
                                             .workers = WORKERS,
                                             .probe_interval_ms = PROBE_INTERVAL_MS };
    CHECK(parking_new(&options, &parking, NULL) == 0);
    return parking;
}

/* A message's id is the package's name and a number: "one==1 a". */
static int make_job(const char *package, const char *id, struct job **ret)
{
    char body[200];
    snprintf(body, sizeof(body), "{\"package_name\":\"%s\",\"group_name\":\"g\",\"create_item_args\":[]}", package);
    struct sqs_message message = {
        .message_id = strdup(id), .receipt_handle = strdup("r"), .body = strdup(body), .body_len = strlen(body)
    };
    auto_job struct job *job = NULL;
    bool ok = message.message_id && message.receipt_handle && message.body && job_new(&message, &job, NULL) == 0 &&
              job_open(job, &config.allowed_packages, NULL) == 0;
    sqs_message_clear(&message);
    if (!ok)
        return -1;
    *ret = TAKE(job);
    return 0;
}

static void add(struct parking *parking, const char *package, const char *id)
{
    struct job *job = NULL;
    CHECK(make_job(package, id, &job) == 0);
    if (job)
        parking_add(parking, job);
}

/* Takes the one with this id; NULL: there is to be none. */
static struct job *take(struct parking *parking, const char *id, int64_t now_ms)
{
    struct job *job = parking_take(parking, now_ms);
    CHECK_STRING(job ? job->message.message_id : NULL, id);
    return job;
}

static void finish(struct parking *parking, struct job *job)
{
    if (!job)
        return;
    parking_done(parking, job);
    job_free(job);
}

static bool can_go(struct parking *parking)
{
    return parking_wait(parking, -1, 0);
}

static void test_order(void)
{
    struct parking *parking = open_parking();
    take(parking, NULL, 0);
    add(parking, "x", "1");
    add(parking, "any", "2");
    add(parking, "x", "3");
    for (int i = 1; i <= 3; i++)
        finish(parking, take(parking, (char[]){ (char)('0' + i), '\0' }, 0));
    take(parking, NULL, 0);
    parking_free(parking);
}

static void test_concurrency(void)
{
    struct parking *parking = open_parking();
    add(parking, "one", "a");
    add(parking, "One>=1", "b");
    add(parking, "two", "c");
    add(parking, "two==1", "d");
    add(parking, "two==9", "e");
    add(parking, "two", "f");
    add(parking, "free", "g");
    struct job *a = take(parking, "a", 0), *c = take(parking, "c", 0), *d = take(parking, "d", 0);
    struct job *e = take(parking, "e", 0), *g = take(parking, "g", 0);
    take(parking, NULL, 0);
    finish(parking, e); /* has an entry of its own: c's is as full as before */
    take(parking, NULL, 0);
    finish(parking, d);
    struct job *f = take(parking, "f", 0);
    take(parking, NULL, 0);
    finish(parking, a);
    finish(parking, take(parking, "b", 0));
    finish(parking, c);
    finish(parking, f);
    finish(parking, g);
    parking_free(parking);
}

static void test_room(void)
{
    struct parking *parking = open_parking();
    struct job *running = NULL;
    add(parking, "one", "a");
    running = take(parking, "a", 0);
    for (int i = 0; i < WORKERS; i++)
        add(parking, "one", "waiting");
    CHECK(!parking_is_full(parking) && can_go(parking));
    add(parking, "one", "last");
    CHECK(parking_is_full(parking) && !can_go(parking));
    add(parking, "x", "other");
    CHECK(parking_is_full(parking) && can_go(parking));
    finish(parking, take(parking, "other", 0));
    CHECK(!can_go(parking));
    finish(parking, running);
    CHECK(parking_is_full(parking) && can_go(parking));
    finish(parking, take(parking, "waiting", 0));
    CHECK(!parking_is_full(parking));
    for (int i = 0; i < WORKERS; i++)
        job_free(parking_take_any(parking));
    CHECK(!parking_take_any(parking));
    add(parking, "x", "left for parking_free");
    parking_free(parking);
}

static void fail(struct parking *parking, struct job *job, int64_t now_ms)
{
    if (job)
        parking_await_registry(parking, job, &down, now_ms);
}

static void test_registry(void)
{
    struct parking *parking = open_parking();
    add(parking, "x", "a");
    add(parking, "x", "b");
    add(parking, "x", "c");
    CHECK(parking_due_in_ms(parking, 0, 700) == 700);
    struct job *a = take(parking, "a", 0), *b = take(parking, "b", 0);
    fail(parking, a, 0);
    fail(parking, b, 500); /* known already: the first attempt again is at 1000 */
    finish(parking, take(parking, "c", 500));
    take(parking, NULL, 999);
    CHECK(parking_due_in_ms(parking, 400, 20000) == 600 && parking_due_in_ms(parking, 400, 100) == 100);
    CHECK(parking_due_in_ms(parking, 1001, 100) == 0);
    a = take(parking, "a", 1000);
    take(parking, NULL, 1000000); /* b does not try while a does */
    CHECK(parking_due_in_ms(parking, 1000000, 100) == 100);
    fail(parking, a, 1000);
    take(parking, NULL, 2999);
    b = take(parking, "b", 3000); /* each in its turn */
    fail(parking, b, 3000);
    a = take(parking, "a", 7000);
    fail(parking, a, 7000);
    take(parking, NULL, 7000 + PROBE_INTERVAL_MS - 1);
    add(parking, "x", "d");
    finish(parking, take(parking, "d", 7000)); /* its environment was there, which says nothing */
    b = take(parking, "b", 7000 + PROBE_INTERVAL_MS);
    take(parking, NULL, 7000 + PROBE_INTERVAL_MS);
    finish(parking, b);
    fail(parking, take(parking, "a", 12000), 12000); /* down again, and from the beginning */
    take(parking, NULL, 12999);
    finish(parking, take(parking, "a", 13000));
    take(parking, NULL, 100000);
    parking_free(parking);
}

static void test_registry_and_room(void)
{
    struct parking *parking = open_parking();
    add(parking, "one", "a");
    for (int i = 0; i < WORKERS; i++)
        add(parking, "x", "b");
    fail(parking, take(parking, "a", 0), 0);
    for (int i = 0; i < WORKERS; i++)
        fail(parking, take(parking, "b", 0), 0);
    CHECK(parking_is_full(parking) && !can_go(parking));
    struct job *a = take(parking, "a", 1000);
    CHECK(!parking_is_full(parking));
    add(parking, "one", "second");
    CHECK(parking_is_full(parking) && !can_go(parking));
    finish(parking, a);
    CHECK(can_go(parking));
    parking_free(parking);
}

static bool make_all(void *context)
{
    (void)context;
    const struct parking_options options = { .packages = packages, .workers = 1, .probe_interval_ms = 1 };
    struct parking *parking = NULL;
    struct job *job = NULL;
    bool ok = parking_new(&options, &parking, NULL) == 0 && make_job("one", "a", &job) == 0;
    if (ok)
        parking_add(parking, job);
    parking_free(parking);
    return ok;
}

int main(void)
{
    auto_buf struct buf errors = BUF_INIT;
    CHECK(packages_parse(&config, &packages, &errors) == 0 && errors.len == 0);
    test_order();
    test_concurrency();
    test_room();
    test_registry();
    test_registry_and_room();
    test_failing_allocations(make_all, NULL);
    packages_free(packages);
    return test_end();
}
