/* backlog: whose turn it is, with a package's concurrency, a registry that is down, and a full backlog. */
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

static struct backlog *open_backlog(void)
{
    struct backlog *backlog = NULL;
    const struct backlog_options options = { .packages = packages,
                                             .workers = WORKERS,
                                             .probe_interval_ms = PROBE_INTERVAL_MS };
    CHECK(backlog_new(&options, &backlog, NULL) == 0);
    return backlog;
}

/* `id` is the message's id. */
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

static void add(struct backlog *backlog, const char *package, const char *id)
{
    struct job *job = NULL;
    CHECK(make_job(package, id, &job) == 0);
    if (job)
        backlog_add(backlog, job);
}

/* Takes the job with this id; NULL: expects none. */
static struct job *take(struct backlog *backlog, const char *id, int64_t now_ms)
{
    struct job *job = backlog_take(backlog, now_ms);
    CHECK_STRING(job ? job->message.message_id : NULL, id);
    return job;
}

static void finish(struct backlog *backlog, struct job *job)
{
    if (!job)
        return;
    backlog_done(backlog, job);
    job_free(job);
}

static bool can_go(struct backlog *backlog)
{
    return backlog_wait(backlog, -1, 0);
}

static void test_order(void)
{
    struct backlog *backlog = open_backlog();
    take(backlog, NULL, 0);
    add(backlog, "x", "1");
    add(backlog, "any", "2");
    add(backlog, "x", "3");
    for (int i = 1; i <= 3; i++)
        finish(backlog, take(backlog, (char[]){ (char)('0' + i), '\0' }, 0));
    take(backlog, NULL, 0);
    backlog_free(backlog);
}

static void test_concurrency(void)
{
    struct backlog *backlog = open_backlog();
    add(backlog, "one", "a");
    add(backlog, "One>=1", "b");
    add(backlog, "two", "c");
    add(backlog, "two==1", "d");
    add(backlog, "two==9", "e");
    add(backlog, "two", "f");
    add(backlog, "free", "g");
    struct job *a = take(backlog, "a", 0), *c = take(backlog, "c", 0), *d = take(backlog, "d", 0);
    struct job *e = take(backlog, "e", 0), *g = take(backlog, "g", 0);
    take(backlog, NULL, 0);
    finish(backlog, e); /* e has an entry of its own, so the entry of c and d stays full */
    take(backlog, NULL, 0);
    finish(backlog, d);
    struct job *f = take(backlog, "f", 0);
    take(backlog, NULL, 0);
    finish(backlog, a);
    finish(backlog, take(backlog, "b", 0));
    finish(backlog, c);
    finish(backlog, f);
    finish(backlog, g);
    backlog_free(backlog);
}

static void test_room(void)
{
    struct backlog *backlog = open_backlog();
    struct job *running = NULL;
    add(backlog, "one", "a");
    running = take(backlog, "a", 0);
    for (int i = 0; i < WORKERS; i++)
        add(backlog, "one", "waiting");
    CHECK(!backlog_is_full(backlog) && can_go(backlog));
    add(backlog, "one", "last");
    CHECK(backlog_is_full(backlog) && !can_go(backlog));
    add(backlog, "x", "other");
    CHECK(backlog_is_full(backlog) && can_go(backlog));
    finish(backlog, take(backlog, "other", 0));
    CHECK(!can_go(backlog));
    finish(backlog, running);
    CHECK(backlog_is_full(backlog) && can_go(backlog));
    finish(backlog, take(backlog, "waiting", 0));
    CHECK(!backlog_is_full(backlog));
    for (int i = 0; i < WORKERS; i++)
        job_free(backlog_take_any(backlog));
    CHECK(!backlog_take_any(backlog));
    add(backlog, "x", "left for backlog_free");
    backlog_free(backlog);
}

static void fail(struct backlog *backlog, struct job *job, int64_t now_ms)
{
    if (job)
        backlog_await_registry(backlog, job, &down, now_ms);
}

static void test_registry(void)
{
    struct backlog *backlog = open_backlog();
    add(backlog, "x", "a");
    add(backlog, "x", "b");
    add(backlog, "x", "c");
    CHECK(backlog_due_in_ms(backlog, 0, 700) == 700);
    struct job *a = take(backlog, "a", 0), *b = take(backlog, "b", 0);
    fail(backlog, a, 0);
    fail(backlog, b, 500); /* not news: the first probe stays at 1000 */
    finish(backlog, take(backlog, "c", 500));
    take(backlog, NULL, 999);
    CHECK(backlog_due_in_ms(backlog, 400, 20000) == 600 && backlog_due_in_ms(backlog, 400, 100) == 100);
    CHECK(backlog_due_in_ms(backlog, 1001, 100) == 0);
    a = take(backlog, "a", 1000);
    take(backlog, NULL, 1000000); /* b does not probe while a does */
    CHECK(backlog_due_in_ms(backlog, 1000000, 100) == 100);
    fail(backlog, a, 1000);
    take(backlog, NULL, 2999);
    b = take(backlog, "b", 3000); /* they take turns */
    fail(backlog, b, 3000);
    a = take(backlog, "a", 7000);
    fail(backlog, a, 7000);
    take(backlog, NULL, 7000 + PROBE_INTERVAL_MS - 1);
    add(backlog, "x", "d");
    finish(backlog, take(backlog, "d", 7000)); /* its environment existed, so the registry was not used */
    b = take(backlog, "b", 7000 + PROBE_INTERVAL_MS);
    take(backlog, NULL, 7000 + PROBE_INTERVAL_MS);
    finish(backlog, b);
    fail(backlog, take(backlog, "a", 12000), 12000); /* down again: the waits start from the beginning */
    take(backlog, NULL, 12999);
    finish(backlog, take(backlog, "a", 13000));
    take(backlog, NULL, 100000);
    backlog_free(backlog);
}

static void test_registry_and_room(void)
{
    struct backlog *backlog = open_backlog();
    add(backlog, "one", "a");
    for (int i = 0; i < WORKERS; i++)
        add(backlog, "x", "b");
    fail(backlog, take(backlog, "a", 0), 0);
    for (int i = 0; i < WORKERS; i++)
        fail(backlog, take(backlog, "b", 0), 0);
    CHECK(backlog_is_full(backlog) && !can_go(backlog));
    struct job *a = take(backlog, "a", 1000);
    CHECK(!backlog_is_full(backlog));
    add(backlog, "one", "second");
    CHECK(backlog_is_full(backlog) && !can_go(backlog));
    finish(backlog, a);
    CHECK(can_go(backlog));
    backlog_free(backlog);
}

static bool make_all(void *context)
{
    (void)context;
    const struct backlog_options options = { .packages = packages, .workers = 1, .probe_interval_ms = 1 };
    struct backlog *backlog = NULL;
    struct job *job = NULL;
    bool ok = backlog_new(&options, &backlog, NULL) == 0 && make_job("one", "a", &job) == 0;
    if (ok)
        backlog_add(backlog, job);
    backlog_free(backlog);
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
