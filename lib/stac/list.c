#include "stac/list.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at;
}

/* Behind the string that begins at `at`; NULL: it does not end. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '"')
            return at + 1;
        if (*at == '\\')
            at++;
    }
    return NULL;
}

/* Behind the object or array that begins at `at`; NULL: it does not end, or a bracket closes another kind. */
static const char *skip_container(const char *at, const char *end)
{
    char closing[JSON_MAX_DEPTH + 4]; /* a document that json_parse takes may lie in a list */
    size_t depth = 0;
    while (at < end) {
        char c = *at;
        if (c == '"') {
            at = skip_string(at, end);
            if (!at)
                return NULL;
            continue;
        }
        at++;
        if (c == '{' || c == '[') {
            if (depth == sizeof(closing))
                return NULL;
            closing[depth++] = c == '{' ? '}' : ']';
        } else if (c == '}' || c == ']') {
            if (depth == 0 || closing[--depth] != c)
                return NULL;
            if (depth == 0)
                return at;
        }
    }
    return NULL;
}

/* Behind any value; of what is none at least one character, for the parser to name. */
static const char *skip_value(const char *at, const char *end)
{
    if (*at == '{' || *at == '[')
        return skip_container(at, end);
    if (*at == '"')
        return skip_string(at, end);
    do
        at++;
    while (at < end && !is_blank(*at) && !strchr("{}[],:\"", *at));
    return at;
}

/* Where the value of the last of the outermost object's members of this name stands; NULL: there is none. */
static const char *find_member(const char *at, const char *end, const char *quoted)
{
    const char *found = NULL;
    size_t len = strlen(quoted);
    for (at = skip_blanks(at + 1, end); at && at < end && *at == '"';) {
        const char *key = at;
        at = skip_string(at, end);
        size_t key_len = at ? (size_t)(at - key) : 0;
        at = at ? skip_blanks(at, end) : NULL;
        if (!at || at == end || *at != ':')
            return NULL;
        at = skip_blanks(at + 1, end);
        if (key_len == len && memcmp(key, quoted, len) == 0)
            found = at;
        at = at < end ? skip_value(at, end) : NULL;
        at = at ? skip_blanks(at, end) : NULL;
        if (at && at < end && *at == ',')
            at = skip_blanks(at + 1, end);
    }
    return found;
}

static int refuse(struct err *err)
{
    return err_never(err, "invalid_json", "not valid JSON: cut off, nested too deeply, or its brackets do not match");
}

/* What is left of a FeatureCollection without its features tells whether it is one. */
static int check_frame(const char *text, size_t len, const char *features, const char *features_end, bool *ret,
                       struct err *err)
{
    auto_buf struct buf frame = BUF_INIT;
    auto_json cJSON *json = NULL;
    buf_add(&frame, text, (size_t)(features - text));
    buf_puts(&frame, "[]");
    buf_add(&frame, features_end, len - (size_t)(features_end - text));
    if (buf_failed(&frame))
        return err_no_memory(err);
    int r = json_parse(buf_str(&frame), frame.len, &json, err);
    const char *type = json_get_string(json, "type");
    *ret = type && strcmp(type, "FeatureCollection") == 0;
    return r;
}

/* An array's documents stand between its brackets. */
static struct stac_list inside(const char *open, const char *behind)
{
    return (struct stac_list){ .at = open + 1, .end = behind - 1, .has_commas = true };
}

int stac_list_open(const char *text, size_t len, struct stac_list *ret, struct err *err)
{
    const char *end = text + len, *at = skip_blanks(text, end);
    *ret = (struct stac_list){ .at = at, .end = end };
    if (at == end)
        return err_never(err, "no_items", "nothing there, no item");
    const char *behind = skip_value(at, end);
    if (!behind)
        return refuse(err);
    bool is_alone = skip_blanks(behind, end) == end;
    if (*at == '[' && is_alone)
        *ret = inside(at, behind);
    if (*at != '{' || !is_alone || !memmem(text, len, "\"FeatureCollection\"", strlen("\"FeatureCollection\"")))
        return 0;

    const char *features = find_member(at, end, "\"features\"");
    const char *features_end = features && *features == '[' ? skip_container(features, end) : NULL;
    bool is_collection = false;
    int r = features_end ? check_frame(text, len, features, features_end, &is_collection, err) : 0;
    if (is_collection)
        *ret = inside(features, features_end);
    return r;
}

/* No object, no lines: the text is one value, or none, for the parser to say. */
static int take_rest(struct stac_list *list, struct json_slice *ret, struct err *err)
{
    if (list->n > 0)
        return err_never(err, "invalid_json", "what follows document %zu is no object", list->n);
    *ret = (struct json_slice){ .text = list->at, .len = (size_t)(list->end - list->at) };
    list->at = list->end;
    list->n = 1;
    return 0;
}

int stac_list_next(struct stac_list *list, struct json_slice *ret, struct err *err)
{
    const char *at = skip_blanks(list->at, list->end);
    *ret = (struct json_slice){ .text = NULL };
    list->at = at;
    if (at == list->end)
        return 0;
    if (list->has_commas && list->n > 0) {
        if (*at == ',')
            at = skip_blanks(at + 1, list->end);
        else
            return err_never(err, "invalid_json", "no comma behind document %zu", list->n);
    } else if (!list->has_commas && *at != '{') {
        return take_rest(list, ret, err);
    }
    const char *behind = at < list->end && *at != ',' ? skip_value(at, list->end) : NULL;
    if (!behind && at < list->end && *at != ',')
        return refuse(err);
    if (!behind)
        return err_never(err, "invalid_json", "a comma without a document behind it, after document %zu", list->n);
    *ret = (struct json_slice){ .text = at, .len = (size_t)(behind - at) };
    list->at = behind;
    list->n++;
    return 0;
}
