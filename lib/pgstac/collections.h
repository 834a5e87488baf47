/* collections: puts collections into the database, each in a transaction of its own. LATER and NEVER as pg.h has it. */
#ifndef PGSTAC_COLLECTIONS_H
#define PGSTAC_COLLECTIONS_H

#include "pgstac/catalog.h"
#include "pgstac/pgstac.h"

/*
 * By pgstac's upsert_collection: `collection` is what is given of an item, `id` that of its JSON. published_at goes
 * into `private`; where a newer version is there nothing is changed (its outcome: PGSTAC_STALE, else PGSTAC_UPDATED).
 */
int collections_upsert(const struct catalog *catalog, struct pg *pg, const char *id, struct pgstac_item *collection,
                       struct err *err) must_check;

/* One that has no more than it must have, unless there is one. It has no published_at: any version replaces it. */
int collections_create(const struct catalog *catalog, struct pg *pg, const char *id, struct err *err) must_check;

#endif
