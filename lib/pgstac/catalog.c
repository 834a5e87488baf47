#include "pgstac/catalog.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/time.h"
#include "pgstac/schema.h"

/* Between batches, no more collections than a catalog can have in use. */
enum { REMEMBERED_MAX = 10000 };

/* ------------------------------------------------------------- collections */

static void collection_free(struct catalog_collection *collection)
{
    if (!collection)
        return;
    free(collection->id);
    free(collection->version);
    cJSON_Delete(collection->base.json);
    free(collection);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void forget_collections(struct catalog *catalog)
{
    while (catalog->collections) {
        struct catalog_collection *next = catalog->collections->next;
        collection_free(catalog->collections);
        catalog->collections = next;
    }
    catalog->n_collections = 0;
}

void catalog_trim(struct catalog *catalog)
{
    if (catalog->n_collections > REMEMBERED_MAX)
        forget_collections(catalog);
}

void catalog_clear(struct catalog *catalog)
{
    forget_collections(catalog);
}

static struct catalog_collection *find_collection(const struct catalog *catalog, const char *id)
{
    for (struct catalog_collection *at = catalog->collections; at; at = at->next)
        if (strcmp(at->id, id) == 0)
            return at;
    return NULL;
}

const struct catalog_collection *catalog_collection(const struct catalog *catalog, const char *id)
{
    const struct catalog_collection *found = find_collection(catalog, id);
    return found && found->is_known ? found : NULL;
}

/* Takes the collection over. */
static void remember_collection(struct catalog *catalog, struct catalog_collection *collection)
{
    struct catalog_collection *place = find_collection(catalog, collection->id);
    bool same = place && same_text(place->version, collection->version);
    collection->generation = same ? place->generation : ++catalog->generations;
    if (!place) {
        collection->next = catalog->collections;
        catalog->collections = collection;
        catalog->n_collections++;
        return;
    }
    struct catalog_collection old = *place;
    *place = *collection;
    place->next = old.next;
    *collection = old;
    collection_free(collection);
}

static enum catalog_trunc trunc_from(const char *text)
{
    if (strcmp(text, "year") == 0)
        return TRUNC_YEAR;
    return strcmp(text, "month") == 0 ? TRUNC_MONTH : TRUNC_NONE;
}

/* Nothing that pgstac makes looks like that: only the items of this collection cannot be loaded. */
static int unusable(const char *id, struct err *err)
{
    if (err) {
        err->code = "unusable_collection";
        err_prefix(err, "the base_item of collection \"%.200s\"", id);
    }
    return NEVER;
}

/* The columns of read_rows. */
enum { AT_ID, AT_BASE_ITEM, AT_KEY, AT_TRUNC, AT_DIGEST, AT_VERSION };

/* `row` < 0: the database has none of this id. */
static int remember_row(struct catalog *catalog, const PGresult *rows, int row, const char *id, struct err *err)
{
    struct catalog_collection *collection = calloc(1, sizeof(*collection));
    if (!collection)
        return err_no_memory(err);
    int r = 0;
    collection->id = strdup(id);
    if (!collection->id) {
        collection_free(collection);
        return err_no_memory(err);
    }
    if (row >= 0) {
        const char *base_item = PQgetvalue(rows, row, AT_BASE_ITEM);
        collection->is_known = true;
        collection->base.is_versioned = catalog->has_base_items;
        collection->trunc = trunc_from(PQgetvalue(rows, row, AT_TRUNC));
        collection->version = strdup(PQgetvalue(rows, row, AT_DIGEST));
        if (!collection->version)
            r = err_no_memory(err);
        if (r == 0)
            r = num_parse_i64(PQgetvalue(rows, row, AT_KEY), 0, INT64_MAX, &collection->key, err);
        if (r == 0)
            r = num_parse_i64(PQgetvalue(rows, row, AT_VERSION), 0, INT64_MAX, &collection->base.version, err);
        if (r == 0)
            r = json_parse(base_item, strlen(base_item), &collection->base.json, err);
        if (r == NEVER)
            r = unusable(id, err);
    }
    if (r != 0) {
        collection_free(collection);
        return r;
    }
    remember_collection(catalog, collection);
    return 0;
}

static bool is_repeated(const char *const *ids, size_t i)
{
    return i > 0 && strcmp(ids[i - 1], ids[i]) == 0;
}

/*
 * The version of the base item is the one whose content equals the collection's, by pgstac's own function: the table
 * alone does not say which one is current. Versions never change, so one that was read stays right.
 */
#define BASE_VERSION "(SELECT base_item_id FROM pgstac.current_base_item(t.id))"
#define DIGEST_PORTABLE "concat_ws('/', key, partition_trunc)"
#define DIGEST "md5(concat_ws('/', base_item::text, key, partition_trunc))"
#define DIGEST_VERSIONED "md5(concat_ws('/', base_item::text, key, partition_trunc, 'version', " BASE_VERSION "))"

static const char *digest(const struct catalog *catalog)
{
    if (catalog->is_portable)
        return DIGEST_PORTABLE;
    return catalog->has_base_items ? DIGEST_VERSIONED : DIGEST;
}

/* In a transaction, for its statement timeout: somebody may hold a lock on the table. */
static int read_rows(const struct catalog *catalog, struct pg *pg, const struct buf *ids, PGresult **ret,
                     struct err *err)
{
    auto_buf struct buf sql = BUF_INIT;
    buf_printf(&sql,
               "SELECT id, %s, key, coalesce(partition_trunc, ''), %s, coalesce(%s, 0) FROM pgstac.collections AS t "
               "WHERE id = ANY($1)",
               catalog->is_portable ? "'null'" : "base_item::text", digest(catalog),
               catalog->has_base_items && !catalog->is_portable ? BASE_VERSION : "NULL");
    if (buf_failed(&sql))
        return err_no_memory(err);
    const char *params[] = { buf_str(ids) };
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = pg_exec(pg, buf_str(&sql), params, 1, ret, err);
    if (r == 0)
        r = pg_run(pg, "COMMIT", err);
    if (r != 0)
        pg_rollback(pg);
    return r;
}

void catalog_distrust(struct catalog *catalog)
{
    for (struct catalog_collection *at = catalog->collections; at; at = at->next)
        at->is_stale = true;
}

/* A missing one may have been loaded since. */
static bool must_read(const struct catalog *catalog, const char *id)
{
    const struct catalog_collection *known = catalog_collection(catalog, id);
    return !known || known->is_stale;
}

int catalog_read_collections(struct catalog *catalog, struct pg *pg, const char *const *ids, size_t n, struct err *err)
{
    auto_buf struct buf wanted = BUF_INIT;
    for (size_t i = 0; i < n; i++)
        if (!is_repeated(ids, i) && must_read(catalog, ids[i]))
            pg_array_add(&wanted, ids[i]);
    if (wanted.len == 0)
        return 0;
    pg_array_end(&wanted);
    if (buf_failed(&wanted))
        return err_no_memory(err);
    auto_pg_result PGresult *rows = NULL;
    int r = read_rows(catalog, pg, &wanted, &rows, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (!is_repeated(ids, i) && must_read(catalog, ids[i]))
            r = remember_row(catalog, rows, pg_find_row(rows, ids[i]), ids[i], err);
    return r;
}

/* Whether one of them has several partitions. */
static bool are_divided(const struct catalog *catalog, const char *const *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct catalog_collection *collection = catalog_collection(catalog, ids[i]);
        if (collection && collection->trunc != TRUNC_NONE)
            return true;
    }
    return false;
}

int catalog_lock_collections(struct catalog *catalog, struct pg *pg, const char *const *ids, size_t n, struct err *err)
{
    auto_buf struct buf wanted = BUF_INIT;
    for (size_t i = 0; i < n; i++)
        if (!is_repeated(ids, i))
            pg_array_add(&wanted, ids[i]);
    pg_array_end(&wanted);
    if (buf_failed(&wanted))
        return err_no_memory(err);
    auto_buf struct buf sql = BUF_INIT;
    buf_printf(&sql,
               "SELECT id, %s, " SCHEMA_HAS_BASE_ITEMS " FROM pgstac.collections AS t "
               "WHERE id = ANY($1) ORDER BY id FOR SHARE",
               digest(catalog));
    if (buf_failed(&sql))
        return err_no_memory(err);
    auto_pg_result PGresult *rows = NULL;
    const char *params[] = { buf_str(&wanted) };
    /* What pgstac's own functions put in is not told to `known`, to which it is somebody else's. */
    bool watched = !catalog->is_portable && are_divided(catalog, ids, n);
    int r = watched ? known_before_lock(catalog->known, pg, buf_str(&wanted), err) : 0;
    if (r == 0)
        r = pg_exec(pg, buf_str(&sql), params, 1, &rows, err);
    if (r == 0 && watched)
        r = known_after_lock(catalog->known, pg, err);
    if (r != 0)
        return r;
    if (PQntuples(rows) > 0 && (*PQgetvalue(rows, 0, 2) == 't') != catalog->has_base_items)
        return err_outage(err, "database_upgraded",
                          "pgstac in this database is another version now: connecting again to look at it");
    for (size_t i = 0; i < n; i++) {
        const struct catalog_collection *collection = catalog_collection(catalog, ids[i]);
        int row = pg_find_row(rows, ids[i]);
        if (!collection || row < 0 || strcmp(PQgetvalue(rows, row, 1), collection->version) != 0)
            return err_later(err, "collection_changing",
                             "the collections of this batch change faster than it can be loaded");
    }
    return 0;
}

int catalog_begin(const struct catalog *catalog, struct pg *pg, struct err *err)
{
    auto_buf struct buf sql = BUF_INIT;
    /*
     * Each statement sees what was committed before it, whatever the role's default. pgstac reads dates out of
     * constraints as ISO has them. A plan over hundreds of partitions is neither a case for jit nor for workers, which
     * take longer to start than it takes to run.
     */
    buf_printf(
        &sql,
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path TO pgstac, public; SET LOCAL timezone TO 'UTC'; "
        "SET LOCAL datestyle TO 'ISO'; SET LOCAL jit TO off; SET LOCAL max_parallel_workers_per_gather TO 0; "
        "SET LOCAL statement_timeout TO %d",
        catalog->statement_timeout_ms);
    return buf_failed(&sql) ? err_no_memory(err) : pg_run(pg, buf_str(&sql), err);
}
