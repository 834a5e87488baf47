#include "stac/split.h"

#include <stdio.h>
#include <string.h>

/* What a byte is to the stream. */
enum event {
    GOES_ON,
    BEGINS,      /* a document begins with it */
    ENDS,        /* a document ends with it */
    ENDS_BEFORE, /* a document ended before it */
    FEATURES,    /* what was held is the head of a FeatureCollection */
    LINES,       /* it is a part of a line of ndjson */
    WRONG,
};

void split_document_clear(struct split_document *document)
{
    buf_clear(&document->text);
}

static void push(struct split *split, bool is_array)
{
    split->in_array[++split->depth] = is_array;
}

void split_init(struct split *split, const struct split_position *from)
{
    *split = (struct split){ .at = *from, .last = '}' };
    if (from->form == SPLIT_FEATURES)
        push(split, false);
    if (from->form == SPLIT_FEATURES || from->form == SPLIT_ARRAY)
        push(split, true);
}

void split_clear(struct split *split)
{
    buf_clear(&split->text);
}

/* ------------------------------------------------------------ what a byte is */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The depth at which documents begin and end. */
static int outside(const struct split *split)
{
    return split->at.form == SPLIT_ARRAY ? 1 : split->at.form == SPLIT_FEATURES ? 2 : 0;
}

static enum event ended(const struct split *split, enum event how)
{
    return split->open && split->depth == outside(split) ? how : GOES_ON;
}

/* A line that cannot go on is a broken document of ndjson; anything else leaves nothing to hold on to. */
static enum event broken(const struct split *split)
{
    return split->open && split->at.form == SPLIT_VALUES && split->first_line ? LINES : WRONG;
}

/* The outermost object's own keys and strings tell a FeatureCollection. */
static void end_word(struct split *split)
{
    split->word[split->word_len] = '\0';
    if (split->last != ':') {
        memcpy(split->key, split->word, sizeof(split->key));
    } else if (strcmp(split->key, "type") == 0) {
        split->has_type = true;
        split->is_features = strcmp(split->word, "FeatureCollection") == 0;
    }
}

static enum event look_in_string(struct split *split, char c)
{
    bool outermost = split->depth == 1 && outside(split) == 0;
    if (c == '\n')
        return broken(split);
    if (c == '"' && !split->escaped) {
        if (outermost)
            end_word(split);
        split->in_string = false;
        split->last = '"';
        return ended(split, ENDS);
    }
    split->escaped = c == '\\' && !split->escaped;
    if (outermost && split->word_len < sizeof(split->word) - 1)
        split->word[split->word_len++] = c;
    return GOES_ON;
}

static void begin_string(struct split *split)
{
    split->in_string = true;
    split->escaped = false;
    split->word_len = 0;
}

static bool is_features_list(const struct split *split, char c)
{
    return c == '[' && split->depth == 1 && outside(split) == 0 && split->last == ':' &&
           strcmp(split->key, "features") == 0 && (!split->has_type || split->is_features);
}

static enum event look_at_bracket(struct split *split, char c)
{
    bool is_array = c == '[' || c == ']';
    if (c == '{' || c == '[') {
        bool features = is_features_list(split, c);
        if (split->depth == (int)N_ELEMENTS(split->in_array) - 1)
            return broken(split);
        push(split, is_array);
        split->last = c;
        return features ? FEATURES : GOES_ON;
    }
    if (split->depth == outside(split) || split->in_array[split->depth] != is_array)
        return broken(split);
    split->depth--;
    split->last = '}';
    if (split->at.form == SPLIT_TAIL && split->depth == 0)
        split->at.form = SPLIT_VALUES;
    return ended(split, ENDS);
}

static enum event look_inside(struct split *split, char c)
{
    /* A second line that begins with '{' where none can stand: the first was a broken line, and this is the next. */
    bool none_can_stand =
        split->last != '[' && split->last != ':' && (split->last != ',' || !split->in_array[split->depth]);
    if (split->second_line && split->at.form == SPLIT_VALUES && c == '{' && none_can_stand)
        return ENDS_BEFORE;
    split->second_line = false;
    if (c == '"')
        begin_string(split);
    else if (strchr("{}[]", c))
        return look_at_bracket(split, c);
    else
        split->last = c;
    return GOES_ON;
}

static enum event begin_document(struct split *split, char c)
{
    if (c == '"')
        begin_string(split);
    else if (c == '{' || c == '[')
        push(split, c == '[');
    split->scalar = !strchr("\"{[", c);
    split->last = c;
    split->key[0] = '\0';
    split->has_type = split->is_features = false;
    return BEGINS;
}

static enum event look_between(struct split *split, char c)
{
    if (split->at.form == SPLIT_VALUES && c == '[') {
        split->at.form = SPLIT_ARRAY;
        push(split, true);
        split->last = '[';
        return GOES_ON;
    }
    if (split->at.form == SPLIT_VALUES)
        return c == '{' ? begin_document(split, c) : LINES;
    if (c == ']' && split->last != ',') {
        split->at.form = split->at.form == SPLIT_ARRAY ? SPLIT_VALUES : SPLIT_TAIL;
        split->depth--;
        split->last = '}';
        return GOES_ON;
    }
    bool expected = split->last == '[' || split->last == ',';
    if (c == ',' && !expected) {
        split->last = ',';
        return GOES_ON;
    }
    return expected && c && !strchr(",:}]", c) ? begin_document(split, c) : WRONG;
}

static enum event look(struct split *split, char c)
{
    if (split->in_string)
        return look_in_string(split, c);
    if (split->open && split->scalar && (is_blank(c) || c == ',' || c == ']'))
        return ENDS_BEFORE;
    if (is_blank(c)) {
        if (c == '\n' && split->open) {
            split->second_line = split->first_line;
            split->first_line = false;
        }
        return GOES_ON;
    }
    if (split->open && split->scalar)
        return GOES_ON;
    if (!split->open && split->at.form != SPLIT_TAIL)
        return look_between(split, c);
    return c ? look_inside(split, c) : GOES_ON;
}

/* ----------------------------------------------------------------- taking */

/* Moves on by `len` bytes, which belong to the document under way, if one is. */
static void take(struct split *split, struct split_input *input, size_t len)
{
    for (const char *at = input->data; (at = memchr(at, '\n', (size_t)(input->data + len - at))); at++)
        split->at.lines++;
    if (split->open && !split->too_large && split->text.len + len > SPLIT_DOCUMENT_MAX) {
        split->too_large = true;
        buf_clear(&split->text);
    }
    if (split->open && !split->too_large)
        buf_add(&split->text, input->data, len);
    split->at.offset += (int64_t)len;
    input->data += len;
    input->len -= len;
}

static void open_document(struct split *split)
{
    split->open = split->first_line = true;
    split->too_large = split->second_line = false;
    split->begin_line = split->at.lines + 1;
    buf_reset(&split->text);
}

static int give(struct split *split, struct split_document *ret, bool *ret_found, struct err *err)
{
    if (buf_failed(&split->text))
        return err_no_memory(err);
    split->open = split->scalar = false;
    split->last = '}';
    *ret = (struct split_document){
        .text = split->text, .too_large = split->too_large, .line = split->begin_line, .index = split->at.documents++
    };
    split->text = (struct buf)BUF_INIT;
    ret->end = split->at;
    *ret_found = true;
    return 0;
}

static void become_lines(struct split *split)
{
    split->at.form = SPLIT_LINES;
    split->in_string = split->scalar = false;
    split->depth = 0;
}

/* The next line that is not blank; a part of one stays open. */
static int next_line(struct split *split, struct split_input *input, struct split_document *ret, bool *ret_found,
                     struct err *err)
{
    if (!split->open) {
        size_t blanks = 0;
        while (blanks < input->len && is_blank(input->data[blanks]))
            blanks++;
        take(split, input, blanks);
        if (input->len == 0)
            return 0;
        open_document(split);
    }
    const char *end = memchr(input->data, '\n', input->len);
    take(split, input, end ? (size_t)(end - input->data) : input->len);
    return end ? give(split, ret, ret_found, err) : 0;
}

static int wrong(struct split *split, const char *what, struct err *err)
{
    return err_never(err, "invalid_json", "not valid JSON: %s at line %lld, byte %lld of the input", what,
                     (long long)split->at.lines + 1, (long long)split->at.offset + 1);
}

static int at_end(struct split *split, struct split_document *ret, bool *ret_found, struct err *err)
{
    if (split->at.form == SPLIT_LINES || split->at.form == SPLIT_VALUES)
        return split->open ? give(split, ret, ret_found, err) : 0;
    return wrong(split,
                 split->at.form == SPLIT_TAIL ? "the end comes too early, in an object that is not closed,"
                                              : "the end comes too early, in an array that is not closed,",
                 err);
}

/* Looks at one byte after another up to the first that is more than a part of what is under way. */
static enum event look_on(struct split *split, const struct split_input *input, size_t *ret_len)
{
    enum event event = GOES_ON;
    size_t i = 0;
    while (i < input->len && event == GOES_ON)
        event = look(split, input->data[i++]);
    *ret_len = event == GOES_ON || event == ENDS || event == FEATURES ? i : i - 1;
    return event;
}

/* Also decides whether the stream is ndjson, by its first document. */
static int end_document(struct split *split, enum event event, struct split_document *ret, bool *ret_found,
                        struct err *err)
{
    bool one_line = split->at.documents == 0 && split->first_line;
    if (split->at.form == SPLIT_VALUES && (event == ENDS_BEFORE || one_line))
        become_lines(split);
    return give(split, ret, ret_found, err);
}

int split_next(struct split *split, struct split_input *input, struct split_document *ret, bool *ret_found,
               struct err *err)
{
    *ret_found = false;
    while (input->len > 0 && !*ret_found) {
        if (split->at.form == SPLIT_LINES) {
            int r = next_line(split, input, ret, ret_found, err);
            if (r != 0)
                return r;
            continue;
        }
        size_t len = 0;
        enum event event = look_on(split, input, &len);
        take(split, input, len);
        if (event == WRONG)
            return wrong(split, split->in_string ? "a string without its end" : "an unexpected character", err);
        if (event == ENDS || event == ENDS_BEFORE)
            return end_document(split, event, ret, ret_found, err);
        if (event == LINES) {
            become_lines(split);
        } else if (event == BEGINS) {
            open_document(split);
            take(split, input, 1);
        } else if (event == FEATURES) {
            split->open = false;
            split->at.form = SPLIT_FEATURES;
        }
    }
    return input->end && input->len == 0 && !*ret_found ? at_end(split, ret, ret_found, err) : 0;
}
