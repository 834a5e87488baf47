#include "stac/resync.h"

#include <string.h>

bool resync_is_flat(const char *text, size_t len, size_t indent)
{
    const char *end = text + len, *line = memchr(text, '\n', len);
    while (line) {
        const char *at = ++line;
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        if (at < end && *at != '\n' && *at != '\r')
            return (size_t)(at - line) <= indent && *at != '{';
        line = memchr(at, '\n', (size_t)(end - at));
    }
    return false;
}

void resync_init(struct resync *resync, const struct resync_options *options, size_t from)
{
    *resync = (struct resync){ .options = *options, .at = from, .first_line = !options->is_multi_line || from == 1 };
}

/* A line that begins like this continues the damaged document before it. */
static bool goes_on(char c, size_t column)
{
    return column > 0 || (c && strchr("\"}],:", c));
}

enum found { NOTHING, SURE, TO_TRY, ARRAY_END, OUTSIDE };

static enum found look_at_line(const struct resync *r, char c)
{
    const struct resync_options *o = &r->options;
    bool is_outer = r->column <= o->indent, begins = c == '{' && is_outer;
    if (o->in_array) {
        if (c == ']' && (r->column < o->indent || (!o->is_multi_line && is_outer)))
            return ARRAY_END;
        if (begins && o->opens_array && !o->is_multi_line && r->last != ',')
            return OUTSIDE;
        return !begins ? NOTHING : o->is_flat ? TO_TRY : SURE;
    }
    if (o->by_lines)
        return SURE;
    if (begins)
        return o->is_flat ? TO_TRY : SURE;
    if (c == '[' && is_outer)
        return o->is_flat ? NOTHING : SURE;
    return !o->is_multi_line && !goes_on(c, r->column) ? SURE : NOTHING;
}

/* In an array: "}, {" or "}]", with the indentation of an element. */
static enum found look_behind_brace(struct resync *r, char c)
{
    bool has_comma = r->state == RESYNC_BRACE_COMMA;
    r->state = RESYNC_IN_LINE;
    if (has_comma)
        return c != '{' ? NOTHING : r->options.is_flat ? TO_TRY : SURE;
    if (c == ',')
        r->state = RESYNC_BRACE_COMMA;
    return c == ']' && !r->options.is_flat ? ARRAY_END : NOTHING;
}

static enum found look_at(struct resync *r, char c)
{
    enum found found = NOTHING;
    if (c == '\n') {
        r->state = RESYNC_LINE_BEGINS;
        r->first_line = false;
        r->column = 0;
        return NOTHING;
    }
    if (brackets_is_blank(c)) {
        r->column += r->state == RESYNC_LINE_BEGINS;
        return NOTHING;
    }
    if (c == BRACKETS_SEPARATOR && !r->options.in_array)
        return SURE;
    if (r->state == RESYNC_LINE_BEGINS) {
        found = look_at_line(r, c);
        r->state = r->options.in_array && c == '}' && r->column <= r->options.indent ? RESYNC_BRACE : RESYNC_IN_LINE;
    } else if (r->state != RESYNC_IN_LINE) {
        found = look_behind_brace(r, c);
    } else if (r->first_line && r->options.in_array && !r->options.is_multi_line && c == '{' && r->last == ',') {
        found = TO_TRY;
    }
    r->last = c;
    return found;
}

/* Follows the value that may be a document. NOTHING: it is not; TO_TRY: it goes on. */
static enum found try_on(struct resync *r, const char *text, size_t len, bool is_end)
{
    enum brackets_event event = BRACKETS_FEATURES;
    while (event == BRACKETS_FEATURES) { /* its elements are followed like any others */
        size_t taken = 0;
        event = brackets_take(&r->trial, text + r->try_at, len - r->try_at, &taken);
        r->try_at += taken;
        r->tried += (int64_t)taken;
    }
    if (event == BRACKETS_GO_ON && !is_end)
        return TO_TRY;
    return event == BRACKETS_END && r->trial.is_document ? SURE : NOTHING;
}

static enum resync_event give(struct resync *r, enum found found, size_t at, size_t *ret_at)
{
    r->at = *ret_at = at;
    return found == ARRAY_END ? RESYNC_ARRAY_END : found == OUTSIDE ? RESYNC_OUTSIDE : RESYNC_DOCUMENT;
}

enum resync_event resync_find(struct resync *r, const char *text, size_t len, bool is_end, int64_t may_try,
                              size_t *ret_at)
{
    while (r->is_trying || r->at < len) {
        if (r->is_trying) {
            enum found found = try_on(r, text, len, is_end);
            if (found == TO_TRY)
                return RESYNC_MORE;
            r->is_trying = false;
            if (found == SURE)
                return give(r, found, r->try_from, ret_at);
            continue;
        }
        enum found found = look_at(r, text[r->at]);
        if (found == TO_TRY && r->tried < may_try) {
            r->is_trying = true;
            r->try_from = r->try_at = r->at;
            brackets_init(&r->trial, r->column);
        } else if (found != NOTHING && found != TO_TRY) {
            return give(r, found, r->at, ret_at);
        }
        r->at++;
    }
    return RESYNC_MORE;
}
