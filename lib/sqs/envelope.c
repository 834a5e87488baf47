#include "sqs/envelope.h"

#include "base/num.h"
#include "base/time.h"

static const char published_at_name[] = "published_at";
static const int64_t published_at_max_ms = 253402300799999; /* the end of the year 9999 */

void envelope_clear(struct envelope *envelope)
{
    free(envelope->text);
    *envelope = (struct envelope){ .payload = NULL };
}

static bool body_has(const struct sqs_message *message, const char *text)
{
    return memmem(message->body, message->body_len, text, strlen(text)) != NULL;
}

/* True if the body may write a letter as an escape: "\u0041" to "\u007a". Escapes near that range also match. */
static bool has_escaped_letter(const struct sqs_message *message)
{
    const char *end = message->body + message->body_len;
    for (const char *at = message->body; (at = memchr(at, '\\', (size_t)(end - at)));) {
        at++; /* at most at the NUL that ends the body */
        if (strncmp(at, "u00", 3) == 0 && at[3] >= '4' && at[3] <= '7')
            return true;
    }
    return false;
}

/* A quick test before parsing: the body has an envelope's three words, rarest first, or escapes may hide them. */
static bool may_be_sns(const struct sqs_message *message)
{
    if (message->body[strspn(message->body, " \t\r\n")] != '{')
        return false;
    return (body_has(message, "\"TopicArn\"") && body_has(message, "\"Notification\"") &&
            body_has(message, "\"Type\"")) ||
           has_escaped_letter(message);
}

/* With GeoJSON's "type" it is an item: items may have foreign members with any name, also with SNS's. */
static bool is_sns(const cJSON *json)
{
    const char *type = json_get_string(json, "Type");
    return type && strcmp(type, "Notification") == 0 && json_get_string(json, "TopicArn") &&
           json_get_string(json, "Message") && !json_get(json, "type");
}

/* Parses the body if it is an envelope; otherwise *ret stays NULL. < 0: no memory. */
static int parse_sns(const struct sqs_message *message, cJSON **ret, struct err *err)
{
    if (!may_be_sns(message))
        return 0;
    auto_json cJSON *json = NULL;
    struct err story = ERR_INIT;
    int r = json_parse(message->body, message->body_len, &json, &story);
    if (r < 0) {
        if (err)
            *err = story;
        return r;
    }
    if (r == 0 && is_sns(json))
        *ret = TAKE(json);
    return 0;
}

/* Reads the attribute published_at: milliseconds, of type Number or String (also "Number.custom"). */
static bool from_attributes(const struct sqs_message *message, int64_t *ret_ms)
{
    for (size_t i = 0; i < message->n_attributes; i++) {
        const struct sqs_attribute *attribute = &message->attributes[i];
        if (strcmp(attribute->name, published_at_name) == 0)
            return strncmp(attribute->type, "Binary", 6) != 0 &&
                   num_parse_i64(attribute->value, 0, published_at_max_ms, ret_ms, NULL) == 0;
    }
    return false;
}

static bool from_sns(const cJSON *json, int64_t *ret_ms)
{
    const cJSON *attribute = json_get(json_get(json, "MessageAttributes"), published_at_name);
    const char *type = json_get_string(attribute, "Type");
    if (type && strncmp(type, "Binary", 6) != 0 && json_get_i64(attribute, "Value", 0, published_at_max_ms, ret_ms))
        return true;
    const char *timestamp = json_get_string(json, "Timestamp");
    int64_t timestamp_us = 0;
    if (!timestamp || !time_parse_rfc3339(timestamp, &timestamp_us) || timestamp_us < 0)
        return false;
    *ret_ms = timestamp_us / 1000;
    return true;
}

int envelope_open(const struct sqs_message *message, struct envelope *ret, struct err *err)
{
    auto_json cJSON *sns = NULL;
    int r = parse_sns(message, &sns, err);
    if (r != 0)
        return r;

    auto_envelope struct envelope envelope = { .payload = message->body, .is_sns = sns != NULL };
    envelope.payload_len = message->body_len;
    if (sns) {
        envelope.payload = envelope.text = json_take_string(json_get(sns, "Message"));
        if (!envelope.text)
            return err_no_memory(err);
        envelope.payload_len = strlen(envelope.text);
    }
    if (!from_attributes(message, &envelope.published_at_ms) && !(sns && from_sns(sns, &envelope.published_at_ms)))
        envelope.published_at_ms = message->sent_at_ms;
    *ret = envelope;
    envelope.text = NULL;
    return 0;
}
