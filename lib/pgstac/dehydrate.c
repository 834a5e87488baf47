#include "pgstac/dehydrate.h"

#include <string.h>

struct out {
    struct buf *buf;
    bool found_marker;
};

static void put_key(struct out *out, bool *first, const char *key)
{
    if (!*first)
        buf_putc(out->buf, ',');
    *first = false;
    json_write_string(key, out->buf);
    buf_putc(out->buf, ':');
}

static bool is_marker(const cJSON *json)
{
    return cJSON_IsString(json) && strcmp(json->valuestring, DEHYDRATE_MARKER) == 0;
}

static bool is_column(const char *key)
{
    return strcmp(key, "id") == 0 || strcmp(key, "geometry") == 0 || strcmp(key, "collection") == 0;
}

static void put_object(struct out *out, const cJSON *base, const cJSON *object, bool is_item);

/* Lists of equal length go element by element, because that is how pgstac puts them together again. */
static void put_array(struct out *out, const cJSON *base, const cJSON *array)
{
    buf_putc(out->buf, '[');
    const cJSON *below = base->child;
    for (const cJSON *element = array->child; element && below; element = element->next, below = below->next) {
        if (element != array->child)
            buf_putc(out->buf, ',');
        out->found_marker |= is_marker(element);
        if (cJSON_IsObject(element) && cJSON_IsObject(below))
            put_object(out, below, element, false);
        else
            json_write(element, out->buf);
    }
    buf_putc(out->buf, ']');
}

static void put_value(struct out *out, const cJSON *base, const cJSON *value)
{
    if (cJSON_IsObject(value) && cJSON_IsObject(base))
        put_object(out, base, value, false);
    else if (cJSON_IsArray(value) && cJSON_IsArray(base) && cJSON_GetArraySize(value) == cJSON_GetArraySize(base))
        put_array(out, base, value);
    else
        json_write(value, out->buf);
}

static void put_object(struct out *out, const cJSON *base, const cJSON *object, bool is_item)
{
    bool first = true;
    buf_putc(out->buf, '{');
    for (const cJSON *member = object->child; member; member = member->next) {
        if (is_item && is_column(member->string))
            continue;
        out->found_marker |= is_marker(member);
        const cJSON *below = json_get(base, member->string);
        if (below && json_equal(below, member))
            continue;
        put_key(out, &first, member->string);
        put_value(out, below, member);
    }
    for (const cJSON *below = base ? base->child : NULL; below; below = below->next) {
        if (json_get(object, below->string))
            continue;
        put_key(out, &first, below->string);
        buf_puts(out->buf, "\"" DEHYDRATE_MARKER "\"");
    }
    buf_putc(out->buf, '}');
}

int dehydrate(const cJSON *base_item, const cJSON *item, struct buf *ret, struct err *err)
{
    struct out out = { .buf = ret };
    put_object(&out, base_item, item, true);
    if (buf_failed(ret))
        return err_no_memory(err);
    if (out.found_marker)
        return err_never(err, "reserved_value",
                         "a value is \"" DEHYDRATE_MARKER "\", which pgstac reserves for keys that are not there");
    return 0;
}
