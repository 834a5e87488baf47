#include "itemctl/load_route.h"

#include <string.h>

#include "base/json_slice.h"

static uint64_t hash(uint64_t hash, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) /* FNV-1a */
        hash = (hash ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t hash_names(struct json_slice collection, struct json_slice id)
{
    uint64_t h = hash(UINT64_C(0xcbf29ce484222325), collection.text, collection.len);
    return hash(hash(h, "", 1), id.text, id.len);
}

static bool has_escape(struct json_slice slice)
{
    return memchr(slice.text, '\\', slice.len) != NULL;
}

/* Without its quotes. False: it is not a string, or has escapes. */
static bool plain_string(struct json_slice value, struct json_slice *ret)
{
    if (value.len < 2 || value.text[0] != '"' || has_escape(value))
        return false;
    *ret = (struct json_slice){ .text = value.text + 1, .len = value.len - 2 };
    return true;
}

/* False: one is missing, or one of them or a key, which may be theirs, has escapes. */
static bool plain_names(const char *text, size_t len, struct json_slice *ret_collection, struct json_slice *ret_id)
{
    struct json_slice object = json_slice_of(text, len), key, value;
    size_t at = 0;
    if (object.len == 0 || object.text[0] != '{')
        return false;
    while (json_slice_next(object, &at, &key) && json_slice_next(object, &at, &value)) {
        struct json_slice *name = json_slice_is(key, "id")           ? ret_id
                                  : json_slice_is(key, "collection") ? ret_collection
                                                                     : NULL;
        if (has_escape(key) || (name && !plain_string(value, name)))
            return false;
    }
    return ret_collection->text && ret_id->text;
}

uint64_t load_route(const char *text, size_t len)
{
    struct json_slice collection = { .text = NULL }, id = { .text = NULL };
    if (plain_names(text, len, &collection, &id))
        return hash_names(collection, id);
    auto_json cJSON *json = NULL;
    if (json_parse(text, len, &json, NULL) != 0)
        return 0;
    const char *names[] = { json_get_string(json, "collection"), json_get_string(json, "id") };
    if (!names[0] || !names[1])
        return 0;
    return hash_names((struct json_slice){ .text = names[0], .len = strlen(names[0]) },
                      (struct json_slice){ .text = names[1], .len = strlen(names[1]) });
}
