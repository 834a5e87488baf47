#include "test.h"

#include <string.h>

#include "sqs/sqs_internal.h"

#define MESSAGE(members) "{\"Messages\":[{\"MessageId\":\"m1\",\"ReceiptHandle\":\"h1\"" members "}]}"
#define BODY ",\"Body\":\"hello\",\"MD5OfBody\":\"5d41402abc4b2a76b9719d911017c592\""

static int take(const char *text, struct sqs_messages *ret, size_t *ret_n, struct err *err)
{
    auto_json cJSON *json = NULL;
    int r = json_parse(text, strlen(text), &json, err);
    return r != 0 ? r : sqs_take_messages(json, 77, ret, ret_n, err);
}

/* The number of messages taken, and the number in the answer. */
static void test_answers(void)
{
    static const struct {
        const char *answer;
        size_t taken, had;
    } rows[] = {
        { "{}", 0, 0 },
        { "{\"Messages\":[]}", 0, 0 },
        { "{\"Messages\":null}", 0, 0 },
        { "{\"Messages\":{}}", 0, 0 },
        { MESSAGE(BODY), 1, 1 },
        { MESSAGE(",\"Body\":\"hello\""), 1, 1 }, /* without a digest */
        { MESSAGE(",\"Body\":\"hello\",\"MD5OfBody\":\"5D41402ABC4B2A76B9719D911017C592\""), 1, 1 },
        { MESSAGE(",\"Body\":\"hallo\",\"MD5OfBody\":\"5d41402abc4b2a76b9719d911017c592\""), 0, 1 },
        { MESSAGE(",\"Body\":\"hello\",\"MD5OfBody\":\"\""), 0, 1 },
        { MESSAGE(""), 0, 1 },
        { MESSAGE(",\"Body\":7"), 0, 1 },
        { "{\"Messages\":[{\"MessageId\":\"m\",\"Body\":\"hello\"}]}", 0, 1 },
        { "{\"Messages\":[{\"ReceiptHandle\":\"h\",\"Body\":\"hello\"}]}", 0, 1 },
        { "{\"Messages\":[5,null,\"x\"]}", 0, 3 },
        { "{\"Messages\":[{\"MessageId\":\"a\",\"ReceiptHandle\":\"h\",\"Body\":\"x\"},{},"
          "{\"MessageId\":\"b\",\"ReceiptHandle\":\"h\",\"Body\":\"y\"}]}",
          2, 3 },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        auto_sqs_messages struct sqs_messages messages = { .list = NULL };
        struct err err = ERR_INIT;
        size_t had = 99;
        CHECK_ROW(take(rows[i].answer, &messages, &had, &err) == 0, "row %zu: %s", i, err.text);
        CHECK_ROW(messages.n == rows[i].taken && had == rows[i].had, "row %zu: %zu of %zu", i, messages.n, had);
    }
}

static void test_fields(void)
{
    auto_sqs_messages struct sqs_messages messages = { .list = NULL };
    size_t had = 0;
    CHECK(take(MESSAGE(BODY ",\"Attributes\":{\"ApproximateReceiveCount\":\"3\",\"SentTimestamp\":\"1700000000111\","
                            "\"ApproximateFirstReceiveTimestamp\":\"1700000000222\"},\"MessageAttributes\":{"
                            "\"n\":{\"DataType\":\"Number\",\"StringValue\":\"17\"},"
                            "\"empty\":{\"DataType\":\"String\"},"
                            "\"b\":{\"DataType\":\"Binary.x\",\"BinaryValue\":\"AAEC\"}}"),
               &messages, &had, NULL) == 0);
    CHECK(take(MESSAGE(BODY ",\"Attributes\":{\"ApproximateReceiveCount\":\"0\",\"SentTimestamp\":\"x\"}"), &messages,
               &had, NULL) == 0); /* appended */
    CHECK(messages.n == 2);
    if (messages.n != 2)
        return;
    const struct sqs_message *message = &messages.list[0];
    CHECK_STRING(message->message_id, "m1");
    CHECK_STRING(message->receipt_handle, "h1");
    CHECK_STRING(message->body, "hello");
    CHECK(message->body_len == 5 && message->receive_count == 3 && message->received_at_ms == 77);
    CHECK(message->sent_at_ms == 1700000000111 && message->first_received_at_ms == 1700000000222);
    CHECK(message->n_attributes == 2);
    CHECK_STRING(sqs_message_attribute(message, "n"), "17");
    CHECK_STRING(sqs_message_attribute(message, "b"), "AAEC");
    CHECK_STRING(sqs_message_attribute(message, "empty"), NULL);
    CHECK_STRING(message->attributes[1].type, "Binary.x");
    message = &messages.list[1];
    CHECK(message->receive_count == 1 && message->sent_at_ms == 0 && message->n_attributes == 0);
}

static bool take_one(void *context)
{
    auto_sqs_messages struct sqs_messages messages = { .list = NULL };
    struct err err = ERR_INIT;
    size_t had = 0;
    int r = take(context, &messages, &had, &err);
    if (r == 0)
        CHECK(messages.n == 2 && messages.list[0].n_attributes == 1);
    else if (r == NEVER) /* cJSON reports a failed allocation as a bad text */
        CHECK(err_is(&err, "invalid_json"));
    else
        CHECK(r < 0);
    return r == 0;
}

static void test_allocations(void)
{
    char text[] = "{\"Messages\":[{\"MessageId\":\"a\",\"ReceiptHandle\":\"h\",\"Body\":\"x\",\"MessageAttributes\":"
                  "{\"n\":{\"DataType\":\"Number\",\"StringValue\":\"17\"}}},"
                  "{\"MessageId\":\"b\",\"ReceiptHandle\":\"h\",\"Body\":\"y\"}]}";
    test_failing_allocations(take_one, text);
}

static void test_regions(void)
{
    static const struct {
        const char *url, *region;
    } rows[] = {
        { "https://sqs.eu-central-1.amazonaws.com/123456789012/q", "eu-central-1" },
        { "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", "cn-north-1" },
        { "https://sqs-fips.us-gov-west-1.amazonaws.com/1/q", "us-gov-west-1" },
        { "https://eu-west-1.queue.amazonaws.com/1/q", "eu-west-1" },
        { "https://vpce-1a2b-xyz.sqs.us-east-1.vpce.amazonaws.com/1/q", "us-east-1" },
        { "http://sqs.us-east-1.localhost:4566/000000000000/q", "us-east-1" },
        { "https://queue.amazonaws.com/1/q", NULL },
        { "http://127.0.0.1:5000/123456789012/q", NULL },
        { "http://localhost:4566/queue/us-east-1/000000000000/q", NULL },
        { "http://sqs.localhost:4566/000000000000/q", NULL },
        { "http://host/sqs.eu-west-1.amazonaws.com", NULL },
        { "", NULL },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        size_t len = 0;
        char text[32] = "";
        const char *region = sqs_region_in_url(rows[i].url, &len);
        if (region)
            memcpy(text, region, len < sizeof(text) ? len : 0);
        CHECK_STRING(region ? text : NULL, rows[i].region);
    }
}

int main(void)
{
    test_answers();
    test_fields();
    test_allocations();
    test_regions();
    return test_end();
}
