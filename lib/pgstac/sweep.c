#include "pgstac/sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/time.h"
#include "pgstac/known_read.h"

/* As a table, because PostgreSQL compares each row of a small partition with each id of a list. */
#define GIVEN "unnest($1::text[]) AS given(id)"

/* NULL where the collection is gone. */
#define PARTITIONS                                                                                              \
    "SELECT p.relname, pg_relation_size(p.oid) FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhrelid " \
    "WHERE i.inhparent = to_regclass($1)"
enum { PARTITION_NAME, PARTITION_BYTES }; /* its columns */

/* To read a partition up to this size from end to end takes no longer than to look an id up in its index. */
enum { SMALL_BYTES_PER_ID = 4096 };

/*
 * Every loader sees the same order: the newest, then of equal times the one that was written last. By partition and id,
 * so that loaders delete in one order.
 */
#define RANK_TWINS                                                                                                 \
    "SELECT partition, id, version, winner FROM ("                                                                 \
    "SELECT c.relname AS partition, t.id, t.xmin AS version, first_value(c.relname) OVER ranks AS winner, "        \
    "row_number() OVER ranks AS rank "                                                                             \
    "FROM " GIVEN " JOIN items AS t USING (id) JOIN pg_class c ON c.oid = t.tableoid WHERE t.collection = $2 "     \
    "WINDOW ranks AS (PARTITION BY t.id ORDER BY " BATCH_PUBLISHED_AT " DESC NULLS LAST, age(t.xmin), t.tableoid)" \
    ") AS ranked WHERE rank > 1 ORDER BY partition, id COLLATE \"C\""

/* Rows that were written in the meantime are looked at again, this often. */
enum { ROUNDS = 10 };

enum { TWIN_PARTITION, TWIN_ID, TWIN_VERSION, TWIN_WINNER }; /* its columns */

/* A row that somebody wrote since it was looked at has another xmin and stays: it may be the newest now. */
#define REMOVE                                                                                                       \
    " AS t USING unnest($1::text[], $2::xid[]) AS gone(id, version) WHERE t.id = gone.id AND t.xmin = gone.version " \
    "RETURNING t.id, CASE WHEN jsonb_typeof(t.private) = 'object' THEN nullif(t.private - 'published_at', '{}') END"
enum { REMOVED_ID, REMOVED_OTHER }; /* its columns */

#define INHERIT \
    " SET private = $2::jsonb || CASE WHEN jsonb_typeof(private) = 'object' THEN private ELSE '{}' END WHERE id = $1"

/* Our own row may be the one that went. */
static void mark_removed(struct batch_row *rows, const struct batch_group *groups, size_t n_groups,
                         const char *partition, const PGresult *removed)
{
    for (size_t g = 0; g < n_groups; g++)
        for (int i = 0; strcmp(groups[g].need.name, partition) == 0 && i < PQntuples(removed); i++) {
            struct batch_row *row = batch_find(rows, &groups[g], PQgetvalue(removed, i, REMOVED_ID));
            if (row && !row->settled)
                row->item->outcome = PGSTAC_STALE;
        }
}

/* Straight from the partition: through `items` pgstac's triggers would write statistics, without the lock for it. */
static int remove_from(struct pg *pg, const PGresult *twins, int first, int end, PGresult **ret, struct err *err)
{
    auto_buf struct buf sql = BUF_INIT;
    auto_buf struct buf ids = BUF_INIT;
    auto_buf struct buf versions = BUF_INIT;
    buf_puts(&sql, "DELETE FROM ");
    pg_quote_identifier(PQgetvalue(twins, first, TWIN_PARTITION), &sql);
    buf_puts(&sql, REMOVE);
    for (int i = first; i < end; i++) {
        pg_array_add(&ids, PQgetvalue(twins, i, TWIN_ID));
        pg_array_add(&versions, PQgetvalue(twins, i, TWIN_VERSION));
    }
    pg_array_end(&ids);
    pg_array_end(&versions);
    if (buf_failed(&sql) || buf_failed(&ids) || buf_failed(&versions))
        return err_no_memory(err);
    const char *params[] = { buf_str(&ids), buf_str(&versions) };
    return pg_exec(pg, buf_str(&sql), params, 2, ret, err);
}

/* What the operator kept beside published_at moves with the item. */
static int inherit(struct pg *pg, const char *winner, const char *id, const char *other, struct err *err)
{
    auto_buf struct buf sql = BUF_INIT;
    buf_puts(&sql, "UPDATE ");
    pg_quote_identifier(winner, &sql);
    buf_puts(&sql, INHERIT);
    if (buf_failed(&sql))
        return err_no_memory(err);
    const char *params[] = { id, other };
    return pg_exec(pg, buf_str(&sql), params, 2, NULL, err);
}

/*
 * From the rows that went, all of one partition: one that stays, because somebody wrote it in the meantime, bequeaths
 * what it holds when it goes, and nothing before, which the winner would keep.
 */
static int inherit_all(struct pg *pg, const PGresult *twins, int first, const PGresult *removed, struct err *err)
{
    for (int i = 0; i < PQntuples(removed); i++) {
        if (PQgetisnull(removed, i, REMOVED_OTHER))
            continue;
        const char *id = PQgetvalue(removed, i, REMOVED_ID);
        int twin = first;
        while (strcmp(PQgetvalue(twins, twin, TWIN_ID), id) != 0)
            twin++;
        int r = inherit(pg, PQgetvalue(twins, twin, TWIN_WINNER), id, PQgetvalue(removed, i, REMOVED_OTHER), err);
        if (r != 0)
            return r;
    }
    return 0;
}

/* *ret_all: none of them had been written, or removed, in the meantime. */
static int remove_twins(struct pg *pg, struct batch_row *rows, const struct batch_group *groups, size_t n_groups,
                        const PGresult *twins, bool *ret_all, struct err *err)
{
    int n = PQntuples(twins);
    *ret_all = true;
    for (int first = 0, end; first < n; first = end) {
        const char *partition = PQgetvalue(twins, first, TWIN_PARTITION);
        for (end = first; end < n && strcmp(PQgetvalue(twins, end, TWIN_PARTITION), partition) == 0; end++)
            ;
        auto_pg_result PGresult *removed = NULL;
        int r = remove_from(pg, twins, first, end, &removed, err);
        if (r == 0)
            r = inherit_all(pg, twins, first, removed, err);
        if (r != 0)
            return r;
        mark_removed(rows, groups, n_groups, partition, removed);
        *ret_all &= PQntuples(removed) == end - first;
    }
    return 0;
}

static int rank_and_remove(struct pg *pg, struct batch_row *rows, const struct batch_group *groups, size_t n_groups,
                           const struct buf *ids, struct err *err)
{
    const char *params[] = { buf_str(ids), groups[0].need.collection->id };
    for (int i = 0; i < ROUNDS; i++) {
        auto_pg_result PGresult *twins = NULL;
        bool all = false;
        int r = pg_exec(pg, RANK_TWINS, params, 2, &twins, err);
        if (r == 0)
            r = remove_twins(pg, rows, groups, n_groups, twins, &all, err);
        if (r != 0 || all)
            return r;
    }
    return err_later(err, "database_conflict", "items of collection \"%.200s\" change faster than they can be swept",
                     groups[0].need.collection->id);
}

/* Those that may be elsewhere: all of them, or where it is known which, these. */
static void collect_ids(struct known_session *known, bool all, const struct batch_row *rows,
                        const struct batch_group *groups, size_t n_groups, struct buf *ret_ids, size_t *ret_n)
{
    *ret_n = 0;
    for (size_t g = 0; g < n_groups; g++)
        for (size_t i = groups[g].first; i < groups[g].first + groups[g].n; i++) {
            const struct partition_need *need = &groups[g].need;
            const char *id = rows[i].item->item.id;
            if (rows[i].settled || (!all && !known_is_elsewhere(known, need->collection->id, need->name, id)))
                continue;
            pg_array_add(ret_ids, id);
            (*ret_n)++;
        }
    pg_array_end(ret_ids);
}

static bool is_small(const PGresult *partitions, int i, size_t n_ids)
{
    int64_t bytes = 0;
    return num_parse_i64(PQgetvalue(partitions, i, PARTITION_BYTES), 0, INT64_MAX, &bytes, NULL) == 0 &&
           bytes <= (int64_t)n_ids * SMALL_BYTES_PER_ID;
}

/*
 * Large partitions are asked by their index for a sorted list of ids, which takes a third of the time of a join. Small
 * ones are joined as a whole: PostgreSQL hashes the ids and reads these partitions from end to end.
 */
static int find_in(struct pg *pg, const PGresult *partitions, const struct buf *ids, size_t n, PGresult **ret,
                   struct err *err)
{
    auto_buf struct buf small = BUF_INIT, sql = BUF_INIT;
    buf_puts(&sql, "WITH sorted AS MATERIALIZED (SELECT array_agg(id ORDER BY id) AS ids FROM " GIVEN ") "
                   "SELECT id FROM (SELECT NULL AS id WHERE false");
    for (int i = 0; i < PQntuples(partitions); i++) {
        const char *name = PQgetvalue(partitions, i, PARTITION_NAME);
        if (is_small(partitions, i, n)) {
            buf_puts(&small, small.len > 0 ? " UNION ALL SELECT id FROM " : "SELECT id FROM ");
            pg_quote_identifier(name, &small);
            continue;
        }
        buf_puts(&sql, " UNION ALL SELECT id FROM ");
        pg_quote_identifier(name, &sql);
        buf_puts(&sql, " WHERE id = ANY((SELECT ids FROM sorted)::text[])");
    }
    if (small.len > 0)
        buf_printf(&sql, " UNION ALL SELECT id FROM " GIVEN " JOIN (%s) AS small USING (id)", buf_str(&small));
    buf_puts(&sql, ") AS found GROUP BY id HAVING count(*) > 1");
    if (buf_failed(&small) || buf_failed(&sql) || buf_failed(ids))
        return err_no_memory(err);
    const char *params[] = { buf_str(ids) };
    return pg_exec(pg, buf_str(&sql), params, 1, ret, err);
}

static int find_by_table(struct pg *pg, const char *table, const struct buf *ids, size_t n, PGresult **ret,
                         struct err *err)
{
    const char *params[] = { table };
    auto_pg_result PGresult *partitions = NULL;
    int r = pg_exec(pg, PARTITIONS, params, 1, &partitions, err);
    return r != 0 || PQntuples(partitions) < 2 ? r : find_in(pg, partitions, ids, n, ret, err);
}

/* *ids, *n: those that have twins take the place of those that may have. */
static int find_twins(const struct catalog *catalog, struct pg *pg, const struct catalog_collection *collection,
                      struct buf *ids, size_t *n, struct err *err)
{
    char table[PARTITION_NAME_SIZE];
    snprintf(table, sizeof(table), "_items_%" PRId64, collection->key);
    auto_pg_result PGresult *found = NULL;
    int r = catalog_begin(catalog, pg, err);
    if (r ==
        0) /* over partitions without statistics it is taken for cheaper than hashing, and takes three times as long */
        r = pg_run(pg, "SET LOCAL enable_mergejoin TO off", err);
    if (r == 0)
        r = find_by_table(pg, table, ids, *n, &found, err);
    if (r == 0)
        r = pg_run(pg, "COMMIT", err);
    if (r != 0) {
        pg_rollback(pg);
        return r;
    }
    *n = found ? (size_t)PQntuples(found) : 0;
    buf_reset(ids);
    for (size_t i = 0; i < *n; i++)
        pg_array_add(ids, PQgetvalue(found, (int)i, 0));
    pg_array_end(ids);
    return buf_failed(ids) ? err_no_memory(err) : 0;
}

/*
 * The collection is locked first: pgstac repartitions one by copying its rows and dropping the old partitions, and a
 * row that was deleted in between would come back. It is locked before the partitions are looked at again, because
 * those that the copy will drop would be locked too.
 */
static int remove_in_transaction(struct catalog *catalog, struct pg *pg, struct batch_row *rows,
                                 const struct batch_group *groups, size_t n_groups, const struct buf *ids,
                                 struct err *err)
{
    const char *collection = groups[0].need.collection->id;
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = catalog_lock_collections(catalog, pg, &collection, 1, err);
    if (r == 0)
        r = rank_and_remove(pg, rows, groups, n_groups, ids, err);
    if (r == 0)
        r = batch_clear_format_cache(pg, collection, ids, err);
    if (r == 0)
        r = pg_run(pg, "COMMIT", err);
    if (r != 0)
        pg_rollback(pg);
    known_end(catalog->known, pg_is_usable(pg));
    return r;
}

/* The groups of one collection, which lie beside each other. */
static int sweep_collection(struct catalog *catalog, struct pg *pg, struct batch_row *rows,
                            const struct batch_group *groups, size_t n_groups, struct err *err)
{
    const struct catalog_collection *collection = groups[0].need.collection;
    auto_buf struct buf ids = BUF_INIT;
    bool known = false;
    size_t n = 0;
    int r = known_ask(catalog->known, pg, collection->id, catalog->statement_timeout_ms, &known, err);
    if (r == 0 && !known && known_is_worth_reading(catalog->known, collection->id))
        r = known_read(catalog, pg, collection, &known, err);
    if (r != 0)
        return r;
    collect_ids(catalog->known, !known, rows, groups, n_groups, &ids, &n);
    if (n == 0)
        return 0;
    int64_t began_ms = time_mono_ms();
    r = find_twins(catalog, pg, collection, &ids, &n, err);
    if (r == 0 && (n == 0 || !known))
        known_looked(catalog->known, collection->id, time_mono_ms() - began_ms);
    return r != 0 || n == 0 ? r : remove_in_transaction(catalog, pg, rows, groups, n_groups, &ids, err);
}

int sweep_twins(struct catalog *catalog, struct pg *pg, struct batch_row *rows, const struct batch_group *groups,
                size_t n_groups, struct err *err)
{
    int r = 0;
    for (size_t first = 0, end; r == 0 && first < n_groups; first = end) {
        const struct catalog_collection *collection = groups[first].need.collection;
        for (end = first + 1; end < n_groups && groups[end].need.collection == collection; end++)
            ;
        if (collection->trunc != TRUNC_NONE) /* one partition: its unique index has seen to it */
            r = sweep_collection(catalog, pg, rows, groups + first, end - first, err);
    }
    return r;
}
