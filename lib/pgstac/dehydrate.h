/*
 * dehydrate: an item's content as pgstac stores it: members that equal the collection's base item are left out.
 *
 * The inverse is pypgstac's hydrate_py (pypgstac/hydration.py): merged over the base item, the content gives every key
 * and value back, nulls too. Where pypgstac's own dehydrate loses something (a null or an empty list over a base value;
 * true over 1), this one keeps it. docs/explanation/fidelity.md lists the differences, and what pgstac's SQL loses.
 */
#ifndef PGSTAC_DEHYDRATE_H
#define PGSTAC_DEHYDRATE_H

#include "base/json.h"

/* The mark of a key that base_item has and the item does not (pypgstac: DO_NOT_MERGE_MARKER). */
#define DEHYDRATE_MARKER "\xf0\x92\x8d\x9f\xe2\x80\xbb"

/*
 * A collection's base item. Since pgstac 0.10 a catalog keeps the versions of base items (table base_items), and the
 * content of an item names its version in the key "pgstac:base_item" (content_slim, current_base_item). Items that name
 * none belong to the collection's first version.
 */
struct base_item {
    cJSON *json;       /* NULL: nothing is left out */
    bool is_versioned; /* the catalog keeps versions */
    int64_t version;   /* base_items.id; 0: the collection was never edited, so its items name no version */
};

/*
 * Appends the content of `item` without its members id, geometry, collection and private, which are columns. Where base
 * items are versioned, the content names the version of `base`, whatever the item says.
 * NEVER: "reserved_value": a value is the mark itself, which pgstac would take for it.
 */
int dehydrate(const struct base_item *base, const cJSON *item, struct buf *ret, struct err *err) must_check;

#endif
