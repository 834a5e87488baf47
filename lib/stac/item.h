/*
 * item: checks a STAC Item, and reads the columns of pgstac's table from it.
 *
 * The rules are those of the STAC Item specification 1.0/1.1 that pgstac's table depends on, and of the original's
 * validator without bbox: id, type, geometry, properties, links, assets, collection; a rel and an href in each link;
 * datetimes with a zone. An error names everything that is missing or wrong. The result does not point into the JSON,
 * so that its tree, ten times as large as the text, can be freed.
 */
#ifndef STAC_ITEM_H
#define STAC_ITEM_H

#include "base/json.h"

struct stac_item {
    char *id;
    char *collection;        /* NULL: it has none (STAC_ITEM_GENERATED) */
    int64_t datetime_us;     /* since 1970: start_datetime if it has start and end, else datetime */
    int64_t end_datetime_us; /* since 1970: end_datetime if it has start and end, else datetime */
    struct buf geometry;     /* EWKB, SRID 4326 */
};
#define STAC_ITEM_INIT \
    {                  \
        .id = NULL     \
    }
void stac_item_clear(struct stac_item *item);

/* As json_parse, but the coordinates of an item's geometry are kept as text (json_kept_text), from which stac_item_read
 * makes EWKB. Other documents are parsed as json_parse does. */
int stac_item_parse(const char *text, size_t len, cJSON **ret, struct err *err) must_check;
/* The same for a part of a longer text (json_parse_part). */
int stac_item_parse_part(const char *text, size_t len, struct json_position position, cJSON **ret, struct err *err)
    must_check;

/* Which checks to make. The collection of a generated item may be added before it is loaded. */
enum stac_item_use { STAC_ITEM_GENERATED /* collection may be missing or null */, STAC_ITEM_LOADED };

/* NEVER: "invalid_item", which names each missing or wrong member and how it should be. */
int stac_item_read(const cJSON *json, enum stac_item_use use, struct stac_item *ret, struct err *err) must_check;

#endif
