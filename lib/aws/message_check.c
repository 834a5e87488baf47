#include "aws/message_check.h"

#include "base/utf8.h"

enum { NAME_MAX_LEN = 256 };

bool message_check_text(const char *text)
{
    size_t len = strlen(text);
    for (size_t at = 0; at < len;) {
        uint32_t c = (unsigned char)text[at];
        size_t n = c < 0x80 ? 1 : utf8_next(text + at, len - at, &c);
        if (n == 0 || (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0xFFFE || c == 0xFFFF)
            return false;
        at += n;
    }
    return true;
}

int message_check_body(const char *body, struct err *err)
{
    if (!*body)
        return err_never(err, "invalid_message", "the message body is empty");
    if (!message_check_text(body))
        return err_never(err, "invalid_message", "the message body has characters that SQS and SNS do not accept");
    return 0;
}

/* Letters, digits, '_', '-', and single '.' inside; AWS reserves two prefixes. */
static bool is_attribute_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_LEN || name[0] == '.' || name[len - 1] == '.' || strstr(name, ".."))
        return false;
    if (strncasecmp(name, "AWS.", 4) == 0 || strncasecmp(name, "Amazon.", 7) == 0)
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") == len;
}

static bool is_type(const char *type)
{
    static const char *const types[] = { "String", "Number", "Binary" };
    for (size_t i = 0; i < N_ELEMENTS(types); i++) {
        size_t len = strlen(types[i]);
        if (strncmp(type, types[i], len) == 0 && (type[len] == '\0' || type[len] == '.'))
            return strlen(type) <= NAME_MAX_LEN;
    }
    return false;
}

int message_check_attribute(const char *name, const char *type, const char *value, struct err *err)
{
    if (!is_attribute_name(name))
        return err_never(err, "invalid_message", "\"%.*s\" is not a valid name of a message attribute", NAME_MAX_LEN,
                         name);
    if (!is_type(type))
        return err_never(err, "invalid_message",
                         "message attribute %s: its type \"%.*s\" is not String, Number or Binary", name, NAME_MAX_LEN,
                         type);
    if (!*value)
        return err_never(err, "invalid_message", "message attribute %s is empty", name);
    if (!message_check_text(value))
        return err_never(err, "invalid_message", "message attribute %s has characters that SQS and SNS do not accept",
                         name);
    return 0;
}

int message_check_count(size_t n_attributes, struct err *err)
{
    if (n_attributes > MESSAGE_ATTRIBUTES_MAX)
        return err_never(err, "invalid_message", "the message has %zu attributes; the maximum is %d", n_attributes,
                         MESSAGE_ATTRIBUTES_MAX);
    return 0;
}

int message_check_size(size_t size, size_t max, struct err *err)
{
    if (size > max)
        return err_never(err, "message_too_large", "body and attributes have %zu bytes; the maximum is %zu", size, max);
    return 0;
}

bool message_check_is_binary(const char *type)
{
    return strncmp(type, "Binary", 6) == 0;
}

size_t message_check_attribute_size(const char *name, const char *type, const char *value)
{
    size_t len = strlen(value);
    if (message_check_is_binary(type) && len >= 4) {
        size_t padding = (size_t)(value[len - 1] == '=') + (size_t)(value[len - 2] == '=');
        len = len / 4 * 3 - padding;
    }
    return strlen(name) + strlen(type) + len;
}
