#include "test.h"

#include <string.h>

#include "aws/message_check.h"
#include "aws/sns.h"
#include "sqs/sqs.h"

static void test_texts(void)
{
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        { "", true },
        { "plain", true },
        { "\t\n\r ", true },
        { "caf\xc3\xa9 \xf0\x9f\x8c\x8d", true },
        { "\xef\xbf\xbd", true }, /* U+FFFD */
        { "\xee\x80\x80", true }, /* U+E000 */
        { "\x7f", true },         /* DEL is in #x20-#xD7FF */
        { "\x01", false },
        { "a\x0b", false },
        { "\x1f", false },
        { "\xef\xbf\xbe", false }, /* U+FFFE */
        { "\xef\xbf\xbf", false }, /* U+FFFF */
        { "\xed\xa0\x80", false }, /* a surrogate */
        { "\xc3", false },
        { "\xff", false },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        CHECK_ROW(message_check_text(rows[i].text) == rows[i].ok, "row %zu: \"%s\"", i, rows[i].text);

    struct err err = ERR_INIT;
    CHECK(message_check_body("{}", &err) == 0);
    CHECK(message_check_body("", &err) == NEVER && err_is(&err, "invalid_message"));
    CHECK(message_check_body("\x02", &err) == NEVER && err_is(&err, "invalid_message"));
    CHECK(message_check_size(10, 10, &err) == 0);
    CHECK(message_check_size(11, 10, &err) == NEVER && err_is(&err, "message_too_large"));
    CHECK(message_check_count(10, &err) == 0);
    CHECK(message_check_count(11, &err) == NEVER && err_is(&err, "invalid_message"));
}

static void test_attributes(void)
{
    char name_256[257], name_257[258];
    memset(name_256, 'n', 256);
    memset(name_257, 'n', 257);
    name_256[256] = name_257[257] = '\0';
    const struct {
        const char *name, *type, *value;
        bool ok;
    } rows[] = {
        { "published_at", "Number", "1", true },
        { "a.b-C_9", "String.custom", "x", true },
        { "b", "Binary", "AAEC", true },
        { name_256, "String", "x", true },
        { name_257, "String", "x", false },
        { "", "String", "x", false },
        { ".a", "String", "x", false },
        { "a.", "String", "x", false },
        { "a..b", "String", "x", false },
        { "a b", "String", "x", false },
        { "\xc3\xa9", "String", "x", false },
        { "AWS.x", "String", "x", false },
        { "amazon.x", "String", "x", false },
        { "AWSx", "String", "x", true },
        { "a", "", "x", false },
        { "a", "Strings", "x", false },
        { "a", "string", "x", false },
        { "a", "Number.int", "1", true },
        { "a", "String", "", false },
        { "a", "String", "\x01", false },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct err err = ERR_INIT;
        int r = message_check_attribute(rows[i].name, rows[i].type, rows[i].value, &err);
        CHECK_ROW(r == (rows[i].ok ? 0 : NEVER), "row %zu: %s %s: %d %s", i, rows[i].name, rows[i].type, r, err.text);
        CHECK_ROW(r == 0 || err_is(&err, "invalid_message"), "row %zu: code", i);
    }
}

/* Sizes are bytes, not characters. Names and types count too. Binary counts decoded. */
static void test_sizes(void)
{
    static const struct {
        const char *name, *type, *value;
        size_t size;
    } rows[] = {
        { "ab", "String", "xyz", 2 + 6 + 3 },      { "ab", "String", "\xc3\xa9", 2 + 6 + 2 },
        { "n", "Number", "17", 1 + 6 + 2 },        { "b", "Binary", "AAEC", 1 + 6 + 3 },
        { "b", "Binary", "AAE=", 1 + 6 + 2 },      { "b", "Binary", "AA==", 1 + 6 + 1 },
        { "b", "Binary.png", "AA==", 1 + 10 + 1 }, { "b", "Binary", "", 1 + 6 },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        size_t size = message_check_attribute_size(rows[i].name, rows[i].type, rows[i].value);
        CHECK_ROW(size == rows[i].size, "row %zu: %zu", i, size);
    }
    char name[] = "ab", type[] = "String", value[] = "xyz";
    const struct sqs_attribute attributes[] = { { name, type, value }, { name, type, value } };
    const struct sqs_send send = { .body = "\xc3\xa9\"", .attributes = attributes, .n_attributes = 2 };
    CHECK(sqs_send_size(&send) == 3 + 2 * 11);
    const struct sns_attribute sns_attributes[] = { { name, type, value } };
    const struct sns_message message = { .body = "\xc3\xa9\"", .attributes = sns_attributes, .n_attributes = 1 };
    CHECK(sns_message_size(&message) == 3 + 11);
}

static void test_topic_regions(void)
{
    static const struct {
        const char *arn, *region;
    } rows[] = {
        { "arn:aws:sns:eu-central-1:123456789012:ItemLoad", "eu-central-1" },
        { "arn:aws-cn:sns:cn-north-1:123456789012:ItemLoad", "cn-north-1" },
        { "arn:aws:sqs:eu-central-1:123456789012:ItemLoad", NULL },
        { "arn:aws:sns::123456789012:ItemLoad", NULL },
        { "arn:aws:sns:eu/../x:1:ItemLoad", NULL },
        { "arn:aws:sns:eu-central-1", NULL },
        { "ItemLoad", NULL },
        { "", NULL },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        auto_buf struct buf storage = BUF_INIT;
        CHECK_STRING(sns_topic_region(rows[i].arn, &storage), rows[i].region);
    }
}

int main(void)
{
    test_texts();
    test_attributes();
    test_sizes();
    test_topic_regions();
    return test_end();
}
