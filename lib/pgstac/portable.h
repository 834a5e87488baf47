/*
 * portable: rows for one transaction, for a layout that batch does not know: pgstac's own create_items stores them.
 *
 * pgstac dehydrates and files the items itself, so only what every version since 0.8 has is relied upon; what its
 * loading functions leave undone (docs/explanation/loading.md) is done around them.
 */
#ifndef PGSTAC_PORTABLE_H
#define PGSTAC_PORTABLE_H

#include "pgstac/batch.h"

/*
 * As batch_load: the load transaction up to, not with, COMMIT. One loader of the database at a time: until then it
 * holds partition_lock. What the items have in other partitions is gone with it: no sweep is needed.
 * LATER also: "items_not_stored", where pgstac took them without an error and they are not there.
 */
int portable_load(struct catalog *catalog, struct pg *pg, struct batch_row *rows, const struct batch_group *groups,
                  size_t n_groups, struct err *err) must_check;

#endif
