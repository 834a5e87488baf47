/*
 * witness: whether anybody else has put items into a collection since: the last to do so is on record in the database.
 *
 * Each row that goes into `items`, from whatever program, fires the trigger of its foreign key, which locks the
 * collection's row (FOR KEY SHARE). PostgreSQL writes the transaction that has the lock into the row's header (the
 * column xmax), and the next one that locks it writes its own over it; only those that still run stay beside it
 * (a multixact). So while xmax shows nobody but ourselves, and showed nobody else each time before we wrote over it,
 * nobody else has put items in.
 *
 * A row's `version` changes when somebody updates the collection or freezes its table; `server` when it is another
 * database or server, or one that has recovered from a crash, where transactions that were ours may not have been.
 */
#ifndef PGSTAC_WITNESS_H
#define PGSTAC_WITNESS_H

#include "pgstac/pg.h"

/*
 * The columns of a query of `collections AS c` by WITNESS_FROM: id, server, version, xmax, its members where it may be
 * a multixact (else NULL), and the snapshot that the query saw. Whether xmax is a transaction or a multixact the
 * database does not say: where it can be both, both have to be ours.
 */
#define WITNESS_COLUMNS                                                                                     \
    "c.id, concat_ws('/', pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time(), "             \
    "(SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())), "                          \
    "concat_ws('/', c.ctid, c.xmin, r.relfilenode, r.relfrozenxid, r.relminmxid), "                         \
    "c.xmax, CASE WHEN mxid_age(c.xmax) BETWEEN 1 AND (SELECT max(mxid_age(datminmxid)) FROM pg_database) " \
    "THEN (SELECT string_agg(m.xid::text, ',') FROM pg_get_multixact_members(c.xmax) AS m) END, pg_current_snapshot()"
#define WITNESS_FROM " FROM pgstac.collections AS c JOIN pg_class AS r ON r.oid = c.tableoid "
enum {
    WITNESS_ID,
    WITNESS_SERVER,
    WITNESS_VERSION,
    WITNESS_XMAX,
    WITNESS_MEMBERS,
    WITNESS_SNAPSHOT,
    WITNESS_END /* the next column */
};

/*
 * One more column: which partitions were attached with the rows that they had, for which no trigger fired. One that was
 * made as a partition has been that as long as its columns: the two were written by one transaction.
 */
#define WITNESS_ATTACHED                                                                            \
    "(SELECT concat_ws('/', sum(i.inhrelid::int8), sum(i.xmin::text::int8)) FROM pg_inherits AS i " \
    "JOIN pg_attribute AS a ON a.attrelid = i.inhrelid AND a.attnum = -1 AND a.xmin <> i.xmin "     \
    "WHERE i.inhparent = to_regclass('pgstac._items_' || c.key))"

/* The transactions that were ours lately. */
enum { WITNESS_OURS_MAX = 1024 };
struct witness_ours {
    uint64_t xids[WITNESS_OURS_MAX];
    size_t next;
};
void witness_add_ours(struct witness_ours *ours, uint64_t xid);

/* One of which it is not sure any more how it ended. */
void witness_remove_ours(struct witness_ours *ours, uint64_t xid);

/* The oldest transaction that a snapshot ("xmin:xmax:xip,xip") saw running: all before had ended. 0: not a snapshot. */
uint64_t witness_horizon(const char *snapshot);

/* Whether all that xmax shows of this row are ours, or had ended at the horizon. */
bool witness_is_ours(const PGresult *rows, int row, const struct witness_ours *ours, uint64_t horizon);

/* Whether a transaction that is not ours ended between two snapshots. */
bool witness_others_ended(const char *before, const char *after, const struct witness_ours *ours);

#endif
