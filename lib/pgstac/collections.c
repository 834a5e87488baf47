#include "pgstac/collections.h"

#include <inttypes.h>
#include <stdio.h>

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

int collections_upsert(const struct catalog *catalog, struct pg *pg, const char *id, struct pgstac_item *collection,
                       struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    char published_at[24];
    buf_add(&text, collection->text, collection->text_len);
    if (buf_failed(&text))
        return err_no_memory(err);
    snprintf(published_at, sizeof(published_at), "%" PRId64, collection->published_at_ms);
    const char *const content[] = { buf_str(&text) }, *const version[] = { id, published_at };
    bool stale = false;
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = pg_run(pg, LOCK, err);
    if (r == 0)
        r = is_stale(pg, version, &stale, err);
    if (r == 0 && !stale)
        r = pg_exec(pg, UPSERT, content, 1, NULL, err);
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
