#include "itemctl/load_route.h"

#include <string.h>

/* A piece of the text. */
struct piece {
    const char *at;
    size_t len;
};

static uint64_t hash(uint64_t hash, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) /* FNV-1a */
        hash = (hash ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t hash_names(struct piece collection, struct piece id)
{
    uint64_t h = hash(UINT64_C(0xcbf29ce484222325), collection.at, collection.len);
    return hash(hash(h, "", 1), id.at, id.len);
}

/* The string that begins at the quote at `*at`, which moves behind it. False: it has an escape, or no end. */
static bool plain_string(const char **at, const char *end, struct piece *ret)
{
    const char *start = *at + 1;
    const char *quote = memchr(start, '"', (size_t)(end - start));
    if (!quote || memchr(start, '\\', (size_t)(quote - start)))
        return false;
    *ret = (struct piece){ start, (size_t)(quote - start) };
    *at = quote + 1;
    return true;
}

/* Behind the string at the quote `at`, or `end`. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\' && at + 1 < end;
    return at < end ? at + 1 : end;
}

static bool piece_is(struct piece piece, const char *text)
{
    return piece.len == strlen(text) && memcmp(piece.at, text, piece.len) == 0;
}

/* The outermost object's collection and id. False: they are not there, or not plain. */
static bool plain_names(const char *text, size_t len, struct piece *ret_collection, struct piece *ret_id)
{
    const char *end = text + len;
    struct piece key = { "", 0 };
    bool is_value = false; /* a ':' has come since the last ',' */
    int depth = 0;
    for (const char *at = text; at < end;) {
        if (*at == '"' && depth != 1) {
            at = skip_string(at, end);
            continue;
        }
        if (*at == '"') {
            bool wanted = is_value && (piece_is(key, "collection") || piece_is(key, "id"));
            struct piece string = { "", 0 };
            if (is_value && !wanted)
                at = skip_string(at, end);
            else if (!plain_string(&at, end, &string))
                return false;
            if (!is_value)
                key = string;
            else if (wanted)
                *(piece_is(key, "id") ? ret_id : ret_collection) = string;
            continue;
        }
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        if (depth == 1 && (*at == ':' || *at == ','))
            is_value = *at == ':';
        at++;
    }
    return ret_collection->at && ret_id->at;
}

uint64_t load_route(const char *text, size_t len)
{
    struct piece collection = { NULL, 0 }, id = { NULL, 0 };
    if (plain_names(text, len, &collection, &id))
        return hash_names(collection, id);
    auto_json cJSON *json = NULL;
    if (json_parse(text, len, &json, NULL) != 0)
        return 0;
    const char *names[] = { json_get_string(json, "collection"), json_get_string(json, "id") };
    if (!names[0] || !names[1])
        return 0;
    return hash_names((struct piece){ names[0], strlen(names[0]) }, (struct piece){ names[1], strlen(names[1]) });
}
