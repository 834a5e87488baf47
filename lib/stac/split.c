#include "stac/split.h"

#include <string.h>

#include "stac/item.h"

enum {
    LARGE = 1024 * 1024,       /* a text of this size is not copied */
    PIECE = 64 * 1024,         /* bytes of the input that are taken at a time */
    CLOSING_MAX = 64 * 1024,   /* blanks after a document, behind which something else may follow on its line */
    LOOKS_MAX = 16,            /* how often each byte is looked at, if the input is damaged again and again, */
    LOOKS_SPARE = 1024 * 1024, /* and so many more looks in total */
};

/* The outcome of a step: go on, more input is needed, a document is in `ret`. */
enum step { AGAIN, HUNGRY, GIVEN };

void split_document_clear(struct split_document *document)
{
    buf_clear(&document->text);
}

int split_document_parse(const struct split_document *document, cJSON **ret, struct err *err)
{
    if (document->larger_than)
        return err_never(err, "document_too_large", "the document that begins at line %lld has more than %zu bytes",
                         (long long)document->line, document->larger_than);
    if (document->wrong)
        return err_never(err, "invalid_json", "not valid JSON: %s at line %lld, column %lld", document->wrong,
                         (long long)document->line, (long long)document->column);
    struct json_position position = { .line = (size_t)document->line, .column = (size_t)document->column };
    return stac_item_parse_part(buf_str(&document->text), document->text.len, position, ret, err);
}

void split_init(struct split *split, const struct split_position *from)
{
    *split = (struct split){ .at = *from, .document_max = SPLIT_DOCUMENT_MAX, .in_indent = from->column == 0 };
    if (from->form != SPLIT_FEATURES)
        return;
    size_t ignored = 0;
    brackets_init(&split->frame, 0);
    (void)brackets_take(&split->frame, "{\"features\":[", strlen("{\"features\":["), &ignored);
}

void split_clear(struct split *split)
{
    buf_clear(&split->held);
}

static bool in_array(const struct split *split)
{
    return split->at.form == SPLIT_ARRAY || split->at.form == SPLIT_FEATURES;
}

static const char *held(const struct split *split)
{
    return buf_str(&split->held) + split->from;
}

static size_t held_len(const struct split *split)
{
    return split->held.len - split->from;
}

/* Moves on by `len` bytes. Counts lines and columns, and the indentation of the line. */
static void consume(struct split *split, size_t len)
{
    const char *at = held(split), *end = at + len, *newline;
    for (const char *line = at; (newline = memchr(line, '\n', (size_t)(end - line))); line = newline + 1) {
        split->at.lines++;
        split->at.column = 0;
        split->indent = 0;
        split->in_indent = true;
        at = newline + 1;
    }
    split->at.column += end - at;
    for (; split->in_indent && at < end; at++) {
        split->in_indent = brackets_is_blank(*at);
        split->indent += split->in_indent;
    }
    split->at.offset += (int64_t)len;
    split->from += len;
    if (split->seen < split->from)
        split->seen = split->from;
}

static void append(struct split *split, struct split_input *input)
{
    if (split->from > 0) {
        memmove(split->held.data, held(split), held_len(split));
        split->held.len -= split->from;
        split->seen -= split->from;
        split->from = 0;
    }
    if (split->held.len == 0 && split->held.cap > 16 * PIECE) /* the memory of a large document */
        buf_clear(&split->held);
    size_t len = input->len < PIECE ? input->len : PIECE;
    buf_add(&split->held, input->data, len);
    input->data += len;
    input->len -= len;
}

/* --------------------------------------------------------------- documents */

/* Takes `len` bytes at `from`, which were consumed. A large text is moved, not copied. */
static void take_text(struct split *split, size_t from, size_t len, struct buf *ret)
{
    if (from > 0 || len < LARGE) {
        buf_add(ret, buf_str(&split->held) + from, len);
        return;
    }
    struct buf rest = BUF_INIT;
    buf_add(&rest, held(split), held_len(split));
    *ret = split->held;
    ret->len = len;
    ret->data[len] = '\0';
    split->held = rest;
    split->from = split->seen = 0;
}

/* The first `len` bytes become a document; the last `spare` of them are not in its text. */
static enum step give(struct split *split, size_t len, size_t spare, bool is_damaged, struct split_document *ret)
{
    *ret = (struct split_document){ .larger_than = split->too_large ? split->document_max : 0,
                                    .is_damaged = is_damaged,
                                    .wrong = split->wrong,
                                    .line = split->line,
                                    .column = split->column,
                                    .index = split->at.documents++ };
    size_t from = split->from;
    bool is_one_line = split->line == split->at.lines + 1 && !memchr(held(split), '\n', len);
    consume(split, len);
    if (!split->too_large)
        take_text(split, from, len - spare, &ret->text);
    split->held.failed |= buf_failed(&ret->text);
    split->state = SPLIT_BETWEEN;
    split->is_first = split->at.after_comma = false;
    if (!in_array(split) && !is_damaged)
        split->at.form = is_one_line ? SPLIT_LINES : SPLIT_VALUES;
    ret->end = split->at;
    return GIVEN;
}

static void begin(struct split *split, const char *wrong)
{
    split->line = split->at.lines + 1;
    split->column = split->at.column + 1;
    split->document_indent = split->in_indent ? (size_t)split->at.column : split->indent;
    split->wrong = wrong;
    split->too_large = false;
    split->state = SPLIT_OPEN;
    split->seen = split->from;
    brackets_init(&split->brackets, split->document_indent);
}

/* Something is missing, or too much: the next `len` bytes become a damaged document without text. */
static enum step give_wrong(struct split *split, const char *wrong, size_t len, struct split_document *ret)
{
    begin(split, wrong);
    return give(split, len, len, true, ret);
}

/* ------------------------------------------------------------------ damage */

/* Whether the document's first line is only a bracket. Then the input is not line-delimited. */
static bool is_bracket_only(const struct split *split)
{
    const char *text = held(split), *end = memchr(text, '\n', held_len(split));
    size_t len = end ? (size_t)(end - text) : held_len(split);
    while (len > 0 && brackets_is_blank(text[len - 1]))
        len--;
    return end && len == 1 && text[0] == '{';
}

static enum step damage(struct split *split)
{
    size_t len = split->seen - split->from;
    int64_t reached = LOOKS_SPARE + LOOKS_MAX * (split->at.offset + (int64_t)len);
    bool is_multi_line = split->line <= split->at.lines || memchr(held(split), '\n', len);
    struct resync_options options = {
        .indent = split->document_indent,
        .in_array = in_array(split),
        .opens_array = split->array_line == split->line,
        .by_lines = split->at.form == SPLIT_LINES && !is_bracket_only(split),
        .is_multi_line = is_multi_line,
        .is_flat = is_multi_line && resync_is_flat(held(split), len, split->document_indent),
    };
    resync_init(&split->resync, &options, split->too_large || split->followed > reached ? len : 1);
    split->may_try = reached - split->tried;
    split->state = SPLIT_DAMAGED;
    return AGAIN;
}

static size_t without_blanks(const char *text, size_t len)
{
    while (len > 0 && brackets_is_blank(text[len - 1]))
        len--;
    return len;
}

/* A damaged document ends with its last line; an element of an array, before the comma that follows it. */
static size_t damaged_len(const struct split *split, size_t len)
{
    const char *text = held(split);
    size_t kept = without_blanks(text, len);
    if (in_array(split))
        return kept > 0 && text[kept - 1] == ',' ? without_blanks(text, kept - 1) : kept;
    const char *newline = memchr(text + kept, '\n', len - kept);
    size_t end = newline ? (size_t)(newline - text) : len;
    return end > kept && text[end - 1] == '\r' ? end - 1 : end;
}

static enum step give_damaged(struct split *split, size_t len, struct split_document *ret)
{
    split->tried += split->resync.tried;
    return give(split, len, len - damaged_len(split, len), true, ret);
}

/* The damaged document is too large to keep. Only the part that may be the next document is kept. */
static void shorten(struct split *split)
{
    struct resync *resync = &split->resync;
    if (resync->is_trying && held_len(split) - resync->try_from > split->document_max) {
        resync->is_trying = false;
        resync->at++;
    }
    size_t len = resync->is_trying ? resync->try_from : resync->at;
    consume(split, len);
    resync->at -= len;
    resync->try_from -= resync->is_trying ? len : 0;
    resync->try_at -= resync->is_trying ? len : 0;
    split->too_large = true;
}

static enum step step_damaged(struct split *split, bool is_end, struct split_document *ret)
{
    size_t len = 0;
    enum resync_event event = resync_find(&split->resync, held(split), held_len(split), is_end, split->may_try, &len);
    if (event == RESYNC_MORE && is_end) {
        if (in_array(split))
            split->at.form = SPLIT_VALUES;
        return give_damaged(split, held_len(split), ret);
    }
    if (event == RESYNC_MORE) {
        if (held_len(split) > split->document_max)
            shorten(split);
        return HUNGRY;
    }
    bool was_in_array = in_array(split);
    enum step step = give_damaged(split, len, ret);
    if (event == RESYNC_OUTSIDE)
        split->at.form = SPLIT_LINES;
    split->at.after_comma = was_in_array && event == RESYNC_DOCUMENT;
    ret->end = split->at;
    return step;
}

/* ------------------------------------------------------------------ states */

static enum step enter_array(struct split *split, enum split_form form)
{
    split->at.form = form;
    split->is_first = split->at.after_comma = true;
    split->state = SPLIT_BETWEEN;
    return AGAIN;
}

/* An array, or an object with features, has ended. */
static enum step leave(struct split *split)
{
    split->at.form = split->array_line == split->at.lines + 1 ? SPLIT_LINES : SPLIT_VALUES;
    split->at.after_comma = false;
    split->state = SPLIT_BETWEEN;
    return AGAIN;
}

static enum step step_between_elements(struct split *split, char c, struct split_document *ret)
{
    if (c == ']' && split->at.after_comma && !split->is_first)
        return give_wrong(split, "a comma without a document behind it", 0, ret);
    if (c == ']') {
        consume(split, 1);
        if (split->at.form == SPLIT_ARRAY)
            return leave(split);
        brackets_leave_features(&split->frame);
        split->at.after_comma = false;
        split->state = SPLIT_FRAME;
        return AGAIN;
    }
    if (c == ',' && split->at.after_comma) {
        enum step step = give_wrong(split, "a comma without a document before it", 1, ret);
        ret->end.after_comma = split->at.after_comma = true;
        return step;
    }
    if (c == ',') {
        consume(split, 1);
        split->at.after_comma = true;
        split->is_first = false;
        return AGAIN;
    }
    begin(split, split->at.after_comma ? NULL : "no comma before the document");
    return strchr("}:", c) && c ? damage(split) : AGAIN;
}

static enum step step_between(struct split *split, bool is_end, struct split_document *ret)
{
    const char *text = held(split);
    size_t blanks = 0, len = held_len(split);
    while (blanks < len &&
           (brackets_is_blank(text[blanks]) || (text[blanks] == BRACKETS_SEPARATOR && !in_array(split))))
        blanks++;
    consume(split, blanks);
    if (blanks == len) {
        if (!is_end || !in_array(split))
            return HUNGRY;
        split->at.form = SPLIT_VALUES;
        return give_wrong(split, "the end comes too early, in an array that is not closed,", 0, ret);
    }
    char c = text[blanks];
    if (in_array(split))
        return step_between_elements(split, c, ret);
    if (c == '[') {
        split->array_line = split->at.lines + 1;
        consume(split, 1);
        return enter_array(split, SPLIT_ARRAY);
    }
    begin(split, NULL);
    return c == '{' ? AGAIN : damage(split);
}

static enum step enter_features(struct split *split)
{
    split->array_line = split->line;
    split->frame = split->brackets;
    consume(split, split->seen - split->from);
    return enter_array(split, SPLIT_FEATURES);
}

static enum step step_open(struct split *split, bool is_end)
{
    size_t taken = 0;
    enum brackets_event event =
        brackets_take(&split->brackets, buf_str(&split->held) + split->seen, split->held.len - split->seen, &taken);
    split->seen += taken;
    split->followed += (int64_t)taken;
    if (split->too_large || split->seen - split->from > split->document_max) {
        split->too_large = true;
        consume(split, split->seen - split->from);
    }
    if (event == BRACKETS_GO_ON && is_end)
        event = brackets_may_end(&split->brackets) ? BRACKETS_END : BRACKETS_DAMAGE;
    switch (event) {
    case BRACKETS_GO_ON:
        return HUNGRY;
    case BRACKETS_END:
    case BRACKETS_END_BEFORE:
        split->state = SPLIT_CLOSING;
        return AGAIN;
    case BRACKETS_FEATURES:
        return in_array(split) ? AGAIN : enter_features(split);
    default:
        return damage(split);
    }
}

/* The document was complete if its last line has nothing else but another document. */
static enum step step_closing(struct split *split, bool is_end, struct split_document *ret)
{
    const char *text = buf_str(&split->held);
    size_t end = split->seen, at = end;
    while (at < split->held.len && at - end < CLOSING_MAX && brackets_is_blank(text[at]) && text[at] != '\n')
        at++;
    if (at == split->held.len && !is_end)
        return HUNGRY;
    const char *expected = in_array(split) ? "\n,]{" : "\n{[\x1e";
    bool is_whole = at == split->held.len || at - end == CLOSING_MAX || (text[at] && strchr(expected, text[at]));
    if (is_whole)
        return give(split, end - split->from, 0, split->wrong != NULL, ret);
    return damage(split);
}

/* The rest of an object with features. */
static enum step step_frame(struct split *split, bool is_end, struct split_document *ret)
{
    size_t taken = 0;
    enum brackets_event event = brackets_take(&split->frame, held(split), held_len(split), &taken);
    consume(split, taken);
    if (event == BRACKETS_END)
        return leave(split);
    if (event == BRACKETS_FEATURES)
        return enter_array(split, SPLIT_FEATURES);
    if (event == BRACKETS_GO_ON && !is_end)
        return HUNGRY;
    split->at.form = SPLIT_VALUES;
    if (event == BRACKETS_GO_ON)
        return give_wrong(split, "the end comes too early, in a FeatureCollection that is not closed,", 0, ret);
    begin(split, "a bracket that does not match, behind the features of a FeatureCollection,");
    split->document_indent = split->frame.indent;
    return damage(split);
}

int split_next(struct split *split, struct split_input *input, struct split_document *ret, bool *ret_found,
               struct err *err)
{
    for (;;) {
        bool is_end = input->end && input->len == 0;
        enum step step = HUNGRY;
        switch (split->state) {
        case SPLIT_BETWEEN:
            step = step_between(split, is_end, ret);
            break;
        case SPLIT_OPEN:
            step = step_open(split, is_end);
            break;
        case SPLIT_CLOSING:
            step = step_closing(split, is_end, ret);
            break;
        case SPLIT_FRAME:
            step = step_frame(split, is_end, ret);
            break;
        case SPLIT_DAMAGED:
            step = step_damaged(split, is_end, ret);
            break;
        }
        *ret_found = step == GIVEN;
        if (step == HUNGRY && input->len > 0)
            append(split, input);
        else if (step == HUNGRY)
            return 0;
        if (buf_failed(&split->held)) {
            if (step == GIVEN)
                split_document_clear(ret);
            *ret_found = false;
            return err_no_memory(err);
        }
        if (step == GIVEN)
            return 0;
    }
}
