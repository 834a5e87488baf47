/*
 * statistics: pgstac's statistics of the partitions that rows went into, which its search reads.
 *
 * Written once per partition and interval, never per batch: that is where loaders usually spend their time.
 */
#ifndef PGSTAC_STATISTICS_H
#define PGSTAC_STATISTICS_H

#include "pgstac/partition.h"

struct statistics_entry {
    char partition[PARTITION_NAME_SIZE];
    bool due;
    int64_t at_ms; /* time_mono_ms() when they were last written; 0: never by this process */
};

struct statistics {
    struct statistics_entry *entries;
    size_t n, cap;
};

void statistics_clear(struct statistics *statistics);
/* Forgets, between batches, those that are not due where there are more than a catalog can have in use. */
void statistics_trim(struct statistics *statistics);

/* Rows went into the partition: its statistics are due. */
int statistics_mark(struct statistics *statistics, const char *partition, struct err *err) must_check;
/*
 * Writes the statistics that are due and older than `interval_ms`, a partition a transaction, under PARTITION_LOCK.
 * LATER: those that failed stay due; one that fails does not keep the others from theirs, an outage does.
 */
int statistics_update(struct statistics *statistics, const struct catalog *catalog, struct pg *pg, int interval_ms,
                      struct err *err) must_check;

#endif
