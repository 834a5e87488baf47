/*
 * dedupe: of several versions of an item in one batch only the newest is loaded.
 *
 * An older one has nothing left to do once the newer is in, or will be tried again; where the newer one can never be,
 * the older is loaded. pgstac_load takes no (collection, id) twice, so it goes in rounds: dedupe_sort(versions, n);
 *     while ((picked = dedupe_pick(versions, n, index)) > 0) { load those; dedupe_settle(versions, n); }
 */
#ifndef PGSTAC_DEDUPE_H
#define PGSTAC_DEDUPE_H

#include "pgstac/pgstac.h"

struct dedupe_version {
    struct pgstac_item *item; /* borrowed; published_at_ms is its age */
    size_t order;             /* of arrival: of equal times the last is the newest */
    bool settled;             /* its item's result is final */
    bool superseded;          /* a newer version settled it, with result 0 */
};

void dedupe_sort(struct dedupe_version *versions, size_t n);

/* The indexes of the newest without a result, one of each item, to `ret_index` (room for n). Returns how many. */
size_t dedupe_pick(const struct dedupe_version *versions, size_t n, size_t *ret_index);

/* Settles what dedupe_pick gave, now that each has its item's result, and what that supersedes. */
void dedupe_settle(struct dedupe_version *versions, size_t n);

#endif
