/*
 * dehydrate: an item's content as pgstac stores it: what equals the collection's base_item is left out.
 *
 * The inverse is pypgstac's hydrate_py (pypgstac/hydration.py): merged over base_item the content
 * gives every key and value back, nulls too. Where pypgstac's own dehydrate loses something (a null or an empty list
 * over a base value; true over 1) this one keeps it. What pgstac's SQL makes of it, and how the content
 * differs from pypgstac's, is in docs/explanation/fidelity.md.
 */
#ifndef PGSTAC_DEHYDRATE_H
#define PGSTAC_DEHYDRATE_H

#include "base/json.h"

/* The mark of a key that base_item has and the item does not (pypgstac: DO_NOT_MERGE_MARKER). */
#define DEHYDRATE_MARKER "\xf0\x92\x8d\x9f\xe2\x80\xbb"

/*
 * Appends the content of `item` without id, geometry and collection, which are columns. `base_item` NULL: nothing is
 * left out. NEVER: "reserved_value": a value is the mark itself, which pgstac would take for it.
 */
int dehydrate(const cJSON *base_item, const cJSON *item, struct buf *ret, struct err *err) must_check;

#endif
