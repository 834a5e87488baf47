#include "test.h"

#include <string.h>

#include "sqs/envelope.h"

#define SNS(members) "{\"Type\":\"Notification\",\"TopicArn\":\"arn:aws:sns:eu-west-1:1:T\"" members "}"
#define AT(type, value) ",\"MessageAttributes\":{\"published_at\":{\"Type\":\"" type "\",\"Value\":" value "}}"
#define STAMP ",\"Timestamp\":\"2024-05-06T07:08:09.123Z\""

struct row {
    const char *body;
    const char *payload; /* NULL: the body itself */
    int64_t published_at_ms;
};

static const int64_t sent_at_ms = 1700000000111;
static const int64_t stamp_ms = 1714979289123;

static void check_row(size_t i, const struct row *row)
{
    char *body = strdup(row->body);
    const struct sqs_message message = { .body = body, .body_len = strlen(body), .sent_at_ms = sent_at_ms };
    auto_envelope struct envelope envelope = { .payload = NULL };
    struct err err = ERR_INIT;
    CHECK_ROW(envelope_open(&message, &envelope, &err) == 0, "row %zu: %s", i, err.text);
    const char *expected = row->payload ? row->payload : row->body;
    CHECK_STRING(envelope.payload, expected);
    CHECK_ROW(envelope.payload_len == strlen(expected), "row %zu: length %zu", i, envelope.payload_len);
    CHECK_ROW(envelope.is_sns == (row->payload != NULL), "row %zu: is_sns", i);
    CHECK_ROW(envelope.published_at_ms == row->published_at_ms, "row %zu: published_at %ld", i,
              (long)envelope.published_at_ms);
    free(body);
}

static void test_bodies(void)
{
    const struct row rows[] = {
        /* Envelopes */
        { SNS(",\"Message\":\"hello\"" STAMP), "hello", stamp_ms },
        { SNS(",\"Message\":\"{\\\"id\\\": \\\"\\u00e9\\\"}\"" STAMP), "{\"id\": \"\xc3\xa9\"}", stamp_ms },
        { "\n " SNS(" , \"Message\" : \"hello\"" STAMP) "\n", "hello", stamp_ms },
        { "{\"\\u0054ype\":\"\\u004eotification\",\"Topic\\u0041rn\":\"arn\",\"Message\":\"escaped\"}", "escaped",
          sent_at_ms },
        { "{\"T\\u0079pe\":\"Notificatio\\u006E\",\"Topic\\u0041rn\":\"arn\",\"Message\":\"\\u00e9\"}", "\xc3\xa9",
          sent_at_ms },
        { SNS(",\"Message\":\"\"" STAMP), "", stamp_ms },
        { SNS(",\"Subject\":\"s\",\"Signature\":\"x\",\"Message\":\"m\"" STAMP), "m", stamp_ms },
        /* The attribute comes before the Timestamp */
        { SNS(",\"Message\":\"m\"" STAMP AT("Number", "\"1714979280000\"")), "m", 1714979280000 },
        { SNS(",\"Message\":\"m\"" STAMP AT("String", "\"1714979280000\"")), "m", 1714979280000 },
        { SNS(",\"Message\":\"m\"" STAMP AT("Number", "1714979280000")), "m", 1714979280000 },
        { SNS(",\"Message\":\"m\"" STAMP AT("Number", "\"0\"")), "m", 0 },
        { SNS(",\"Message\":\"m\"" STAMP AT("Binary", "\"1714979280000\"")), "m", stamp_ms },
        { SNS(",\"Message\":\"m\"" STAMP AT("Number", "\"17e11\"")), "m", stamp_ms },
        { SNS(",\"Message\":\"m\"" STAMP AT("String", "\"yesterday\"")), "m", stamp_ms },
        { SNS(",\"Message\":\"m\"" STAMP AT("Number", "\"-5\"")), "m", stamp_ms },
        { SNS(",\"Message\":\"m\"" STAMP AT("Number", "\"99999999999999999999\"")), "m", stamp_ms },
        { SNS(",\"Message\":\"m\"" STAMP ",\"MessageAttributes\":[]"), "m", stamp_ms },
        /* Without a valid time */
        { SNS(",\"Message\":\"m\""), "m", sent_at_ms },
        { SNS(",\"Message\":\"m\",\"Timestamp\":\"today\""), "m", sent_at_ms },
        { SNS(",\"Message\":\"m\",\"Timestamp\":5"), "m", sent_at_ms },
        { SNS(",\"Message\":\"m\",\"Timestamp\":\"1969-12-31T23:59:59Z\""), "m", sent_at_ms },
        /* Raw: not an envelope, or nearly one */
        { "", NULL, sent_at_ms },
        { "no JSON \"Type\" \"Notification\" \"TopicArn\"", NULL, sent_at_ms },
        { "{\"Type\":\"Notification\",\"TopicArn\":\"arn\",\"Message\":\"cut", NULL, sent_at_ms },
        { "{\"type\":\"Feature\",\"id\":\"x\"}", NULL, sent_at_ms },
        { "{\"type\":\"Feature\",\"id\":\"\\u00e9\"}", NULL, sent_at_ms },
        { "{\"type\":\"Feature\",\"id\":\"\\u004\"}", NULL, sent_at_ms },
        { "{\"id\":\"\\u00", NULL, sent_at_ms },
        { "[" SNS(",\"Message\":\"m\"") "]", NULL, sent_at_ms },
        { SNS(",\"Message\":\"m\",\"type\":\"Feature\""), NULL, sent_at_ms },
        { SNS(""), NULL, sent_at_ms },
        { SNS(",\"Message\":{\"id\":1}"), NULL, sent_at_ms },
        { "{\"Type\":\"Notification\",\"Message\":\"m\"}", NULL, sent_at_ms },
        { "{\"Type\":\"Notification\",\"TopicArn\":1,\"Message\":\"m\"}", NULL, sent_at_ms },
        { "{\"Type\":\"SubscriptionConfirmation\",\"TopicArn\":\"arn\",\"Message\":\"m \\\"Notification\\\"\"}", NULL,
          sent_at_ms },
        { "{\"type\":\"Notification\",\"topicarn\":\"arn\",\"message\":\"m\"}", NULL, sent_at_ms },
        { "{\"properties\":" SNS(",\"Message\":\"m\"") "}", NULL, sent_at_ms },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        check_row(i, &rows[i]);
}

/* SQS's own attributes, from raw delivery and from the replay of a dead letter. */
static void test_attributes(void)
{
    static const struct {
        const char *name, *type, *value;
        int64_t raw_ms, sns_ms;
    } rows[] = {
        { "published_at", "Number", "1600000000000", 1600000000000, 1600000000000 },
        { "published_at", "String", "1600000000000", 1600000000000, 1600000000000 },
        { "published_at", "Number.int", "1600000000000", 1600000000000, 1600000000000 },
        { "published_at", "Binary", "1600000000000", 1700000000111, 1714979289123 },
        { "published_at", "Number", "16e11", 1700000000111, 1714979289123 },
        { "published_at", "String", "", 1700000000111, 1714979289123 },
        { "Published_At", "Number", "1600000000000", 1700000000111, 1714979289123 },
    };
    char raw[] = "{}", sns[] = SNS(",\"Message\":\"m\"" STAMP);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        char name[32], type[32], value[32];
        strcpy(name, rows[i].name);
        strcpy(type, rows[i].type);
        strcpy(value, rows[i].value);
        struct sqs_attribute attribute = { name, type, value };
        struct sqs_message message = { .attributes = &attribute, .n_attributes = 1, .sent_at_ms = sent_at_ms };
        for (int is_sns = 0; is_sns < 2; is_sns++) {
            message.body = is_sns ? sns : raw;
            message.body_len = strlen(message.body);
            auto_envelope struct envelope envelope = { .payload = NULL };
            CHECK(envelope_open(&message, &envelope, NULL) == 0);
            CHECK_ROW(envelope.published_at_ms == (is_sns ? rows[i].sns_ms : rows[i].raw_ms), "row %zu, sns %d: %ld", i,
                      is_sns, (long)envelope.published_at_ms);
        }
    }
}

static bool open_one(void *context)
{
    const struct sqs_message *message = context;
    auto_envelope struct envelope envelope = { .payload = NULL };
    struct err err = ERR_INIT;
    int r = envelope_open(message, &envelope, &err);
    if (r != 0) {
        CHECK(r < 0 && !envelope.payload);
        return false;
    }
    CHECK(envelope.is_sns == (message->body[2] == 'T'));
    CHECK(envelope.payload && envelope.payload_len == strlen(envelope.payload));
    return true;
}

static void test_allocations(void)
{
    char sns[] = SNS(",\"Message\":\"m\"" STAMP AT("Number", "\"1714979280000\""));
    struct sqs_message message = { .body = sns, .body_len = strlen(sns) };
    test_failing_allocations(open_one, &message);
}

/* A raw body is not copied. */
static void test_raw_body_is_borrowed(void)
{
    char raw[] = "{\"id\":\"\\u00e9\"}";
    const struct sqs_message message = { .body = raw, .body_len = strlen(raw) };
    auto_envelope struct envelope envelope = { .payload = NULL };
    CHECK(envelope_open(&message, &envelope, NULL) == 0);
    CHECK(envelope.payload == raw && envelope.payload_len == strlen(raw) && !envelope.text);
}

int main(void)
{
    test_bodies();
    test_attributes();
    test_allocations();
    test_raw_body_is_borrowed();
    return test_end();
}
