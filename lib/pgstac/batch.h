/*
 * batch: rows for one transaction: encoded, copied into a temporary table, upserted partition by partition.
 *
 * Rows are sorted by partition and id, so that loaders lock rows in one order.
 */
#ifndef PGSTAC_BATCH_H
#define PGSTAC_BATCH_H

#include "pgstac/partition.h"
#include "pgstac/pgstac.h"

struct batch_row {
    struct pgstac_item *item;
    const struct catalog_collection *collection;
    int64_t partition_us; /* where the bounds of its partition begin */
    bool settled;         /* the item has its result already: not loaded */
};

/*
 * Appends what the column `private` gets of the item: an object with the members of the item's own `private` (a value
 * that is not an object: under the key "private"), and published_at.
 */
void batch_put_private(const struct pgstac_item *item, struct buf *ret);

/* Dehydrates the item whose JSON this is against the remembered collection. NEVER: "reserved_value". */
int batch_dehydrate(const struct catalog_collection *collection, const cJSON *json, struct pgstac_item *item,
                    struct err *err) must_check;

/*
 * Finds the rows' remembered collections, and dehydrates from the text what was not dehydrated against their present
 * versions. An item whose collection is not there, or that cannot be dehydrated, gets its result and is settled. < 0
 * only.
 */
int batch_prepare(const struct catalog *catalog, enum missing_collection missing, struct batch_row *rows, size_t n,
                  struct err *err) must_check;

/*
 * Finds the rows' partitions, and sorts the rows by collection, partition and id: the order of everything below.
 * Partitions of their times that are not remembered are read. LATER as pg.h has it.
 */
int batch_place(struct partitions *partitions, const struct catalog *catalog, struct pg *pg, struct batch_row *rows,
                size_t n, struct err *err) must_check;

/* One partition's share: rows[first .. first + n - 1]. */
struct batch_group {
    size_t first, n;
    struct partition_need need;
};
/* The groups of sorted rows, settled ones skipped inside them; the caller frees. */
int batch_groups(const struct batch_row *rows, size_t n, struct batch_group **ret, size_t *ret_n, struct err *err)
    must_check;

/* catalog_lock_collections for those of the groups. */
int batch_lock_collections(struct catalog *catalog, struct pg *pg, const struct batch_group *groups, size_t n_groups,
                           struct err *err) must_check;

/*
 * The load transaction up to, not with, COMMIT. Sets the outcome of each row. LATER also: "collection_changing", and
 * nothing was loaded.
 */
int batch_load(struct catalog *catalog, struct pg *pg, struct batch_row *rows, const struct batch_group *groups,
               size_t n_groups, struct err *err) must_check;

/* A group's row by its item's id, settled ones too; NULL: not there. */
struct batch_row *batch_find(struct batch_row *rows, const struct batch_group *group, const char *id);

/* The published_at of the row t, NULL where it has none: the operator may keep other things in private. */
#define BATCH_PUBLISHED_AT \
    "CASE WHEN jsonb_typeof(t.private->'published_at') = 'number' THEN (t.private->>'published_at')::numeric END"

/* Has pgstac's format_item_cache forget the items (a text[]): writes past `items` do not fire the trigger that does. */
int batch_clear_format_cache(struct pg *pg, const char *collection, const struct buf *ids, struct err *err) must_check;

#endif
