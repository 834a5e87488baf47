#include "test.h"

#include <stdio.h>
#include <string.h>

#include "aws/s3_event.h"

#define RECORD(name, bucket, key, more)                                                                  \
    "{\"eventSource\":\"aws:s3\",\"eventName\":\"" name "\",\"eventTime\":\"2024-05-06T07:08:09.123Z\"," \
    "\"s3\":{\"bucket\":{\"name\":\"" bucket "\"},\"object\":{\"key\":\"" key "\"" more "}}}"
#define BRIDGE(name, object)                                                                                   \
    "{\"version\":\"0\",\"detail-type\":\"" name "\",\"source\":\"aws.s3\",\"time\":\"2024-05-06T07:08:09Z\"," \
    "\"detail\":{\"bucket\":{\"name\":\"b\"},\"object\":{" object "}}}"
#define EVENT(records) "{\"Records\":[" records "]}"

static const int64_t event_ms = 1714979289123, bridge_ms = 1714979289000, message_ms = 1700000000111;

static cJSON *parse(const char *text)
{
    cJSON *json = NULL;
    CHECK_ROW(json_parse(text, strlen(text), &json, NULL) == 0, "%s", text);
    return json;
}

static void test_forms(void)
{
    static const struct {
        const char *text;
        bool is_reference;
    } rows[] = {
        { EVENT(RECORD("ObjectCreated:Put", "b", "k", "")), true },
        { "{\"Records\":[]}", true },
        { "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\",\"Bucket\":\"b\"}", true },
        { "[\"software.amazon.payloadoffloading.PayloadS3Pointer\",{\"s3BucketName\":\"b\",\"s3Key\":\"k\"}]", true },
        { "[\"com.amazon.sqs.javamessaging.MessageS3Pointer\",{\"s3BucketName\":\"b\",\"s3Key\":\"k\"}]", true },
        { "[\"software.amazon.payloadoffloading.PayloadS3Pointer\"]", true },
        { BRIDGE("Object Created", "\"key\":\"k\""), true },
        { BRIDGE("Object Created", ""), true },
        { "{\"type\":\"Feature\",\"source\":\"aws.s3\",\"detail-type\":\"Object Created\",\"detail\":{}}", false },
        { "{\"source\":\"aws.s4\",\"detail-type\":\"Object Created\",\"detail\":{}}", false },
        { "{\"source\":\"aws.s3\",\"detail-type\":\"Object Created\"}", false },
        { "{\"source\":\"aws.s3\",\"detail\":{}}", false },
        { "{\"type\":\"Feature\",\"id\":\"x\",\"Event\":\"flood\"}", false },
        { "{\"type\":\"Feature\",\"id\":\"x\",\"Event\":\"s3:TestEvent\"}", false },
        { "{\"type\":\"Feature\",\"id\":\"x\",\"Records\":[]}", false },
        { "{\"Records\":{}}", false },
        { "{\"records\":[]}", false },
        { "[\"other.Pointer\",{\"s3BucketName\":\"b\",\"s3Key\":\"k\"}]", false },
        { "[{\"s3BucketName\":\"b\",\"s3Key\":\"k\"}]", false },
        { "[]", false },
        { "\"software.amazon.payloadoffloading.PayloadS3Pointer\"", false },
        { "null", false },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        auto_json cJSON *json = parse(rows[i].text);
        CHECK_ROW(s3_is_reference(json) == rows[i].is_reference, "row %zu", i);
    }
}

struct expected {
    const char *text;
    enum s3_reference_kind kind;
    const char *bucket, *key, *version_id, *sequencer, *wrong;
    int64_t published_at_ms;
};

static void check_row(size_t i, const struct expected *row)
{
    auto_json cJSON *json = parse(row->text);
    cleanup(s3_references_clear) struct s3_references references = { .list = NULL };
    CHECK_ROW(s3_references_add(&references, json, 7, message_ms, NULL) == 0, "row %zu", i);
    CHECK_ROW(references.n == 1, "row %zu: %zu references", i, references.n);
    if (references.n != 1)
        return;
    const struct s3_reference *got = references.list;
    CHECK_ROW(got->kind == row->kind, "row %zu: kind %d", i, (int)got->kind);
    CHECK_ROW(got->message == 7 && got->record == 1, "row %zu: place", i);
    CHECK_STRING(got->bucket, row->bucket);
    CHECK_STRING(got->key, row->key);
    CHECK_STRING(got->version_id, row->version_id);
    CHECK_STRING(got->sequencer, row->sequencer);
    CHECK_STRING(got->wrong, row->wrong);
    CHECK_ROW(got->published_at_ms == row->published_at_ms, "row %zu: %ld", i, (long)got->published_at_ms);
}

static void test_references(void)
{
    static const struct expected rows[] = {
        { EVENT(RECORD("ObjectCreated:Put", "b", "k", "")), S3_REFERENCE_LOAD, "b", "k", NULL, NULL, NULL, event_ms },
        { EVENT(RECORD("ObjectCreated:Put", "b", "red+flower%2B%C3%A9.json",
                       ",\"versionId\":\"v1\",\"sequencer\":\"0A\",\"size\":5")),
          S3_REFERENCE_LOAD, "b", "red flower+\xc3\xa9.json", "v1", "0A", NULL, event_ms },
        { EVENT(RECORD("s3:ObjectCreated:CompleteMultipartUpload", "b", "a%2Fb/c", ",\"versionId\":null")),
          S3_REFERENCE_LOAD, "b", "a/b/c", NULL, NULL, NULL, event_ms },
        { EVENT(RECORD("ObjectCreated:Put", "b", "k", ",\"versionId\":\"\",\"sequencer\":\"\"")), S3_REFERENCE_LOAD,
          "b", "k", NULL, NULL, NULL, event_ms },
        { EVENT(RECORD("ObjectRemoved:DeleteMarkerCreated", "b", "k", "")), S3_REFERENCE_REMOVED, "b", "k", NULL, NULL,
          NULL, event_ms },
        { EVENT(RECORD("LifecycleExpiration:Delete", "b", "k", "")), S3_REFERENCE_REMOVED, "b", "k", NULL, NULL, NULL,
          event_ms },
        { EVENT(RECORD("ObjectTagging:Put", "b", "k", "")), S3_REFERENCE_OTHER, "b", "k", NULL, NULL, NULL, event_ms },
        { EVENT(RECORD("ObjectCreatedNot", "b", "k", "")), S3_REFERENCE_OTHER, "b", "k", NULL, NULL, NULL, event_ms },
        { "{\"Event\":\"s3:TestEvent\",\"Bucket\":\"b\"}", S3_REFERENCE_OTHER, NULL, NULL, NULL, NULL, NULL,
          message_ms },
        /* Times */
        { "{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"b\"},\"object\":{\"key\":"
          "\"k\"}}}]}",
          S3_REFERENCE_LOAD, "b", "k", NULL, NULL, NULL, message_ms },
        { "{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"eventTime\":\"today\",\"s3\":{\"bucket\":{\"name\":"
          "\"b\"},\"object\":{\"key\":\"k\"}}}]}",
          S3_REFERENCE_LOAD, "b", "k", NULL, NULL, NULL, message_ms },
        { "{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"eventTime\":\"1960-01-01T00:00:00Z\",\"s3\":{"
          "\"bucket\":"
          "{\"name\":\"b\"},\"object\":{\"key\":\"k\"}}}]}",
          S3_REFERENCE_LOAD, "b", "k", NULL, NULL, NULL, message_ms },
        /* Bad records */
        { EVENT("{}"), S3_REFERENCE_BAD, NULL, NULL, NULL, NULL, "no eventName", message_ms },
        { EVENT("5"), S3_REFERENCE_BAD, NULL, NULL, NULL, NULL, "no eventName", message_ms },
        { EVENT("{\"eventName\":\"ObjectCreated:Put\"}"), S3_REFERENCE_BAD, NULL, NULL, NULL, NULL, "no s3.bucket.name",
          message_ms },
        { EVENT(RECORD("ObjectCreated:Put", "", "k", "")), S3_REFERENCE_BAD, NULL, NULL, NULL, NULL,
          "no s3.bucket.name", message_ms },
        { EVENT(RECORD("ObjectCreated:Put", "b", "", "")), S3_REFERENCE_BAD, NULL, NULL, NULL, NULL, "no s3.object.key",
          message_ms },
        { EVENT(RECORD("ObjectCreated:Put", "b", "100%", "")), S3_REFERENCE_BAD, NULL, NULL, NULL, NULL,
          "s3.object.key is not URL-encoded", message_ms },
        { EVENT(RECORD("ObjectCreated:Put", "b", "a%00b", "")), S3_REFERENCE_BAD, NULL, NULL, NULL, NULL,
          "s3.object.key is not URL-encoded", message_ms },
        /* EventBridge: the key is not encoded */
        { BRIDGE("Object Created", "\"key\":\"a+b%20c \xc3\xa9.json\",\"version-id\":\"v\",\"sequencer\":\"0A\""),
          S3_REFERENCE_LOAD, "b", "a+b%20c \xc3\xa9.json", "v", "0A", NULL, bridge_ms },
        { BRIDGE("Object Deleted", "\"key\":\"k\""), S3_REFERENCE_REMOVED, "b", "k", NULL, NULL, NULL, bridge_ms },
        { BRIDGE("Object Tags Added", "\"key\":\"k\""), S3_REFERENCE_OTHER, "b", "k", NULL, NULL, NULL, bridge_ms },
        { "{\"source\":\"aws.s3\",\"detail-type\":\"AWS API Call via CloudTrail\",\"detail\":{}}", S3_REFERENCE_OTHER,
          NULL, NULL, NULL, NULL, NULL, message_ms },
        { BRIDGE("Object Created", "\"key\":\"\""), S3_REFERENCE_BAD, NULL, NULL, NULL, NULL, "no detail.object.key",
          message_ms },
        { "{\"source\":\"aws.s3\",\"detail-type\":\"Object Created\",\"detail\":{}}", S3_REFERENCE_BAD, NULL, NULL,
          NULL, NULL, "no detail.bucket.name", message_ms },
        /* Pointers: the key is not encoded */
        { "[\"software.amazon.payloadoffloading.PayloadS3Pointer\",{\"s3BucketName\":\"b\",\"s3Key\":\"a+b%20c\"}]",
          S3_REFERENCE_LOAD, "b", "a+b%20c", NULL, NULL, NULL, message_ms },
        { "[\"com.amazon.sqs.javamessaging.MessageS3Pointer\",{\"s3BucketName\":\"b\",\"s3Key\":\"k\"}]",
          S3_REFERENCE_LOAD, "b", "k", NULL, NULL, NULL, message_ms },
        { "[\"software.amazon.payloadoffloading.PayloadS3Pointer\",{\"s3BucketName\":\"b\"}]", S3_REFERENCE_BAD, NULL,
          NULL, NULL, NULL, "the pointer has no s3BucketName and s3Key", message_ms },
        { "[\"software.amazon.payloadoffloading.PayloadS3Pointer\"]", S3_REFERENCE_BAD, NULL, NULL, NULL, NULL,
          "the pointer has no s3BucketName and s3Key", message_ms },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        check_row(i, &rows[i]);
}

/* Three events of one key in one message: {time in s, sequencer or NULL}; their order after sorting; their times. */
static void test_order(void)
{
    static const struct {
        struct {
            int time_s;
            const char *sequencer;
        } events[3];
        size_t records[3];
        int64_t times_s[3];
    } rows[] = {
        { { { 1, "0A" }, { 2, "0B" }, { 3, "0C" } }, { 1, 2, 3 }, { 1, 2, 3 } },
        { { { 1, "0C" }, { 2, "0B" }, { 3, "0A" } }, { 3, 2, 1 }, { 3, 3, 3 } },
        { { { 5, "0B" }, { 5, "0A" }, { 5, "0A0" } }, { 2, 3, 1 }, { 5, 5, 5 } },
        { { { 5, "1" }, { 5, "0FFF" }, { 5, "10" } }, { 2, 1, 3 }, { 5, 5, 5 } },
        { { { 3, NULL }, { 1, NULL }, { 2, NULL } }, { 2, 3, 1 }, { 1, 2, 3 } },
        { { { 3, NULL }, { 3, NULL }, { 3, NULL } }, { 1, 2, 3 }, { 3, 3, 3 } },
        { { { 9, NULL }, { 1, "0A" }, { 2, NULL } }, { 3, 1, 2 }, { 2, 9, 1 } },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        cleanup(s3_references_clear) struct s3_references references = { .list = NULL };
        char text[2048] = "{\"Records\":[";
        for (size_t e = 0; e < 3; e++) {
            size_t used = strlen(text);
            const char *sequencer = rows[i].events[e].sequencer;
            snprintf(
                text + used, sizeof(text) - used,
                "%s{\"eventName\":\"ObjectCreated:Put\",\"eventTime\":\"1970-01-01T00:00:0%dZ\",\"s3\":{\"bucket\":"
                "{\"name\":\"b\"},\"object\":{\"key\":\"k\"%s%s%s}}}",
                e ? "," : "", rows[i].events[e].time_s, sequencer ? ",\"sequencer\":\"" : "",
                sequencer ? sequencer : "", sequencer ? "\"" : "");
        }
        strcat(text, "]}");
        auto_json cJSON *json = parse(text);
        CHECK(s3_references_add(&references, json, 0, message_ms, NULL) == 0 && references.n == 3);
        s3_references_sort(&references);
        for (size_t e = 0; e < 3; e++) {
            CHECK_ROW(references.list[e].record == rows[i].records[e], "row %zu: place %zu has %zu", i, e,
                      references.list[e].record);
            CHECK_ROW(references.list[e].published_at_ms == rows[i].times_s[e] * 1000, "row %zu: time %zu: %ld", i, e,
                      (long)references.list[e].published_at_ms);
        }
    }
}

/* Sequencers of different keys are not compared. References without a key come first, in their order. */
static void test_several_keys(void)
{
    auto_json cJSON *json = parse(EVENT(RECORD("ObjectCreated:Put", "b", "z", ",\"sequencer\":\"01\"") "," RECORD(
        "ObjectCreated:Put", "b", "a",
        ",\"sequencer\":\"02\"") ",{}," RECORD("ObjectCreated:Put", "a", "z",
                                               ",\"versionId\":\"v\"") "," RECORD("ObjectCreated:Copy", "b", "z",
                                                                                  ",\"sequencer\":\"00\"")));
    cleanup(s3_references_clear) struct s3_references references = { .list = NULL };
    CHECK(s3_references_add(&references, json, 0, message_ms, NULL) == 0 && references.n == 5);
    s3_references_sort(&references);
    static const size_t records[] = { 3, 4, 2, 5, 1 };
    for (size_t i = 0; i < 5; i++)
        CHECK_ROW(references.list[i].record == records[i], "place %zu has %zu", i, references.list[i].record);
    CHECK(s3_reference_is_same(&references.list[3], &references.list[4]));
    CHECK(!s3_reference_is_same(&references.list[1], &references.list[2]));
    CHECK(!s3_reference_is_same(&references.list[0], &references.list[0]));
}

static bool add_all(void *context)
{
    cleanup(s3_references_clear) struct s3_references references = { .list = NULL };
    struct err err = ERR_INIT;
    int r = s3_references_add(&references, context, 0, message_ms, &err);
    CHECK(r <= 0 && (r == 0) == (err.code == NULL));
    return r == 0;
}

static void test_allocations(void)
{
    static const char *const texts[] = {
        EVENT(RECORD("ObjectCreated:Put", "b", "k%20k", "") "," RECORD("ObjectRemoved:Delete", "b", "k", "")),
        "[\"com.amazon.sqs.javamessaging.MessageS3Pointer\",{\"s3BucketName\":\"b\",\"s3Key\":\"k\"}]",
    };
    for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
        auto_json cJSON *json = parse(texts[i]);
        test_failing_allocations(add_all, json);
    }
}

int main(void)
{
    test_forms();
    test_references();
    test_order();
    test_several_keys();
    test_allocations();
    return test_end();
}
