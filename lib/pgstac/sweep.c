#include "pgstac/sweep.h"

#include <string.h>

/*
 * pgstac partitions a collection anew by copying its rows and dropping the old partitions: what was deleted in between
 * would be there again. Before the partitions are looked at: those that the copy will drop would be locked, too.
 */
#define LOCK_COLLECTION "SELECT FROM collections WHERE id = $1 FOR SHARE"

/*
 * The ids as a table to join with, of which the planner knows the length: it reads small partitions from end to end and
 * hashes the ids, and looks each id up in the index of large ones. A list (id = ANY) it compares with each row of a
 * small partition one by one.
 */
#define ITEMS_GIVEN "unnest($2::text[]) AS given(id) JOIN items AS t ON t.id = given.id"
#define FIND_TWINS "SELECT t.id FROM " ITEMS_GIVEN " WHERE t.collection = $1 GROUP BY t.id HAVING count(*) > 1"

/*
 * Every loader sees the same order: the newest, then of equal times the one that was written last. By partition and id,
 * so that loaders delete in one order.
 */
#define RANK_TWINS                                                                                                 \
    "SELECT partition, id, version, winner FROM ("                                                                 \
    "SELECT c.relname AS partition, t.id, t.xmin AS version, first_value(c.relname) OVER ranks AS winner, "        \
    "row_number() OVER ranks AS rank "                                                                             \
    "FROM " ITEMS_GIVEN " JOIN pg_class c ON c.oid = t.tableoid WHERE t.collection = $1 "                          \
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
    const char *params[] = { groups[0].need.collection->id, buf_str(ids) };
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

/* The groups of one collection, which lie beside each other. */
static int sweep_collection(struct pg *pg, struct batch_row *rows, const struct batch_group *groups, size_t n_groups,
                            struct err *err)
{
    const char *collection = groups[0].need.collection->id;
    auto_buf struct buf ids = BUF_INIT;
    for (size_t g = 0; g < n_groups; g++)
        for (size_t i = groups[g].first; i < groups[g].first + groups[g].n; i++)
            if (!rows[i].settled)
                pg_array_add(&ids, rows[i].item->item.id);
    pg_array_end(&ids);
    if (buf_failed(&ids))
        return err_no_memory(err);
    const char *params[] = { collection, buf_str(&ids) };
    auto_pg_result PGresult *found = NULL;
    int r = pg_exec(pg, LOCK_COLLECTION, params, 1, NULL, err);
    if (r == 0)
        r = pg_exec(pg, FIND_TWINS, params, 2, &found, err);
    if (r != 0 || PQntuples(found) == 0)
        return r;

    buf_reset(&ids);
    for (int i = 0; i < PQntuples(found); i++)
        pg_array_add(&ids, PQgetvalue(found, i, 0));
    pg_array_end(&ids);
    if (buf_failed(&ids))
        return err_no_memory(err);
    r = rank_and_remove(pg, rows, groups, n_groups, &ids, err);
    return r != 0 ? r : batch_clear_format_cache(pg, collection, &ids, err);
}

int sweep_twins(const struct catalog *catalog, struct pg *pg, struct batch_row *rows, const struct batch_group *groups,
                size_t n_groups, struct err *err)
{
    bool any = false;
    for (size_t g = 0; g < n_groups; g++)
        any |= groups[g].need.collection->trunc != TRUNC_NONE;
    if (!any)
        return 0; /* one partition a collection: its unique index has seen to it */
    int r = catalog_begin(catalog, pg, err);
    for (size_t first = 0, end; r == 0 && first < n_groups; first = end) {
        const struct catalog_collection *collection = groups[first].need.collection;
        for (end = first + 1; end < n_groups && groups[end].need.collection == collection; end++)
            ;
        if (collection->trunc != TRUNC_NONE)
            r = sweep_collection(pg, rows, groups + first, end - first, err);
    }
    if (r == 0)
        r = pg_run(pg, "COMMIT", err);
    if (r != 0)
        pg_rollback(pg);
    return r;
}
