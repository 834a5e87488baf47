#include "stac/item.h"

#include <string.h>

#include "base/time.h"
#include "stac/geometry.h"

/* Adds a problem to the list. All are listed, so that the publisher has to correct the item only once. */
static void complain(struct buf *wrong, const char *member, const char *what)
{
    buf_printf(wrong, "%s%s %s", wrong->len ? "; " : "", member, what);
}

/* Returns a copy. Without memory, buf_failed(wrong). */
static char *read_name(const cJSON *json, const char *key, struct buf *wrong)
{
    const cJSON *member = json_get(json, key);
    if (cJSON_IsString(member) && member->valuestring[0]) {
        char *name = strdup(member->valuestring);
        wrong->failed |= !name;
        return name;
    }
    complain(wrong, key, !member ? "is missing" : cJSON_IsString(member) ? "is empty" : "is not a string");
    return NULL;
}

static void check_kind(const cJSON *json, const char *key, int kind, struct buf *wrong)
{
    const cJSON *member = json_get(json, key);
    if (!member)
        complain(wrong, key, "is missing");
    else if ((member->type & 0xff) != kind)
        complain(wrong, key, kind == cJSON_Array ? "is not an array" : "is not an object");
}

/* A link without rel or href makes a STAC API answer a whole page of results, or the collection, with an error. */
static void check_links(const cJSON *json, struct buf *wrong)
{
    const cJSON *links = json_get(json, "links");
    size_t at = 0;
    for (const cJSON *link = cJSON_IsArray(links) ? links->child : NULL; link; link = link->next, at++) {
        const char *rel = json_get_string(link, "rel"), *href = json_get_string(link, "href");
        if (rel && *rel && href && *href)
            continue;
        buf_printf(wrong, "%slinks[%zu] is not an object with strings rel and href", wrong->len ? "; " : "", at);
        return; /* the others are probably alike */
    }
}

enum datetime { DATETIME_NONE, DATETIME_OK, DATETIME_BAD };

/* The member may be missing or null. Anything else must be an RFC 3339 datetime with a zone. */
static enum datetime read_datetime(const cJSON *properties, const char *key, int64_t *ret_us, struct buf *wrong)
{
    static const char form[] = "not an RFC 3339 datetime with a zone; write it like 2021-01-01T00:00:00Z";
    const cJSON *member = json_get(properties, key);
    if (!member || cJSON_IsNull(member))
        return DATETIME_NONE;
    const char *text = cJSON_GetStringValue(member), *part = "";
    enum time_reading reading = text ? time_read_rfc3339(text, ret_us, &part) : TIME_MALFORMED;
    if (reading == TIME_READ)
        return DATETIME_OK;
    buf_printf(wrong, "%sproperties.%s ", wrong->len ? "; " : "", key);
    if (!text)
        buf_printf(wrong, "is %s, %s", json_kind(member), form);
    else if (reading == TIME_MALFORMED)
        buf_printf(wrong, "\"%.64s\" is %s", text, form);
    else if (reading == TIME_IMPOSSIBLE)
        buf_printf(wrong, "\"%.64s\" is a time that does not exist; correct its %s", text, part);
    else
        buf_printf(wrong,
                   "\"%.64s\" is out of the range that pgstac can hold; choose a time from 0001-01-01T00:00:00Z to "
                   "9999-12-31T23:59:59.999999Z",
                   text);
    return DATETIME_BAD;
}

/* As pgstac's stac_daterange: start and end if both are there, else datetime. */
static void read_range(const cJSON *properties, struct stac_item *item, struct buf *wrong)
{
    int64_t at = 0, start = 0, end = 0;
    enum datetime has_at = read_datetime(properties, "datetime", &at, wrong);
    enum datetime has_start = read_datetime(properties, "start_datetime", &start, wrong);
    enum datetime has_end = read_datetime(properties, "end_datetime", &end, wrong);
    if (has_at == DATETIME_BAD || has_start == DATETIME_BAD || has_end == DATETIME_BAD)
        return;
    if (has_start == DATETIME_OK && has_end == DATETIME_OK) {
        if (end < start)
            complain(wrong, "properties.end_datetime", "is before start_datetime");
        item->datetime_us = start;
        item->end_datetime_us = end;
    } else if (has_at == DATETIME_OK) {
        item->datetime_us = item->end_datetime_us = at;
    } else {
        complain(wrong, "properties.datetime",
                 "is missing or null, which requires both start_datetime and end_datetime");
    }
}

static int read_geometry(const cJSON *json, struct stac_item *item, struct buf *wrong, struct err *err)
{
    const cJSON *geometry = json_get(json, "geometry");
    if (!geometry || cJSON_IsNull(geometry)) {
        complain(wrong, "geometry", geometry ? "is null, and pgstac cannot hold an item without one" : "is missing");
        return 0;
    }
    struct err why = ERR_INIT;
    int r = geometry_to_ewkb(geometry, &item->geometry, &why);
    if (r < 0)
        return err_no_memory(err);
    if (r == NEVER)
        buf_printf(wrong, "%s%s", wrong->len ? "; " : "", why.text);
    return 0;
}

/* stac-server and others publish links in place of items. */
static bool is_link(const cJSON *json)
{
    return json_get_string(json, "href") && !json_get(json, "id") && !json_get(json, "geometry") &&
           !json_get(json, "properties");
}

void stac_item_clear(struct stac_item *item)
{
    free(item->id);
    free(item->collection);
    buf_clear(&item->geometry);
    *item = (struct stac_item)STAC_ITEM_INIT;
}

int stac_item_parse(const char *text, size_t len, cJSON **ret, struct err *err)
{
    return stac_item_parse_part(text, len, (struct json_position){ 1, 1 }, ret, err);
}

int stac_item_parse_part(const char *text, size_t len, struct json_position position, cJSON **ret, struct err *err)
{
    return json_parse_part(text, len, position, &(const struct json_place){ "geometry", "coordinates" }, ret, err);
}

int stac_item_read(const cJSON *json, enum stac_item_use use, struct stac_item *ret, struct err *err)
{
    if (!cJSON_IsObject(json))
        return err_never(err, "invalid_item", "not a STAC item: %s where an object was expected", json_kind(json));

    if (is_link(json))
        return err_never(err, "invalid_item",
                         "not a STAC item: a link to %.200s; links to items are not followed, publish the item itself",
                         json_get_string(json, "href"));

    const char *type = json_get_string(json, "type");
    if (!type && (json_get(json, "Records") || json_get(json, "detail-type")))
        return err_never(err, "invalid_item",
                         "not a STAC item: an event; events are followed only as messages of their own, not in files, "
                         "objects or lists");

    auto_buf struct buf wrong = BUF_INIT;
    cleanup(stac_item_clear) struct stac_item item = STAC_ITEM_INIT;
    if (!type || strcmp(type, "Feature") != 0)
        complain(&wrong, "type", "is not \"Feature\"");
    item.id = read_name(json, "id", &wrong);
    const cJSON *collection = json_get(json, "collection");
    if (use == STAC_ITEM_LOADED || (collection && !cJSON_IsNull(collection)))
        item.collection = read_name(json, "collection", &wrong);
    int r = read_geometry(json, &item, &wrong, err);
    if (r != 0)
        return r;
    check_kind(json, "properties", cJSON_Object, &wrong);
    if (cJSON_IsObject(json_get(json, "properties")))
        read_range(json_get(json, "properties"), &item, &wrong);
    check_kind(json, "links", cJSON_Array, &wrong);
    check_links(json, &wrong);
    check_kind(json, "assets", cJSON_Object, &wrong);

    if (buf_failed(&wrong))
        return err_no_memory(err);
    if (wrong.len)
        return err_never(err, "invalid_item", "not a STAC item: %s", buf_str(&wrong));
    *ret = item;
    item = (struct stac_item)STAC_ITEM_INIT;
    return 0;
}
