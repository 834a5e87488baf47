#include "stac/brackets.h"

#include <string.h>

#include "base/swar.h"

void brackets_init(struct brackets *brackets, size_t indent)
{
    *brackets = (struct brackets){ .indent = indent };
}

bool brackets_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool brackets_may_end(const struct brackets *brackets)
{
    return brackets->begun && brackets->depth == 0 && !brackets->in_string;
}

void brackets_leave_features(struct brackets *brackets)
{
    brackets->depth--;
    brackets->last = '}';
}

static bool has_word(const struct brackets *b, const char *word)
{
    return strcmp(b->word, word) == 0;
}

/* The type of a document is in the keys and strings of the outermost object. */
static void end_word(struct brackets *b)
{
    b->word[b->word_len] = '\0';
    if (b->last != ':') {
        memcpy(b->key, b->word, sizeof(b->key));
    } else if (strcmp(b->key, "type") == 0) {
        b->has_type = true;
        b->is_features = has_word(b, "FeatureCollection");
        b->is_document = b->is_features || has_word(b, "Feature") || has_word(b, "Collection");
    }
}

/* The number of bytes before a quote, a backslash or a newline. */
static size_t plain_len(const char *data, size_t len)
{
    size_t at = 0;
    for (; len - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t word = swar_load(data + at);
        uint64_t marks = swar_equal(word, '"') | swar_equal(word, '\\') | swar_equal(word, '\n');
        if (marks)
            return at + swar_first(marks);
    }
    while (at < len && data[at] != '"' && data[at] != '\\' && data[at] != '\n')
        at++;
    return at;
}

static void keep_word(struct brackets *b, const char *data, size_t len)
{
    size_t room = sizeof(b->word) - 1 - b->word_len;
    size_t kept = len < room ? len : room;
    memcpy(b->word + b->word_len, data, kept);
    b->word_len += kept;
}

/* A string cannot contain a newline: valid JSON has an escape for it. */
static enum brackets_event take_string(struct brackets *b, const char *data, size_t len, size_t *at)
{
    bool is_kept = b->depth == 1 && !b->in_array[1];
    while (*at < len) {
        size_t plain = b->escaped ? 1 : plain_len(data + *at, len - *at);
        if (b->escaped && data[*at] == '\n')
            return BRACKETS_DAMAGE;
        if (is_kept)
            keep_word(b, data + *at, plain);
        *at += plain;
        b->escaped = false;
        if (*at == len)
            break;
        char c = data[*at];
        if (c == '\n')
            return BRACKETS_DAMAGE;
        if (c == '"') {
            if (is_kept)
                end_word(b);
            b->in_string = false;
            b->last = '"';
            ++*at;
            return b->depth == 0 ? BRACKETS_END : BRACKETS_GO_ON;
        }
        if (c == '\\') {
            if (is_kept)
                keep_word(b, &c, 1);
            b->escaped = true;
            ++*at;
        }
    }
    return BRACKETS_GO_ON;
}

/* Whether a value can stand here. */
static bool can_begin(const struct brackets *b)
{
    return !b->begun || b->last == '[' || b->last == ':' || (b->last == ',' && b->in_array[b->depth]);
}

static enum brackets_event open_bracket(struct brackets *b, char c)
{
    /* A line begins with '{' where a value cannot begin: the value was cut off, and this is the next one. */
    if (c == '{' && b->at_line && b->column <= b->indent && !can_begin(b))
        return BRACKETS_DAMAGE;
    if (b->depth == (int)N_ELEMENTS(b->in_array) - 1)
        return BRACKETS_DAMAGE;
    bool is_features = c == '[' && b->depth == 1 && !b->in_array[1] && b->last == ':' &&
                       strcmp(b->key, "features") == 0 && (!b->has_type || b->is_features);
    b->in_array[++b->depth] = c == '[';
    b->last = c;
    return is_features ? BRACKETS_FEATURES : BRACKETS_GO_ON;
}

static enum brackets_event close_bracket(struct brackets *b, char c)
{
    if (b->depth == 0 || b->in_array[b->depth] != (c == ']'))
        return BRACKETS_DAMAGE;
    b->depth--;
    b->last = '}';
    return b->depth == 0 ? BRACKETS_END : BRACKETS_GO_ON;
}

static enum brackets_event take_byte(struct brackets *b, char c)
{
    switch (c) {
    case '{':
    case '[':
        return open_bracket(b, c);
    case '}':
    case ']':
        return close_bracket(b, c);
    case '"':
        b->in_string = true;
        b->escaped = false;
        b->word_len = 0;
        return BRACKETS_GO_ON;
    case BRACKETS_SEPARATOR:
        return BRACKETS_DAMAGE;
    case ',':
    case ':':
        if (b->depth == 0)
            return BRACKETS_DAMAGE;
        b->last = c;
        return BRACKETS_GO_ON;
    default:
        b->in_word = b->depth == 0;
        b->last = 'w';
        return BRACKETS_GO_ON;
    }
}

static void take_blank(struct brackets *b, char c)
{
    if (c == '\n') {
        b->at_line = b->has_newline = true;
        b->column = 0;
    } else if (b->at_line) {
        b->column++;
    }
}

/* For speed: skips bytes that cannot be an event, which most are: short strings, words, commas, blanks on a line. */
static size_t skip_simple(struct brackets *b, const char *data, size_t len)
{
    size_t at = 0;
    bool is_outermost = b->depth == 1;
    for (; at < len; at++) {
        char c = data[at];
        if (c == ' ')
            continue;
        if (c == '"' && !is_outermost) {
            size_t plain = plain_len(data + at + 1, len - at - 1);
            if (at + 1 + plain == len || data[at + 1 + plain] != '"')
                break;
            at += 1 + plain;
        } else if (c == ',' || c == ':') {
        } else if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '.' || c == '-') {
            c = 'w';
        } else {
            break;
        }
        b->last = c;
    }
    return at;
}

enum brackets_event brackets_take(struct brackets *b, const char *data, size_t len, size_t *ret_len)
{
    enum brackets_event event = BRACKETS_GO_ON;
    size_t at = 0;
    while (at < len && event == BRACKETS_GO_ON) {
        if (b->in_string) {
            event = take_string(b, data, len, &at);
            continue;
        }
        if (b->depth > 0 && !b->at_line)
            at += skip_simple(b, data + at, len - at);
        if (at == len)
            break;
        char c = data[at];
        if (b->in_word && (brackets_is_blank(c) || strchr(",:{}[]\"\x1e", c)) && c) {
            event = BRACKETS_END_BEFORE;
        } else if (brackets_is_blank(c)) {
            take_blank(b, c);
            at++;
        } else {
            event = take_byte(b, c);
            b->begun = true;
            b->at_line = false;
            at += event != BRACKETS_DAMAGE;
        }
    }
    *ret_len = at;
    return event;
}
