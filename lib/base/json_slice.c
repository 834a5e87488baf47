#include "base/json_slice.h"

#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_space(const char *text, size_t len, size_t at)
{
    while (at < len && is_space(text[at]))
        at++;
    return at;
}

/* `at` is at the opening quote. Returns the offset after the closing quote, or `len`. */
static size_t string_end(const char *text, size_t len, size_t at)
{
    for (size_t from = at + 1;;) {
        const char *quote = memchr(text + from, '"', len - from);
        if (!quote)
            return len;
        size_t end = (size_t)(quote - text), backslashes = 0;
        while (text[end - 1 - backslashes] == '\\')
            backslashes++;
        if (backslashes % 2 == 0)
            return end + 1;
        from = end + 1;
    }
}

static size_t value_end(const char *text, size_t len, size_t at)
{
    size_t depth = 0;
    while (at < len) {
        char c = text[at];
        if (depth == 0 && (c == ',' || c == ':' || c == ']' || c == '}' || is_space(c)))
            return at;
        at = c == '"' ? string_end(text, len, at) : at + 1;
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        if (depth == 0 && (c == '"' || c == '}' || c == ']'))
            return at;
    }
    return at;
}

struct json_slice json_slice_of(const char *text, size_t len)
{
    size_t start = skip_space(text, len, 0);
    return (struct json_slice){ .text = text + start, .len = value_end(text, len, start) - start };
}

bool json_slice_next(struct json_slice list, size_t *at, struct json_slice *ret)
{
    size_t start = *at == 0 ? 1 : *at;
    while (start < list.len && (is_space(list.text[start]) || list.text[start] == ',' || list.text[start] == ':'))
        start++;
    size_t end = value_end(list.text, list.len, start);
    *at = end;
    *ret = (struct json_slice){ .text = list.text + start, .len = end - start };
    return end > start;
}

bool json_slice_is(struct json_slice value, const char *text)
{
    size_t len = strlen(text);
    return value.len == len + 2 && value.text[0] == '"' && memcmp(value.text + 1, text, len) == 0;
}

bool json_slice_member(struct json_slice object, const char *key, struct json_slice *ret)
{
    bool found = false;
    struct json_slice name, value;
    size_t at = 0;
    while (object.len > 0 && object.text[0] == '{' && json_slice_next(object, &at, &name) &&
           json_slice_next(object, &at, &value))
        if (json_slice_is(name, key)) {
            *ret = value;
            found = true;
        }
    return found;
}
