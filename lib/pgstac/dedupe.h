/*
 * dedupe: of several versions of an item in one batch, only the newest is loaded.
 *
 * Older versions are superseded (result 0, PGSTAC_SUPERSEDED) once the newest is loaded, or is to be tried again later.
 * If the newest can never be loaded, the next older one is. pgstac_load accepts no (collection, id) twice, so loading
 * goes in rounds:
 *
 *     dedupe_init(&dedupe, n, err), then dedupe_add() for each of the n items
 *     while ((n = dedupe_next(&dedupe, max, &items)) > 0)
 *         load these n items; each has its result now
 */
#ifndef PGSTAC_DEDUPE_H
#define PGSTAC_DEDUPE_H

#include "pgstac/pgstac.h"

struct dedupe_version {
    struct pgstac_item *item; /* borrowed; published_at_ms is its age */
    size_t order;             /* of arrival: of equal ages the last is the newest */
    bool settled;             /* its item's result is final */
};

struct dedupe {
    struct dedupe_version *versions;
    struct pgstac_item **round; /* the newest unsettled version of each item */
    size_t n, n_round, at;      /* those of the round before `at` were given out */
    bool has_begun;
};
/* Room for `max` versions. */
int dedupe_init(struct dedupe *dedupe, size_t max, struct err *err) must_check;
void dedupe_clear(struct dedupe *dedupe);
#define auto_dedupe cleanup(dedupe_clear)

void dedupe_add(struct dedupe *dedupe, struct pgstac_item *item, size_t order);

/*
 * The next items to load together, from 1 to `max`. Returns how many; 0: all versions are settled. The array may be
 * written to until the next call. By then each item of the call before must have its result.
 */
size_t dedupe_next(struct dedupe *dedupe, size_t max, struct pgstac_item ***ret_items);

#endif
