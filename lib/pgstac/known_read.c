#include "pgstac/known_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/time.h"
#include "pgstac/witness.h"

/*
 * What the witness says, about how many rows there are (in a table that nobody has analyzed they have some 3 KB each),
 * and how many partitions lack the trigger that the witness relies on.
 */
#define LOOK                                                                                                    \
    "SELECT " WITNESS_COLUMNS ", t.n, t.partitions, t.untold" WITNESS_FROM "CROSS JOIN ("                       \
    "SELECT coalesce(sum(greatest(p.reltuples, pg_relation_size(p.oid) / 3000))::int8, 0) AS n, count(*) AS "   \
    "partitions, "                                                                                              \
    "count(*) FILTER (WHERE NOT EXISTS (SELECT FROM pg_trigger AS g JOIN pg_proc AS f ON f.oid = g.tgfoid "     \
    "WHERE g.tgrelid = p.oid AND f.proname = 'RI_FKey_check_ins' AND g.tgenabled IN ('O', 'A') "                \
    "AND g.tgconstrrelid = 'pgstac.collections'::regclass)) AS untold "                                         \
    "FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhrelid WHERE i.inhparent = to_regclass($2)) AS t " \
    "WHERE c.id = $1"
enum { LOOK_ROWS = WITNESS_END, LOOK_PARTITIONS, LOOK_UNTOLD };
#define PARTITIONS                                                                                                \
    "SELECT inhrelid::text, p.relname FROM pg_inherits JOIN pg_class AS p ON p.oid = inhrelid WHERE inhparent = " \
    "to_regclass($1)"
enum { PARTITION_OID, PARTITION_NAME }; /* its columns */

/* Some at a time. */
#define CURSOR \
    "SET LOCAL cursor_tuple_fraction TO 1; DECLARE itemloadd_ids NO SCROLL CURSOR FOR SELECT tableoid, id FROM "
#define FETCH "FETCH 50000 FROM itemloadd_ids"
enum { FETCHED_PARTITION, FETCHED_ID }; /* its columns */

/* Before the first query. */
#define ONE_STATE "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

static int look(struct pg *pg, const char *id, const char *table, struct known *known, uint64_t reading,
                bool *ret_worth, struct err *err)
{
    const char *params[] = { id, table };
    auto_pg_result PGresult *row = NULL;
    int r = pg_exec(pg, LOOK, params, 2, &row, err);
    struct known_size size = { .rows = 0 };
    *ret_worth = r == 0 && PQntuples(row) == 1 && strcmp(PQgetvalue(row, 0, LOOK_UNTOLD), "0") == 0 &&
                 num_parse_i64(PQgetvalue(row, 0, LOOK_ROWS), 0, INT64_MAX, &size.rows, NULL) == 0 &&
                 num_parse_i64(PQgetvalue(row, 0, LOOK_PARTITIONS), 0, INT64_MAX, &size.partitions, NULL) == 0 &&
                 known_reading_is_worth_it(known, reading, &size, PQgetvalue(row, 0, WITNESS_VERSION),
                                           witness_horizon(PQgetvalue(row, 0, WITNESS_SNAPSHOT)));
    return r;
}

/* False: to no avail. */
static bool add_fetched(struct known *known, uint64_t reading, const PGresult *partitions, const PGresult *fetched)
{
    int partition = -1;
    for (int i = 0; i < PQntuples(fetched); i++) {
        const char *oid = PQgetvalue(fetched, i, FETCHED_PARTITION);
        if (partition < 0 || strcmp(PQgetvalue(partitions, partition, PARTITION_OID), oid) != 0)
            partition = pg_find_row(partitions, oid);
        if (partition < 0 || !known_reading_add(known, reading, PQgetvalue(partitions, partition, PARTITION_NAME),
                                                PQgetvalue(fetched, i, FETCHED_ID)))
            return false;
    }
    return true;
}

static int fetch_all(struct pg *pg, const char *table, struct known *known, uint64_t reading,
                     const PGresult *partitions, bool *ret_ok, struct err *err)
{
    auto_buf struct buf sql = BUF_INIT;
    buf_printf(&sql, CURSOR "%s", table);
    if (buf_failed(&sql))
        return err_no_memory(err);
    int r = pg_run(pg, buf_str(&sql), err);
    bool any = true;
    while (r == 0 && any && *ret_ok) {
        auto_pg_result PGresult *fetched = NULL;
        r = pg_exec(pg, FETCH, NULL, 0, &fetched, err);
        any = r == 0 && PQntuples(fetched) > 0;
        *ret_ok = r == 0 && add_fetched(known, reading, partitions, fetched);
    }
    return r;
}

/* *ret_whole: all of them. */
static int read_all(const struct catalog *catalog, struct pg *pg, const char *id, const char *table, uint64_t reading,
                    bool *ret_whole, struct err *err)
{
    struct known *known = catalog->known->known;
    const char *params[] = { table };
    auto_pg_result PGresult *partitions = NULL;
    bool ok = false;
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = pg_run(pg, ONE_STATE, err);
    if (r == 0)
        r = look(pg, id, table, known, reading, &ok, err);
    if (r == 0 && ok)
        r = pg_exec(pg, PARTITIONS, params, 1, &partitions, err);
    if (r == 0 && ok)
        r = fetch_all(pg, table, known, reading, partitions, &ok, err);
    pg_rollback(pg);
    *ret_whole = r == 0 && ok;
    return r;
}

int known_read(const struct catalog *catalog, struct pg *pg, const struct catalog_collection *collection,
               bool *ret_whole, struct err *err)
{
    struct known *known = catalog->known->known;
    char table[64];
    snprintf(table, sizeof(table), "pgstac._items_%" PRId64, collection->key);
    int64_t began_ms = time_mono_ms();
    uint64_t reading = known_begin_reading(known, collection->id);
    *ret_whole = false;
    if (reading == 0)
        return 0;
    struct err why = ERR_INIT;
    int r = read_all(catalog, pg, collection->id, table, reading, ret_whole, &why);
    known_end_reading(known, reading, *ret_whole, time_mono_ms() - began_ms);
    if (r == 0 || (r > 0 && !why.outage))
        return 0;
    *err = why;
    return r;
}
