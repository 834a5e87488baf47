#include "daemon/metrics.h"

#include "base/json.h"
#include "daemon/service.h"
#include "test.h"

static const struct config_schema schema = { .prefix = "TESTD" };
static const struct daemon daemon = { .name = "testd", .schema = &schema, .metrics = METRICS_ITEMGEND },
                           batcher = { .name = "batcher", .schema = &schema, .metrics = METRICS_ITEMLOADD };

static const struct metrics before = { .received = 100, .items = 7, .held = 3 };
static const struct metrics metrics = { .started_at_ms = 1700000000123,
                                        .received = 112,
                                        .done = 5,
                                        .items = 7,
                                        .batches = 2,
                                        .age_ms = 61007,
                                        .work_ms = 1500,
                                        .held = 9,
                                        .workers = 2,
                                        .waiting = 1,
                                        .ready = 1 };

/* The line that begins with this name and a blank, without both. */
static const char *sample(const char *text, const char *name, char ret[64])
{
    size_t len = strlen(name);
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, name, len) != 0 || line[len] != ' ')
            continue;
        size_t value_len = strcspn(line + len + 1, "\n");
        CHECK(value_len < 64);
        memcpy(ret, line + len + 1, value_len);
        ret[value_len] = '\0';
        return ret;
    }
    return NULL;
}

static const struct {
    const char *name, *value; /* NULL: not there */
} samples[] = {
    { "testd_build_info{version=\"" VERSION "\"}", "1" },
    { "testd_messages_received_total", "112" },
    { "testd_messages_never_total", "0" },
    { "testd_message_age_seconds_total", "61.007" },
    { "testd_work_seconds_total", "1.500" },
    { "testd_messages_held", "9" },
    { "testd_workers_waiting", "1" },
    { "process_start_time_seconds", "1700000000.123" },
    { "testd_process_start_time_seconds", NULL },
    { "testd_batches_total", NULL },
};

static void test_text(void)
{
    auto_buf struct buf text = BUF_INIT;
    char value[64];
    metrics_write_text(&daemon, &metrics, &text);
    CHECK(!buf_failed(&text));
    for (size_t i = 0; i < N_ELEMENTS(samples); i++)
        CHECK_STRING(sample(buf_str(&text), samples[i].name, value), samples[i].value);
    CHECK(strstr(buf_str(&text), "# HELP testd_retries_total Retried requests to AWS.\n"
                                 "# TYPE testd_retries_total counter\ntestd_retries_total 0\n"));
    CHECK(strstr(buf_str(&text), "# TYPE testd_messages_held gauge\ntestd_messages_held 9\n"));
    CHECK(strstr(buf_str(&text), "# TYPE testd_messages_received_total counter\n"));
    buf_reset(&text);
    metrics_write_text(&batcher, &metrics, &text);
    CHECK_STRING(sample(buf_str(&text), "testd_batches_total", value), "2");
}

static void test_read(void)
{
    struct service_counters counters = { .received = 1,
                                         .done = 2,
                                         .later = 3,
                                         .never = 4,
                                         .returned = 5,
                                         .heartbeats = 6,
                                         .items = 7,
                                         .batches = 8,
                                         .retries = 9,
                                         .age_ms = 10,
                                         .work_ms = 11,
                                         .held = 12 };
    struct metrics read = { .ready = 1, .workers = 13 };
    metrics_read(&counters, &read);
    const struct metrics expected = { .received = 1,
                                      .done = 2,
                                      .later = 3,
                                      .never = 4,
                                      .returned = 5,
                                      .heartbeats = 6,
                                      .items = 7,
                                      .batches = 8,
                                      .retries = 9,
                                      .age_ms = 10,
                                      .work_ms = 11,
                                      .held = 12,
                                      .ready = 1,
                                      .workers = 13 };
    CHECK(memcmp(&read, &expected, sizeof(read)) == 0);
}

static void embed(const struct daemon *which, struct buf *ret)
{
    const struct metrics_document document = { .daemon = which, .space = "My/Space\"", .now_ms = 1700000060000 };
    buf_putc(ret, '{');
    metrics_write_embedded(&document, &metrics, &before, ret);
    buf_putc(ret, '}');
}

/* A member's value as it stands in the document; `name` NULL: how many metrics there are. */
static int64_t embedded(const struct daemon *which, const char *name)
{
    auto_buf struct buf text = BUF_INIT;
    auto_json cJSON *json = NULL;
    struct err err = ERR_INIT;
    int64_t value = -1;
    embed(which, &text);
    CHECK_ROW(json_parse(buf_str(&text), text.len, &json, &err) == 0, "%s: %s", err.text, buf_str(&text));
    const cJSON *aws = json_get(json, "_aws"), *directive = cJSON_GetArrayItem(json_get(aws, "CloudWatchMetrics"), 0);
    CHECK(json_get_i64(aws, "Timestamp", 0, INT64_MAX, &value) && value == 1700000060000);
    CHECK_STRING(json_get_string(directive, "Namespace"), "My/Space\"");
    CHECK_STRING(json_get_string(json, "Service"), which->name);
    const cJSON *metric, *list = json_get(directive, "Metrics");
    cJSON_ArrayForEach(metric, list)
    {
        CHECK_STRING(json_get_string(metric, "Unit"), "Count");
        CHECK(json_is_number(json_get(json, json_get_string(metric, "Name"))));
    }
    if (!name)
        return cJSON_GetArraySize(list);
    value = INT64_MIN;
    (void)json_get_i64(json, name, INT64_MIN, INT64_MAX, &value);
    return value;
}

static void test_embedded(void)
{
    CHECK(embedded(&daemon, "MessagesReceived") == 12);
    CHECK(embedded(&daemon, "MessagesDone") == 5);
    CHECK(embedded(&daemon, "Items") == 0);
    CHECK(embedded(&daemon, "MessagesHeld") == 9);
    CHECK(embedded(&daemon, "Batches") == INT64_MIN);
    CHECK(embedded(&batcher, "Batches") == 2);
    CHECK(embedded(&batcher, NULL) == embedded(&daemon, NULL) + 1);
}

/* The documentation lists what a daemon serves, and nothing else. */
static void test_help(void)
{
    auto_buf struct buf help = BUF_INIT, other = BUF_INIT;
    metrics_write_help(&daemon, &help);
    metrics_write_help(&batcher, &other);
    CHECK(strstr(buf_str(&help), "| name | type | in CloudWatch | meaning |\n| --- | --- | --- | --- |\n"
                                 "| `testd_build_info{version}` | gauge | | "));
    CHECK(strstr(buf_str(&help), "\n| `testd_retries_total` | counter | Retries | Retried requests to AWS. |\n"));
    CHECK(strstr(buf_str(&help), "\n| `testd_heartbeats_total` | counter | | "));
    CHECK(strstr(buf_str(&help), "\n| `process_start_time_seconds` | gauge | | "));
    CHECK(!strstr(buf_str(&help), "batches_total"));
    CHECK(strstr(buf_str(&other), "\n| `testd_batches_total` | counter | Batches | Batches loaded. |\n"));
}

static bool write_both(void *context)
{
    (void)context;
    auto_buf struct buf text = BUF_INIT, document = BUF_INIT, help = BUF_INIT;
    metrics_write_text(&batcher, &metrics, &text);
    metrics_write_help(&batcher, &help);
    embed(&batcher, &document);
    return !buf_failed(&text) && !buf_failed(&document) && !buf_failed(&help);
}

int main(void)
{
    test_text();
    test_read();
    test_embedded();
    test_help();
    test_failing_allocations(write_both, NULL);
    return test_end();
}
