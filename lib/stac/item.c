#include "stac/item.h"

#include <string.h>

#include "base/time.h"
#include "stac/geometry.h"

/* What is wrong with an item: all of it, so that its publisher mends it once. */
struct complaints {
    struct buf text;
};

static void complain(struct complaints *c, const char *format, const char *what)
{
    if (c->text.len)
        buf_puts(&c->text, "; ");
    /* The formats are this file's own, each with one %s. */
    const char *mark = strstr(format, "%s");
    buf_add(&c->text, format, (size_t)(mark - format));
    buf_puts(&c->text, what);
    buf_puts(&c->text, mark + 2);
}

static void clear_complaints(struct complaints *c)
{
    buf_clear(&c->text);
}

static const char *read_name(const cJSON *json, const char *key, struct complaints *c)
{
    const cJSON *member = json_get(json, key);
    if (cJSON_IsString(member) && member->valuestring[0])
        return member->valuestring;
    if (cJSON_IsString(member))
        complain(c, "%s is empty", key);
    else if (!member)
        complain(c, "%s is missing", key);
    else
        complain(c, "%s is no string", key);
    return NULL;
}

static void check_kind(const cJSON *json, const char *key, int kind, struct complaints *c)
{
    const cJSON *member = json_get(json, key);
    if (!member)
        complain(c, "%s is missing", key);
    else if ((member->type & 0xff) != kind)
        complain(c, kind == cJSON_Array ? "%s is no array" : "%s is no object", key);
}

enum datetime { DATETIME_NONE, DATETIME_OK, DATETIME_BAD };

/* A member that is missing or null is none; anything else must be a zoned RFC 3339 datetime. */
static enum datetime read_datetime(const cJSON *properties, const char *key, int64_t *ret_us, struct complaints *c)
{
    const cJSON *member = json_get(properties, key);
    if (!member || cJSON_IsNull(member))
        return DATETIME_NONE;
    if (cJSON_IsString(member) && time_parse_rfc3339(member->valuestring, ret_us))
        return DATETIME_OK;
    complain(c, "properties.%s is no RFC 3339 datetime with a zone, like 2021-01-01T00:00:00Z", key);
    return DATETIME_BAD;
}

/* pgstac's stac_daterange: start and end where both are there, else datetime. */
static void read_range(const cJSON *properties, struct stac_item *item, struct complaints *c)
{
    int64_t at = 0, start = 0, end = 0;
    enum datetime has_at = read_datetime(properties, "datetime", &at, c);
    enum datetime has_start = read_datetime(properties, "start_datetime", &start, c);
    enum datetime has_end = read_datetime(properties, "end_datetime", &end, c);
    if (has_at == DATETIME_BAD || has_start == DATETIME_BAD || has_end == DATETIME_BAD)
        return;
    if (has_start == DATETIME_OK && has_end == DATETIME_OK) {
        if (end < start)
            complain(c, "properties.%s is before start_datetime", "end_datetime");
        item->datetime_us = start;
        item->end_datetime_us = end;
    } else if (has_at == DATETIME_OK) {
        item->datetime_us = item->end_datetime_us = at;
    } else {
        complain(c, "properties.%s is missing or null, and not both of start_datetime and end_datetime are there",
                 "datetime");
    }
}

static int read_geometry(const cJSON *json, struct stac_item *item, struct complaints *c, struct err *err)
{
    const cJSON *geometry = json_get(json, "geometry");
    if (!geometry || cJSON_IsNull(geometry)) {
        complain(c, geometry ? "%s is null, and pgstac cannot hold an item without one" : "%s is missing", "geometry");
        return 0;
    }
    struct err why = ERR_INIT;
    int r = geometry_to_ewkb(geometry, &item->geometry, &why);
    if (r < 0) {
        *err = why;
        return r;
    }
    if (r == NEVER)
        complain(c, "%s", why.text);
    return 0;
}

void stac_item_clear(struct stac_item *item)
{
    buf_clear(&item->geometry);
    *item = (struct stac_item)STAC_ITEM_INIT;
}

int stac_item_read(const cJSON *json, enum stac_item_use use, struct stac_item *ret, struct err *err)
{
    if (!cJSON_IsObject(json))
        return err_never(err, "invalid_item", "not a STAC item: %s where an object was expected", json_kind(json));

    cleanup(clear_complaints) struct complaints c = { .text = BUF_INIT };
    cleanup(stac_item_clear) struct stac_item item = { .json = json, .geometry = BUF_INIT };
    const char *type = json_get_string(json, "type");
    if (!type || strcmp(type, "Feature") != 0)
        complain(&c, "%s is not \"Feature\"", "type");
    item.id = read_name(json, "id", &c);
    if (use == STAC_ITEM_LOADED || json_get(json, "collection"))
        item.collection = read_name(json, "collection", &c);
    int r = read_geometry(json, &item, &c, err);
    if (r != 0)
        return r;
    check_kind(json, "properties", cJSON_Object, &c);
    if (cJSON_IsObject(json_get(json, "properties")))
        read_range(json_get(json, "properties"), &item, &c);
    check_kind(json, "links", cJSON_Array, &c);
    check_kind(json, "assets", cJSON_Object, &c);

    if (buf_failed(&c.text))
        return err_no_memory(err);
    if (c.text.len)
        return err_never(err, "invalid_item", "not a STAC item: %s", buf_str(&c.text));
    *ret = item;
    item.geometry = (struct buf)BUF_INIT;
    return 0;
}
