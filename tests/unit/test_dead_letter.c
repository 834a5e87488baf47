#include "worker/dead_letter.h"

#include <errno.h>

#include "base/json.h"
#include "base/utf8.h"
#include "test.h"

static char id[] = "id-1", handle[] = "handle", body[] = "{\"id\":\"x\"}";

static const char *value_of(const struct dead_letter *letter, const char *name, const char *type)
{
    for (size_t i = 0; i < letter->send.n_attributes; i++)
        if (strcmp(letter->attributes[i].name, name) == 0)
            return strcmp(letter->attributes[i].type, type) == 0 ? letter->attributes[i].value : "of another type";
    return NULL;
}

static struct sqs_message message_with(struct sqs_attribute *attributes, size_t n)
{
    return (struct sqs_message){ .message_id = id,
                                 .receipt_handle = handle,
                                 .body = body,
                                 .body_len = sizeof(body) - 1,
                                 .attributes = attributes,
                                 .n_attributes = n,
                                 .receive_count = 3,
                                 .sent_at_ms = 1700000000000 };
}

static const struct dead_letter_options plain = { .error_code = "bad_thing",
                                                  .error = "it is bad",
                                                  .published_at_ms = 1600000000001,
                                                  .failed_at_ms = 1700000001002,
                                                  .max_size = 1048576 };

static void test_plain(void)
{
    struct sqs_message message = message_with(NULL, 0);
    struct dead_letter_options options = plain;
    options.message = &message;
    struct dead_letter letter;
    CHECK(dead_letter_build(&options, &letter, NULL) == 0);
    CHECK(letter.send.body == body && letter.send.attributes == letter.attributes && letter.send.n_attributes == 6);
    CHECK_STRING(value_of(&letter, "error_code", "String"), "bad_thing");
    CHECK_STRING(value_of(&letter, "error", "String"), "it is bad");
    CHECK_STRING(value_of(&letter, "source_message_id", "String"), "id-1");
    CHECK_STRING(value_of(&letter, "receive_count", "Number"), "3");
    CHECK_STRING(value_of(&letter, "failed_at", "String"), "2023-11-14T22:13:21.002Z");
    CHECK_STRING(value_of(&letter, "published_at", "Number"), "1600000000001");
    dead_letter_clear(&letter);
}

static const struct {
    const char *code, *error;
    const char *expected_code, *expected_error;
} reasons[] = {
    { NULL, NULL, "unknown", "unknown" },
    { "", "", "unknown", "unknown" },
    { "x", NULL, "x", "x" },
    { "x", "\xc3", "x", "x" }, /* nothing is left of it */
    { "x", "a\x01\xff\n\xef\xbf\xbe", "x", "a??\n?" },
};

static void test_reasons(void)
{
    struct sqs_message message = message_with(NULL, 0);
    for (size_t i = 0; i < N_ELEMENTS(reasons); i++) {
        struct dead_letter_options options = plain;
        options.message = &message;
        options.error_code = reasons[i].code;
        options.error = reasons[i].error;
        struct dead_letter letter;
        CHECK(dead_letter_build(&options, &letter, NULL) == 0);
        CHECK_STRING(value_of(&letter, "error_code", "String"), reasons[i].expected_code);
        CHECK_STRING(value_of(&letter, "error", "String"), reasons[i].expected_error);
        dead_letter_clear(&letter);
    }
    /* At most 1 KiB, and no half of a character. */
    auto_buf struct buf error = BUF_INIT;
    for (int i = 0; i < 1000; i++)
        buf_puts(&error, "\xe2\x82\xac");
    struct dead_letter_options options = plain;
    options.message = &message;
    options.error = buf_str(&error);
    struct dead_letter letter;
    CHECK(dead_letter_build(&options, &letter, NULL) == 0);
    const char *text = value_of(&letter, "error", "String");
    CHECK(text && strlen(text) == 1023 && utf8_valid_prefix(text, 1023) == 1023);
    dead_letter_clear(&letter);
}

static struct sqs_attribute own[] = {
    { (char *)"published_at", (char *)"Number", (char *)"1500000000000" },
    { (char *)"a\"b", (char *)"String", (char *)"x\\ \xc3\xa9" },
    { (char *)"blob", (char *)"Binary", (char *)"AP8=" },
};

static void test_original(void)
{
    struct sqs_message message = message_with(own, N_ELEMENTS(own));
    struct dead_letter_options options = plain;
    options.message = &message;
    options.published_at_ms = 0;
    struct dead_letter letter;
    CHECK(dead_letter_build(&options, &letter, NULL) == 0);
    CHECK_STRING(value_of(&letter, "published_at", "Number"), "1500000000000");
    CHECK_STRING(value_of(&letter, "original_attributes", "String"),
                 "{\"published_at\":{\"Type\":\"Number\",\"Value\":\"1500000000000\"},"
                 "\"a\\\"b\":{\"Type\":\"String\",\"Value\":\"x\\\\ \xc3\xa9\"},"
                 "\"blob\":{\"Type\":\"Binary\",\"Value\":\"AP8=\"}}");

    /* The letter as a message: once more, and nothing nests. */
    struct sqs_message again = message_with(letter.attributes, letter.send.n_attributes);
    options.message = &again;
    struct dead_letter second;
    CHECK(dead_letter_build(&options, &second, NULL) == 0);
    CHECK(second.send.n_attributes == 7);
    CHECK_STRING(value_of(&second, "original_attributes", "String"),
                 value_of(&letter, "original_attributes", "String"));
    CHECK_STRING(value_of(&second, "published_at", "Number"), "1500000000000");
    dead_letter_clear(&second);
    dead_letter_clear(&letter);

    /* Without attributes of its own it has none as a replay either. */
    message.n_attributes = 0;
    options.message = &message;
    CHECK(dead_letter_build(&options, &letter, NULL) == 0);
    CHECK_STRING(value_of(&letter, "published_at", "Number"), "1700000000000");
    again = message_with(letter.attributes, letter.send.n_attributes);
    options.message = &again;
    CHECK(dead_letter_build(&options, &second, NULL) == 0);
    CHECK(second.send.n_attributes == 6);
    dead_letter_clear(&second);
    dead_letter_clear(&letter);

    /* A producer's own attribute that is called error makes no replay. */
    struct sqs_attribute error = { (char *)"error", (char *)"String", (char *)"mine" };
    message = message_with(&error, 1);
    options.message = &message;
    CHECK(dead_letter_build(&options, &letter, NULL) == 0);
    CHECK_STRING(value_of(&letter, "error", "String"), "it is bad");
    CHECK_STRING(value_of(&letter, "original_attributes", "String"),
                 "{\"error\":{\"Type\":\"String\",\"Value\":\"mine\"}}");
    dead_letter_clear(&letter);
}

/* A producer's own attribute that is called source_message_id is not the letter's. */
static void test_own_source(void)
{
    struct sqs_attribute attributes[] = {
        { (char *)"source_message_id", (char *)"String", (char *)"id-0" },
        { (char *)"published_at", (char *)"Number", (char *)"1500000000000" },
    };
    struct sqs_message message = message_with(attributes, N_ELEMENTS(attributes));
    struct dead_letter_options options = plain;
    options.message = &message;
    options.published_at_ms = 0;
    struct dead_letter letter;
    CHECK(dead_letter_build(&options, &letter, NULL) == 0);
    CHECK_STRING(value_of(&letter, "source_message_id", "String"), "id-1");
    CHECK_STRING(value_of(&letter, "published_at", "Number"), "1500000000000");
    CHECK_STRING(value_of(&letter, "original_attributes", "String"),
                 "{\"source_message_id\":{\"Type\":\"String\",\"Value\":\"id-0\"},"
                 "\"published_at\":{\"Type\":\"Number\",\"Value\":\"1500000000000\"}}");
    dead_letter_clear(&letter);
}

static void test_size(void)
{
    struct sqs_message message = message_with(own, N_ELEMENTS(own));
    struct dead_letter_options options = plain;
    options.message = &message;
    struct dead_letter letter;
    CHECK(dead_letter_build(&options, &letter, NULL) == 0);
    int64_t whole = (int64_t)sqs_send_size(&letter.send);
    int64_t error = (int64_t)strlen("error"
                                    "String"
                                    "it is bad");
    int64_t original = (int64_t)strlen("original_attributes"
                                       "String") +
                       (int64_t)strlen(value_of(&letter, "original_attributes", "String"));
    dead_letter_clear(&letter);
    const struct {
        int64_t max_size;
        size_t n_attributes; /* 0: it does not fit */
    } limits[] = {
        { whole, 7 },
        { whole - 1, 6 },
        { whole - error, 6 },
        { whole - error - 1, 5 },
        { whole - error - original, 5 },
        { whole - error - original - 1, 0 },
    };
    for (size_t i = 0; i < N_ELEMENTS(limits); i++) {
        struct err err = ERR_INIT;
        options.max_size = limits[i].max_size;
        int result = dead_letter_build(&options, &letter, &err);
        CHECK_ROW(result == (limits[i].n_attributes ? 0 : NEVER), "row %zu: %d", i, result);
        CHECK_ROW(result != 0 || letter.send.n_attributes == limits[i].n_attributes, "row %zu", i);
        CHECK_ROW(result == 0 || err_is(&err, "message_too_large"), "row %zu: %s", i, err.text);
        CHECK_ROW((value_of(&letter, "error", "String") != NULL) == (limits[i].n_attributes == 7), "row %zu", i);
        dead_letter_clear(&letter);
    }
}

static bool build_with_little_memory(void *context)
{
    struct dead_letter_options options = plain;
    options.message = context;
    struct dead_letter letter;
    struct err err = ERR_INIT;
    int result = dead_letter_build(&options, &letter, &err);
    CHECK(result == 0 || result == -ENOMEM);
    CHECK(result != 0 || letter.send.n_attributes == 7);
    dead_letter_clear(&letter);
    return result == 0;
}

int main(void)
{
    test_plain();
    test_reasons();
    test_original();
    test_own_source();
    test_size();
    struct sqs_message message = message_with(own, N_ELEMENTS(own));
    test_failing_allocations(build_with_little_memory, &message);
    return test_end();
}
