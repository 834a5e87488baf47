#include "pgstac/locked.h"

#include <string.h>

/* A lock on the table itself is not skipped: this long. */
#define LOCK_TIMEOUT "SET LOCAL lock_timeout TO '1s'"

#define FIND_LOCKED                                                                                                \
    "WITH given AS (SELECT unnest($2::text[]) AS id), free AS (SELECT t.id FROM items AS t JOIN given USING (id) " \
    "WHERE t.collection = $1 FOR NO KEY UPDATE OF t SKIP LOCKED) "                                                 \
    "SELECT DISTINCT t.id FROM items AS t JOIN given USING (id) WHERE t.collection = $1 AND "                      \
    "t.id NOT IN (SELECT id FROM free)"

static int find(struct pg *pg, const struct batch_row *rows, size_t n, PGresult **ret, struct err *err)
{
    auto_buf struct buf ids = BUF_INIT;
    for (size_t i = 0; i < n; i++)
        if (!rows[i].settled)
            pg_array_add(&ids, rows[i].item->item.id);
    pg_array_end(&ids);
    if (buf_failed(&ids))
        return err_no_memory(err);
    const char *params[] = { rows[0].item->item.collection, buf_str(&ids) };
    return pg_exec(pg, FIND_LOCKED, params, 2, ret, err);
}

/* The rows of one collection. */
static int settle_collection(struct pg *pg, struct batch_row *rows, size_t n, const struct err *why, size_t *ret_n,
                             struct err *err)
{
    auto_pg_result PGresult *found = NULL;
    int r = find(pg, rows, n, &found, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (rows[i].settled || pg_find_row(found, rows[i].item->item.id) < 0)
            continue;
        rows[i].item->result = LATER;
        rows[i].item->err = *why;
        rows[i].settled = true;
        (*ret_n)++;
    }
    return r;
}

int locked_settle(const struct catalog *catalog, struct pg *pg, struct batch_row *rows, size_t n, const struct err *why,
                  size_t *ret_n, struct err *err)
{
    *ret_n = 0;
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = pg_run(pg, LOCK_TIMEOUT, err);
    for (size_t first = 0, end; r == 0 && first < n; first = end) {
        const char *collection = rows[first].item->item.collection;
        for (end = first + 1; end < n && strcmp(rows[end].item->item.collection, collection) == 0; end++)
            ;
        r = settle_collection(pg, rows + first, end - first, why, ret_n, err);
    }
    pg_rollback(pg); /* what was free is free again */
    return r;
}
