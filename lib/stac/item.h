/*
 * item: what a STAC Item must have before pgstac can hold it, and the columns that are made from it.
 *
 * The rules are those of the STAC Item specification 1.0/1.1 that pgstac's table depends on, and
 * of the original's validator but for bbox: id, type, geometry, properties, links, assets,
 * collection; a rel and an href in each link; zoned datetimes. Each thing that is missing or wrong is named, all of
 * them at once. Nothing is borrowed from the JSON, whose tree takes ten times the room.
 */
#ifndef STAC_ITEM_H
#define STAC_ITEM_H

#include "base/json.h"

struct stac_item {
    char *id;
    char *collection;        /* NULL: none, where that is allowed */
    int64_t datetime_us;     /* start_datetime where start and end are there, else datetime; since 1970 */
    int64_t end_datetime_us; /* likewise */
    struct buf geometry;     /* EWKB, SRID 4326 */
};
#define STAC_ITEM_INIT \
    {                  \
        .id = NULL     \
    }
void stac_item_clear(struct stac_item *item);

/* json_parse for an item: the coordinates of its geometry stay text (json_kept_text), from which stac_item_read makes
 * EWKB. The rest of the tree, and the tree of any other document, is as json_parse makes it. */
int stac_item_parse(const char *text, size_t len, cJSON **ret, struct err *err) must_check;
/* The same of a part of a longer text (json_parse_part). */
int stac_item_parse_part(const char *text, size_t len, struct json_position position, cJSON **ret, struct err *err)
    must_check;

/* Which checks to make: a generated item may get its collection and be loaded later. */
enum stac_item_use { STAC_ITEM_GENERATED /* collection may be missing or null */, STAC_ITEM_LOADED };

/* NEVER: "invalid_item", the text naming each member and what it should be. */
int stac_item_read(const cJSON *json, enum stac_item_use use, struct stac_item *ret, struct err *err) must_check;

#endif
