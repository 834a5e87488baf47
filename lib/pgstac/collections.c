#include "pgstac/collections.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "pgstac/batch.h"

/* One at a time ("pgstaccl"): of two that are new to the catalog the one that waits for the other would win. */
#define LOCK "SELECT pg_advisory_xact_lock(8099569398536430444)"
#define FIND_NEWER "SELECT FROM collections AS t WHERE id = $1 AND " BATCH_PUBLISHED_AT " > $2::bigint"
/* pgstac's function knows what else its version keeps of a collection, but nothing of `private`. */
#define UPSERT "SELECT upsert_collection($1::jsonb)"
#define STAMP                                                                                                      \
    "UPDATE collections AS t SET private = CASE WHEN jsonb_typeof(private) = 'object' THEN private ELSE '{}' END " \
    "|| jsonb_build_object('published_at', $2::bigint) WHERE id = $1"

static int end(struct pg *pg, int result, struct err *err)
{
    int r = result == 0 ? pg_run(pg, "COMMIT", err) : result;
    if (r != 0)
        pg_rollback(pg);
    return r;
}

static int is_stale(struct pg *pg, const char *const version[2], bool *ret, struct err *err)
{
    auto_pg_result PGresult *newer = NULL;
    int r = pg_exec(pg, FIND_NEWER, version, 2, &newer, err);
    if (r == 0)
        *ret = PQntuples(newer) > 0;
    return r;
}

/* The leaves of a collection's tree of partitions that take room on disk. */
#define LEAVES                                                                                                    \
    "SELECT t.relid::regclass::text FROM collections c, pg_partition_tree(to_regclass('_items_' || c.key)) AS t " \
    "WHERE c.id = $1 AND t.isleaf AND pg_relation_size(t.relid) > 0"

static int count_filled_partitions(struct pg *pg, const char *id, int *ret, struct err *err)
{
    auto_pg_result PGresult *leaves = NULL, *filled = NULL;
    const char *const params[] = { id };
    int r = pg_exec(pg, LEAVES, params, 1, &leaves, err);
    if (r != 0 || PQntuples(leaves) == 0)
        return r;
    auto_buf struct buf sql = BUF_INIT;
    buf_puts(&sql, "SELECT");
    for (int i = 0; i < PQntuples(leaves); i++)
        buf_printf(&sql, "%s EXISTS (SELECT FROM %s)::int", i > 0 ? " +" : "", PQgetvalue(leaves, i, 0));
    if (buf_failed(&sql))
        return err_no_memory(err);
    r = pg_exec(pg, buf_str(&sql), NULL, 0, &filled, err);
    int64_t n = 0;
    if (r == 0)
        r = num_parse_i64(PQgetvalue(filled, 0, 0), 0, INT_MAX, &n, err);
    *ret = (int)n;
    return r;
}

/* No row: the collection is not there, or the catalog keeps versions of base items. */
static int read_base_item(struct pg *pg, const char *id, PGresult **ret, struct err *err)
{
    const char *const params[] = { id };
    return pg_exec(pg,
                   "SELECT to_jsonb(c)->>'base_item' FROM collections c WHERE id = $1 AND "
                   "to_regclass('pgstac.base_items') IS NULL",
                   params, 1, ret, err);
}

static bool same_base_item(const PGresult *a, const PGresult *b)
{
    return PQntuples(b) == 0 || strcmp(PQgetvalue(a, 0, 0), PQgetvalue(b, 0, 0)) == 0;
}

/* The upsert itself; looks for items that a change of the base item reaches. */
static int replace(struct pg *pg, const char *id, const char *content, int *ret_rebased_partitions, struct err *err)
{
    auto_pg_result PGresult *before = NULL, *after = NULL;
    const char *const params[] = { content };
    int r = read_base_item(pg, id, &before, err);
    if (r == 0)
        r = pg_exec(pg, UPSERT, params, 1, NULL, err);
    if (r == 0 && PQntuples(before) > 0)
        r = read_base_item(pg, id, &after, err);
    if (r != 0 || !after || same_base_item(before, after))
        return r;
    return count_filled_partitions(pg, id, ret_rebased_partitions, err);
}

int collections_upsert(const struct catalog *catalog, struct pg *pg, const char *id, struct pgstac_item *collection,
                       struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char published_at[24];
    buf_add(&text, collection->text, collection->text_len);
    if (buf_failed(&text))
        return err_no_memory(err);
    snprintf(published_at, sizeof(published_at), "%" PRId64, collection->published_at_ms);
    const char *const version[] = { id, published_at };
    collection->rebased_partitions = 0;
    bool stale = false;
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = pg_run(pg, LOCK, err);
    if (r == 0)
        r = is_stale(pg, version, &stale, err);
    if (r == 0 && !stale)
        r = replace(pg, id, buf_str(&text), &collection->rebased_partitions, err);
    if (r == 0 && !stale)
        r = pg_exec(pg, STAMP, version, 2, NULL, err);
    collection->outcome = stale ? PGSTAC_STALE : PGSTAC_UPDATED;
    return end(pg, r, err);
}

int collections_create(const struct catalog *catalog, struct pg *pg, const char *id, struct err *err)
{
    auto_buf struct buf json = BUF_INIT;
    buf_puts(&json, "{\"type\":\"Collection\",\"stac_version\":\"1.0.0\",\"id\":");
    json_write_string(id, &json);
    buf_puts(&json, ",\"description\":");
    json_write_string(id, &json);
    buf_puts(&json, ",\"license\":\"other\",\"links\":[],\"extent\":{\"spatial\":{\"bbox\":[[-180,-90,180,90]]},"
                    "\"temporal\":{\"interval\":[[null,null]]}}}");
    if (buf_failed(&json))
        return err_no_memory(err);
    const char *const params[] = { buf_str(&json) };
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = pg_exec(pg, "INSERT INTO collections (content) VALUES ($1::jsonb) ON CONFLICT (id) DO NOTHING", params, 1,
                    NULL, err);
    return end(pg, r, err);
}
