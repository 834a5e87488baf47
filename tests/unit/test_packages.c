/* packages: the syntax of an entry, and which entry applies to a requirement. */
#include "itemgend/request/packages.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

static char *patterns[] = { (char[]){ "stactools-*" } };
static const struct limits defaults = {
    .memory = 1, .time_ms = 2, .cpu_ms = 3, .processes = 4, .files = 5, .disk = 6, .output = 7
};

/* `words` NULL: the entry is valid. */
static const struct {
    const char *entries[3];
    const char *words;
} rows[] = {
    { { NULL }, NULL },
    { { "stactools-x" }, NULL },
    { { "stactools-x==1.0  memory_limit=2GiB  time_limit=10m cpu_limit=5m process_limit=3 open_files_limit=64 "
        "disk_limit=2MiB output_limit=4KiB concurrency=2" },
      NULL },
    { { "stactools-x", "stactools-x==1", "stactools-x[a,b]>=1,<2" }, NULL },
    { { "stactools-x", "STACTOOLS_x" }, "packages: \"STACTOOLS_x\": this requirement already has an entry" },
    { { "requests" }, "packages: \"requests\": package \"requests\" is not allowed here: it matches no pattern" },
    { { "stactools-x,y" }, "not a plain requirement" },
    { { "--help" }, "not a plain requirement" },
    { { "memory_limit=1GiB" }, "not a plain requirement" },
    { { "stactools-x memory_limit" }, "\"memory_limit\" is not KEY=VALUE" },
    { { "stactools-x item_limit=1MiB" }, "item_limit: unknown limit" },
    { { "stactools-x queue_url=x" }, "queue_url: unknown limit" },
    { { "stactools-x memory_limit=1" }, "memory_limit: " },
    { { "stactools-x memory_limit=lots" }, "memory_limit: " },
    { { "stactools-x time_limit=" }, "\"time_limit=\" is not KEY=VALUE" },
    { { "stactools-x concurrency=0" }, "concurrency: " },
    { { "stactools-x concurrency=2 process_limit=-1" }, "process_limit: " },
};

static int parse(size_t row, struct packages **ret, struct buf *errors)
{
    static char copies[3][200];
    char *items[3];
    struct itemgend_options options = { .allowed_packages = { .items = patterns, .n = 1 },
                                        .packages = { .items = items } };
    for (; options.packages.n < 3 && rows[row].entries[options.packages.n]; options.packages.n++) {
        char *copy = copies[options.packages.n];
        snprintf(copy, sizeof(copies[0]), "%s", rows[row].entries[options.packages.n]);
        items[options.packages.n] = copy;
    }
    return packages_parse(&options, ret, errors);
}

static bool try_parse(void *context)
{
    auto_packages struct packages *packages = NULL;
    auto_buf struct buf errors = BUF_INIT;
    return parse(*(const size_t *)context, &packages, &errors) == 0 && !buf_failed(&errors);
}

static void test_entries(void)
{
    for (size_t row = 0; row < N_ELEMENTS(rows); row++) {
        auto_packages struct packages *packages = NULL;
        auto_buf struct buf errors = BUF_INIT;
        CHECK(parse(row, &packages, &errors) == 0);
        CHECK_ROW(!rows[row].words == (errors.len == 0), "row %zu: %s", row, buf_str(&errors));
        CHECK_ROW(!rows[row].words || strstr(buf_str(&errors), rows[row].words), "row %zu: %s", row, buf_str(&errors));
        test_failing_allocations(try_parse, &row);
    }
}

static bool equal(const struct limits *a, const struct limits *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static void test_limits(void)
{
    auto_packages struct packages *packages = NULL;
    auto_buf struct buf errors = BUF_INIT;
    struct limits got;
    CHECK(parse(2, &packages, &errors) == 0);
    const struct limits all = { .memory = INT64_C(2) << 30,
                                .time_ms = 600000,
                                .cpu_ms = 300000,
                                .processes = 3,
                                .files = 64,
                                .disk = 2 << 20,
                                .output = 4096 };
    packages_limits(packages, "Stactools.X==1.0", &defaults, &got);
    CHECK(equal(&got, &all));
    CHECK(packages_find(packages, "stactools-x==1.0")->concurrency == 2);
    CHECK(!packages_find(packages, "stactools-x==1.0.0"));
    CHECK(!packages_find(packages, "stactools-x"));
    packages_limits(packages, "stactools-x", &defaults, &got);
    CHECK(equal(&got, &defaults));
}

static void test_the_more_exact_wins(void)
{
    static const struct {
        const char *requirement, *entry;
    } finds[] = {
        { "stactools-x", "stactools-x" },
        { "stactools_x[a]", "stactools-x" },
        { "stactools-x==1", "stactools-x==1" },
        { "stactools-x==1.0", "stactools-x" },
        { "Stactools-X[a,b]>=1,<2", "stactools-x[a,b]>=1,<2" },
        { "stactools-xy", NULL },
    };
    auto_packages struct packages *packages = NULL;
    auto_buf struct buf errors = BUF_INIT;
    CHECK(parse(3, &packages, &errors) == 0);
    for (size_t i = 0; i < N_ELEMENTS(finds); i++) {
        const struct package *found = packages_find(packages, finds[i].requirement);
        CHECK_STRING(found ? found->requirement : NULL, finds[i].entry);
    }
}

int main(void)
{
    test_entries();
    test_limits();
    test_the_more_exact_wins();
    return test_end();
}
