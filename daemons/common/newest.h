/*
 * newest: of several versions of an item in one batch only the newest is loaded.
 *
 * An older one has nothing left to do once the newer is in, or will be tried again; where the newer one can never be,
 * the older is loaded. pgstac_load takes no (collection, id) twice, so it goes in rounds: newest_sort(versions, n);
 *     while ((picked = newest_pick(versions, n, index)) > 0) { load those; newest_settle(versions, n); }
 */
#ifndef COMMON_NEWEST_H
#define COMMON_NEWEST_H

#include "pgstac/pgstac.h"

struct newest_version {
    struct pgstac_item *item; /* borrowed; published_at_ms is its age */
    size_t order;             /* of arrival: of equal times the last is the newest */
    bool settled;             /* its item's result is final */
    bool superseded;          /* a newer version settled it, with result 0 */
};

void newest_sort(struct newest_version *versions, size_t n);

/* The indexes of the newest without a result, one of each item, to `ret_index` (room for n). Returns how many. */
size_t newest_pick(const struct newest_version *versions, size_t n, size_t *ret_index);

/* Settles what newest_pick gave, now that each has its item's result, and what that supersedes. */
void newest_settle(struct newest_version *versions, size_t n);

#endif
