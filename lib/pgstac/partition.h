/*
 * partition: the partitions that items go to: found, made and widened when needed.
 *
 * A partition's name and bounds are what the database says they are. A catalog whose partitions were made in another
 * time zone than UTC keeps them; only the bounds of a partition that is not there yet are worked out here.
 *
 * A partition is remembered with its bounds and those of its CHECK constraint; items within them need no look at the
 * database's catalog. Changes that other sessions make meanwhile show as 23514 or 42P01 when loading: then
 * partitions_distrust.
 */
#ifndef PGSTAC_PARTITION_H
#define PGSTAC_PARTITION_H

#include "pgstac/catalog.h"

/* One lock for the database ("pgstacpt"): a lock per collection deadlocks on pgstac's shared objects. */
#define PARTITION_LOCK "SELECT pg_advisory_xact_lock(8099569398536433780)"

enum { PARTITION_NAME_SIZE = 64 }; /* a PostgreSQL identifier */

/* A range in microseconds since 1970, both ends within. */
struct partition_range {
    int64_t min_us, max_us;
};

struct partition {
    int64_t key;         /* of its collection */
    uint64_t generation; /* of the collection when it was read: a collection that changes may be partitioned again */
    char name[PARTITION_NAME_SIZE];
    struct partition_range bounds;                 /* the datetimes of its items */
    struct partition_range datetime, end_datetime; /* what its CHECK constraint lets in */
};

/* The remembered partitions, by key and bounds. */
struct partitions {
    struct partition *entries;
    size_t n, cap;
    bool distrusted; /* the next partition_ensure has pgstac check each partition */
};

void partitions_clear(struct partitions *partitions);
/* What is remembered was wrong: forgets it, and has pgstac check each partition before it is used again. */
void partitions_distrust(struct partitions *partitions);
/* Forgets, between batches, where more is remembered than a catalog can have in use. */
void partitions_trim(struct partitions *partitions);

/* The remembered partition for a time, or NULL. The pointer is valid until the next call that reads the database. */
const struct partition *partition_find(const struct partitions *partitions, const struct catalog_collection *collection,
                                       int64_t datetime_us);

/*
 * The bounds of the partition for a time: of the remembered one, else those that a new one should get: a month or year
 * (by the collection's partition_trunc) in the time zone of the partition before it, UTC where there is none.
 */
struct partition_range partition_bounds(const struct partitions *partitions,
                                        const struct catalog_collection *collection, int64_t datetime_us);

/* Reads the collection's partitions for these times, and those beside them. A transaction of its own. LATER as pg.h. */
int partition_read(struct partitions *partitions, const struct catalog *catalog, struct pg *pg,
                   const struct catalog_collection *collection, struct partition_range datetime, struct err *err)
    must_check;

struct partition_need {
    const struct catalog_collection *collection;
    struct partition_range datetime, end_datetime; /* of the rows */
    /* Results */
    bool met;
    char name[PARTITION_NAME_SIZE]; /* where it is met */
    int result;                     /* where it is not: LATER or NEVER, and why */
    struct err err;
};

/* Takes PARTITION_LOCK until the transaction's end. Other locks are not waited for long from then on. */
int partition_lock(struct pg *pg, struct err *err) must_check;

/*
 * Makes or widens (to whole months or years, so that a growing catalog asks for it seldom) the partitions that the
 * needs lack, by pgstac's check_partition, each in a transaction of its own under one database-wide advisory lock.
 * check_partition catches its own errors, so the catalog is read again afterwards. A need that is remembered as met
 * costs nothing.
 * 0: each need has its result. One that is not met has LATER ("partition_unavailable", "database_conflict": its
 * collection may have been partitioned again) or NEVER ("partition_refused", with pgstac's own error) in its err.
 * LATER: outages only.
 */
int partition_ensure(struct partitions *partitions, const struct catalog *catalog, struct pg *pg,
                     struct partition_need *const *needs, size_t n, struct err *err) must_check;

#endif
