#include "pgstac/dehydrate.h"

#include <inttypes.h>
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

#define VERSION_KEY "pgstac:base_item"

/* Members of an item that are not part of its content. */
static bool is_left_out(const struct base_item *base, const char *key)
{
    static const char *const columns[] = { "id", "geometry", "collection", "private" };
    for (size_t i = 0; i < N_ELEMENTS(columns); i++)
        if (strcmp(key, columns[i]) == 0)
            return true;
    return base->is_versioned && strcmp(key, VERSION_KEY) == 0;
}

static void put_object(struct out *out, const cJSON *base, const cJSON *object);

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
            put_object(out, below, element);
        else
            json_write(element, out->buf);
    }
    buf_putc(out->buf, ']');
}

static void put_value(struct out *out, const cJSON *base, const cJSON *value)
{
    if (cJSON_IsObject(value) && cJSON_IsObject(base))
        put_object(out, base, value);
    else if (cJSON_IsArray(value) && cJSON_IsArray(base) && cJSON_GetArraySize(value) == cJSON_GetArraySize(base))
        put_array(out, base, value);
    else
        json_write(value, out->buf);
}

static void put_member(struct out *out, bool *first, const cJSON *base, const cJSON *member)
{
    const cJSON *below = json_get(base, member->string);
    out->found_marker |= is_marker(member);
    if (below && json_equal(below, member))
        return;
    put_key(out, first, member->string);
    put_value(out, below, member);
}

/* The mark for each key that the base has and the object does not. */
static void put_marks(struct out *out, bool *first, const cJSON *base, const cJSON *object)
{
    for (const cJSON *below = base ? base->child : NULL; below; below = below->next) {
        if (json_get(object, below->string))
            continue;
        put_key(out, first, below->string);
        buf_puts(out->buf, "\"" DEHYDRATE_MARKER "\"");
    }
}

static void put_object(struct out *out, const cJSON *base, const cJSON *object)
{
    bool first = true;
    buf_putc(out->buf, '{');
    for (const cJSON *member = object->child; member; member = member->next)
        put_member(out, &first, base, member);
    put_marks(out, &first, base, object);
    buf_putc(out->buf, '}');
}

int dehydrate(const struct base_item *base, const cJSON *item, struct buf *ret, struct err *err)
{
    struct out out = { .buf = ret };
    bool first = true;
    buf_putc(ret, '{');
    for (const cJSON *member = item->child; member; member = member->next)
        if (!is_left_out(base, member->string))
            put_member(&out, &first, base->json, member);
    put_marks(&out, &first, base->json, item);
    if (base->version > 0) {
        put_key(&out, &first, VERSION_KEY);
        buf_printf(ret, "%" PRId64, base->version);
    }
    buf_putc(ret, '}');
    if (buf_failed(ret))
        return err_no_memory(err);
    if (out.found_marker)
        return err_never(err, "reserved_value",
                         "a value is \"" DEHYDRATE_MARKER "\", which pgstac reserves for keys that are not there");
    return 0;
}
