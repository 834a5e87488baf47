#include "worker/dead_letter.h"

#include <inttypes.h>

#include "base/json.h"
#include "base/num.h"
#include "base/time.h"

enum { ERROR_MAX = 1024 };

static const char error_code_name[] = "error_code";
static const char failed_at_name[] = "failed_at";
static const char original_name[] = "original_attributes";
static const char published_at_name[] = "published_at";
static const char source_name[] = "source_message_id";

/* Adds an attribute and returns the buffer for its value. The array has room for all attributes. */
static struct buf *begin(struct dead_letter *letter, const char *name, const char *type)
{
    size_t i = letter->send.n_attributes++;
    /* sqs_send only reads its attributes. */
    letter->attributes[i].name = (char *)(uintptr_t)name;
    letter->attributes[i].type = (char *)(uintptr_t)type;
    return &letter->texts[i];
}

static bool is_replay(const struct sqs_message *message)
{
    return sqs_message_attribute(message, error_code_name) && sqs_message_attribute(message, source_name) &&
           sqs_message_attribute(message, failed_at_name);
}

static void write_original(const struct sqs_message *message, struct buf *ret)
{
    for (size_t i = 0; i < message->n_attributes; i++) {
        const struct sqs_attribute *attribute = &message->attributes[i];
        buf_putc(ret, i == 0 ? '{' : ',');
        json_write_string(attribute->name, ret);
        buf_puts(ret, ":{\"Type\":");
        json_write_string(attribute->type, ret);
        buf_puts(ret, ",\"Value\":");
        json_write_string(attribute->value, ret);
        buf_putc(ret, '}');
    }
    if (message->n_attributes > 0)
        buf_putc(ret, '}');
}

static void add_original(struct dead_letter *letter, const struct sqs_message *message)
{
    const char *earlier = sqs_message_attribute(message, original_name);
    struct buf *text = begin(letter, original_name, "String");
    if (!is_replay(message))
        write_original(message, text);
    else if (earlier)
        buf_puts(text, earlier);
    if (text->len == 0 && !buf_failed(text))
        letter->send.n_attributes--;
}

static int64_t published_at(const struct dead_letter_options *options)
{
    const char *attribute = sqs_message_attribute(options->message, published_at_name);
    int64_t value_ms = 0;
    if (options->published_at_ms > 0)
        return options->published_at_ms;
    if (attribute && num_parse_i64(attribute, 1, INT64_MAX, &value_ms, NULL) == 0)
        return value_ms;
    return options->message->sent_at_ms;
}

static void add_error(struct dead_letter *letter, const char *error, const char *code)
{
    char text[ERROR_MAX + 1];
    size_t len = error ? strnlen(error, ERROR_MAX) : 0;
    memcpy(text, error ? error : "", len);
    text[len] = '\0';
    err_make_printable(text);
    buf_puts(begin(letter, "error", "String"), *text ? text : code);
}

/* `reduction`: 0 complete, 1 without the error, 2 also without the original attributes. */
static void build(const struct dead_letter_options *options, int reduction, struct dead_letter *ret)
{
    const char *code = options->error_code && *options->error_code ? options->error_code : "unknown";
    char failed_at[TIME_TEXT_SIZE];
    time_format_rfc3339(options->failed_at_ms, failed_at);
    ret->send = (struct sqs_send){ .body = options->message->body, .attributes = ret->attributes };
    buf_puts(begin(ret, error_code_name, "String"), code);
    if (reduction < 1)
        add_error(ret, options->error, code);
    buf_puts(begin(ret, source_name, "String"), options->message->message_id);
    buf_printf(begin(ret, "receive_count", "Number"), "%d", options->message->receive_count);
    buf_puts(begin(ret, failed_at_name, "String"), failed_at);
    buf_printf(begin(ret, published_at_name, "Number"), "%" PRId64, published_at(options));
    if (reduction < 2)
        add_original(ret, options->message);
    for (size_t i = 0; i < ret->send.n_attributes; i++)
        ret->attributes[i].value = (char *)(uintptr_t)buf_str(&ret->texts[i]);
}

static bool has_failed(const struct dead_letter *letter)
{
    for (size_t i = 0; i < letter->send.n_attributes; i++)
        if (buf_failed(&letter->texts[i]))
            return true;
    return false;
}

int dead_letter_build(const struct dead_letter_options *options, struct dead_letter *ret, struct err *err)
{
    *ret = (struct dead_letter){ .send = { .body = NULL } };
    for (int reduction = 0; reduction <= 2; reduction++) {
        dead_letter_clear(ret);
        build(options, reduction, ret);
        if (has_failed(ret))
            return err_no_memory(err);
        if ((int64_t)sqs_send_size(&ret->send) <= options->max_size)
            return 0;
    }
    return err_never(err, "message_too_large",
                     "the dead letter has %zu bytes, and the dead-letter queue takes %" PRId64
                     " (its MaximumMessageSize)",
                     sqs_send_size(&ret->send), options->max_size);
}

void dead_letter_clear(struct dead_letter *letter)
{
    for (size_t i = 0; i < DEAD_LETTER_ATTRIBUTES_MAX; i++)
        buf_clear(&letter->texts[i]);
    letter->send.n_attributes = 0;
}
