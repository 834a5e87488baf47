/*
 * catalog: what the database says of collections and partitions, remembered between batches.
 *
 * A collection is remembered with the md5 of its base_item: the load transaction reads it again,
 * and a batch that was dehydrated against another one is done again. A partition is remembered with the bounds of its
 * CHECK constraint; items within them need no look at the catalog.
 */
#ifndef PGSTAC_CATALOG_H
#define PGSTAC_CATALOG_H

#include "base/json.h"
#include "pgstac/pg.h"

enum catalog_trunc { TRUNC_NONE, TRUNC_YEAR, TRUNC_MONTH };

struct catalog_collection {
    char *id;
    cJSON *base_item;
    char *version;       /* changes with base_item, key or partition_trunc */
    uint64_t generation; /* counts the versions this process has seen: what was made from another one is stale */
    int64_t key;
    enum catalog_trunc trunc;
    bool is_known; /* false: the database was asked and has none */
};

/* A range in microseconds since 1970, both ends within. */
struct catalog_range {
    int64_t min_us, max_us;
};

struct catalog_partition {
    char name[80];
    bool exists;
    struct catalog_range datetime, end_datetime; /* what the CHECK constraint lets in */
    bool statistics_due;
    int64_t statistics_at_ms; /* time_mono_ms() when they were last written; 0: never by this process */
};

struct catalog {
    int statement_timeout_ms;                /* set by the owner, for catalog_begin */
    struct catalog_collection **collections; /* each stays where it is, its content replaced, until catalog_trim */
    size_t n_collections, cap_collections;
    struct catalog_partition *partitions;
    size_t n_partitions, cap_partitions;
};

void catalog_clear(struct catalog *catalog);
#define auto_catalog cleanup(catalog_clear)

/* Forgets, between batches, where more is remembered than a catalog can have in use. */
void catalog_trim(struct catalog *catalog);

/* Reads the collections of these ids (repetitions allowed) that are not remembered, or, with `again`, all of them. */
int catalog_read_collections(struct catalog *catalog, struct pg *pg, const char *const *ids, size_t n, bool again,
                             struct err *err) must_check;
/* The remembered collection, or NULL where the database has none. The pointer is valid until catalog_trim. */
const struct catalog_collection *catalog_collection(const struct catalog *catalog, const char *id);

/*
 * Inside the load's transaction: locks the collections FOR SHARE and compares. *ret_same: none has
 * changed since it was read; else they were read anew and the batch must be made anew.
 */
int catalog_lock_collections(struct catalog *catalog, struct pg *pg, const char *const *ids, size_t n, bool *ret_same,
                             struct err *err) must_check;

/* The partition for a time: its name (_items_KEY, _items_KEY_YYYY, _items_KEY_YYYYMM) and the times that belong to it.
 */
void catalog_partition_name(const struct catalog_collection *collection, int64_t datetime_us, char ret[80]);

struct catalog_need {
    const struct catalog_collection *collection;
    struct catalog_range datetime, end_datetime; /* of the rows: the datetimes lie in one partition */
    char name[80];
};
/*
 * Makes or widens (to whole months or years, so that a growing catalog asks for it seldom) the partitions that the
 * needs lack, by pgstac's check_partition, in a transaction of its own under one database-wide advisory lock, and looks
 * them up in the catalog afterwards because check_partition swallows errors. Those that are remembered as sufficient
 * cost nothing. `force`: none is. LATER: "partition_unavailable".
 */
int catalog_ensure_partitions(struct catalog *catalog, struct pg *pg, const struct catalog_need *needs, size_t n,
                              bool force, struct err *err) must_check;

/* Rows went into the partition: its statistics are due. */
void catalog_mark_statistics(struct catalog *catalog, const char *partition);
/* Writes the statistics that are due and older than `interval_ms`, a partition a transaction, under the same lock. */
int catalog_update_statistics(struct catalog *catalog, struct pg *pg, int interval_ms, struct err *err) must_check;

/* Begins a transaction with pgstac's search path, UTC and the statement timeout, as pgbouncer in transaction mode needs
 * it. */
int catalog_begin(const struct catalog *catalog, struct pg *pg, struct err *err) must_check;

#endif
