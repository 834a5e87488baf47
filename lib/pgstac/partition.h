/*
 * partition: where items go, made and widened when needed, and their statistics.
 *
 * A partition is remembered with the bounds of its CHECK constraint; items within them need no look at the database's
 * catalog. What other sessions change in the meantime shows as 23514 or 42P01 when loading: then `force`.
 */
#ifndef PGSTAC_PARTITION_H
#define PGSTAC_PARTITION_H

#include "pgstac/catalog.h"

enum { PARTITION_NAME_SIZE = 64 }; /* "_items_" and at most 19, '_' and 6 digits */

/* A range in microseconds since 1970, both ends within. */
struct partition_range {
    int64_t min_us, max_us;
};

struct partition {
    char name[PARTITION_NAME_SIZE];
    bool exists;
    struct partition_range datetime, end_datetime; /* what the CHECK constraint lets in */
    bool statistics_due;
    int64_t statistics_at_ms; /* time_mono_ms() when they were last written; 0: never by this process */
};

/* What is remembered. */
struct partitions {
    struct partition *entries;
    size_t n, cap;
};

void partitions_clear(struct partitions *partitions);
/* Forgets what they are like, as after another server may have taken over; not that statistics are due. */
void partitions_forget(struct partitions *partitions);
/* Forgets, between batches, where more is remembered than a catalog can have in use; never what has statistics due. */
void partitions_trim(struct partitions *partitions);

/* The partition for a time: _items_KEY, _items_KEY_YYYY or _items_KEY_YYYYMM, in UTC. */
void partition_name(const struct catalog_collection *collection, int64_t datetime_us, char ret[PARTITION_NAME_SIZE]);

struct partition_need {
    const struct catalog_collection *collection;
    struct partition_range datetime, end_datetime; /* of the rows: the datetimes lie in one partition */
    char name[PARTITION_NAME_SIZE];
    /* Results */
    bool met;
    struct err err; /* where it is not */
};

/*
 * Until the transaction's end: alone among the loaders of this database in making partitions and writing statistics;
 * other locks are not waited for long.
 */
int partition_lock(struct pg *pg, struct err *err) must_check;

/*
 * Makes or widens (to whole months or years, so that a growing catalog asks for it seldom) the partitions that the
 * needs lack, by pgstac's check_partition, each in a transaction of its own under one database-wide advisory lock, and
 * looks them up in the catalog afterwards because check_partition swallows errors. Those that are remembered as
 * sufficient cost nothing; with `force` none is.
 * 0: each need has its result, and one that is not met passes (LATER: "partition_unavailable", "database_conflict"):
 * its collection may have been partitioned anew. LATER: outages only.
 */
int partition_ensure(struct partitions *partitions, const struct catalog *catalog, struct pg *pg,
                     struct partition_need *const *needs, size_t n, bool force, struct err *err) must_check;

/* Rows went into the partition: its statistics are due. */
void partition_mark_statistics(struct partitions *partitions, const char *name);
/*
 * Writes the statistics that are due and older than `interval_ms`, a partition a transaction, under the same lock.
 * LATER: those that failed stay due; one that fails does not keep the others from theirs, an outage does.
 */
int partition_update_statistics(struct partitions *partitions, const struct catalog *catalog, struct pg *pg,
                                int interval_ms, struct err *err) must_check;

#endif
