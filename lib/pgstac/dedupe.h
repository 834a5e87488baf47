/*
 * dedupe: of several versions of an item in one batch, only the newest is loaded.
 *
 * Older versions are superseded once the newest is loaded, or is to be tried again later. If the newest can never be
 * loaded, the next older one is. pgstac_load accepts no (collection, id) twice, so loading goes in rounds:
 *     dedupe_sort(versions, n);
 *     while ((picked = dedupe_pick(versions, n, index)) > 0) { load those; dedupe_settle(versions, n); }
 */
#ifndef PGSTAC_DEDUPE_H
#define PGSTAC_DEDUPE_H

#include "pgstac/pgstac.h"

struct dedupe_version {
    struct pgstac_item *item; /* borrowed; published_at_ms is its age */
    size_t order;             /* of arrival: of equal ages the last is the newest */
    bool settled;             /* its item's result is final */
    bool superseded;          /* a newer version settled it, with result 0 */
};

void dedupe_sort(struct dedupe_version *versions, size_t n);

/* Writes the index of the newest unsettled version of each item to `ret_index` (room for n). Returns their number. */
size_t dedupe_pick(const struct dedupe_version *versions, size_t n, size_t *ret_index);

/* Settles the versions that dedupe_pick gave, which now have results, and the older ones that they supersede. */
void dedupe_settle(struct dedupe_version *versions, size_t n);

#endif
