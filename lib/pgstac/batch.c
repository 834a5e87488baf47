#include "pgstac/batch.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "pgstac/dehydrate.h"

/* Between 1970 and 2000, PostgreSQL's epoch. */
static const int64_t POSTGRES_EPOCH_US = INT64_C(946684800) * 1000000;

/* -------------------------------------------------------------- preparing */

static void settle_missing_collection(struct batch_row *row, enum missing_collection missing)
{
    struct pgstac_item *item = row->item;
    const char *id = item->item.collection;
    if (missing == MISSING_COLLECTION_REJECT)
        item->result = err_never(&item->err, "missing_collection",
                                 "collection \"%.200s\" is not in the catalog: load it, then "
                                 "replay this message",
                                 id);
    else
        item->result =
            err_later(&item->err, "missing_collection", "collection \"%.200s\" is not in the catalog yet", id);
    row->settled = true;
}

int batch_dehydrate(const struct catalog_collection *collection, const cJSON *json, struct pgstac_item *item,
                    struct err *err)
{
    auto_buf struct buf content = BUF_INIT;
    (void)buf_reserve(&content, item->text_len); /* so that it seldom grows */
    int r = dehydrate(&collection->base, json, &content, err);
    if (r != 0)
        return r;
    free(item->content);
    item->content = strndup(buf_str(&content), content.len); /* without the room that a buf has */
    item->content_len = content.len;
    item->generation = collection->generation;
    return item->content ? 0 : err_no_memory(err);
}

static int dehydrate_text(const struct catalog_collection *collection, struct pgstac_item *item, struct err *err)
{
    auto_json cJSON *json = NULL;
    int r = stac_item_parse(item->text, item->text_len, &json, err);
    return r != 0 ? r : batch_dehydrate(collection, json, item, err);
}

static int prepare_row(const struct catalog *catalog, enum missing_collection missing, struct batch_row *row,
                       struct err *err)
{
    struct pgstac_item *item = row->item;
    row->collection = catalog_collection(catalog, item->item.collection);
    if (!row->collection) {
        settle_missing_collection(row, missing);
        return 0;
    }
    if (item->content && item->generation == row->collection->generation)
        return 0;
    int r = dehydrate_text(row->collection, item, &item->err);
    if (r < 0) {
        *err = item->err;
        return r;
    }
    item->result = r;
    row->settled = r != 0;
    return 0;
}

int batch_prepare(const struct catalog *catalog, enum missing_collection missing, struct batch_row *rows, size_t n,
                  struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].settled)
            continue;
        int r = prepare_row(catalog, missing, &rows[i], err);
        if (r != 0)
            return r;
    }
    return 0;
}

static int compare_rows(const void *a, const void *b)
{
    const struct batch_row *x = a, *y = b;
    int order = strcmp(x->item->item.collection, y->item->item.collection);
    if (order == 0)
        order = (x->partition_us > y->partition_us) - (x->partition_us < y->partition_us);
    return order != 0 ? order : strcmp(x->item->item.id, y->item->item.id);
}

/* By collection, partition, id: the order of everything below. */
static void sort_rows(struct batch_row *rows, size_t n)
{
    qsort(rows, n, sizeof(*rows), compare_rows);
}

static void widen(struct partition_range *range, int64_t us)
{
    if (us < range->min_us)
        range->min_us = us;
    if (us > range->max_us)
        range->max_us = us;
}

/* Those of one collection. */
static int place_rows(struct partitions *partitions, const struct catalog *catalog, struct pg *pg,
                      struct batch_row *rows, size_t n, struct err *err)
{
    const struct catalog_collection *collection = rows[0].collection;
    struct partition_range unknown = { INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < n; i++)
        if (!rows[i].settled && !partition_find(partitions, collection, rows[i].item->item.datetime_us))
            widen(&unknown, rows[i].item->item.datetime_us);
    if (unknown.min_us <= unknown.max_us) {
        int r = partition_read(partitions, catalog, pg, collection, unknown, err);
        if (r != 0)
            return r;
    }
    for (size_t i = 0; i < n; i++)
        if (!rows[i].settled)
            rows[i].partition_us = partition_bounds(partitions, collection, rows[i].item->item.datetime_us).min_us;
    return 0;
}

int batch_place(struct partitions *partitions, const struct catalog *catalog, struct pg *pg, struct batch_row *rows,
                size_t n, struct err *err)
{
    sort_rows(rows, n);
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && rows[end].collection == rows[first].collection; end++)
            ;
        int r = rows[first].collection ? place_rows(partitions, catalog, pg, rows + first, end - first, err) : 0;
        if (r != 0)
            return r;
    }
    sort_rows(rows, n);
    return 0;
}

static bool same_partition(const struct batch_row *a, const struct batch_row *b)
{
    return a->collection == b->collection && a->partition_us == b->partition_us;
}

int batch_groups(const struct batch_row *rows, size_t n, struct batch_group **ret, size_t *ret_n, struct err *err)
{
    struct batch_group *groups = calloc(n + 1, sizeof(*groups));
    if (!groups)
        return err_no_memory(err);
    size_t n_groups = 0;
    const struct batch_row *last = NULL;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].settled)
            continue;
        const struct stac_item *item = &rows[i].item->item;
        struct batch_group *group = &groups[n_groups ? n_groups - 1 : 0];
        if (!last || !same_partition(last, &rows[i])) {
            group = &groups[n_groups++];
            group->first = i;
            group->need.collection = rows[i].collection;
            group->need.datetime = (struct partition_range){ item->datetime_us, item->datetime_us };
            group->need.end_datetime = (struct partition_range){ item->end_datetime_us, item->end_datetime_us };
        }
        group->n = i + 1 - group->first;
        widen(&group->need.datetime, item->datetime_us);
        widen(&group->need.end_datetime, item->end_datetime_us);
        last = &rows[i];
    }
    *ret = groups;
    *ret_n = n_groups;
    return 0;
}

/* ---------------------------------------------- PostgreSQL's binary COPY format */

static void put_i16(struct buf *out, int16_t value)
{
    uint16_t be = htobe16((uint16_t)value);
    buf_add(out, &be, sizeof(be));
}

static void put_i32(struct buf *out, int32_t value)
{
    uint32_t be = htobe32((uint32_t)value);
    buf_add(out, &be, sizeof(be));
}

static void put_i64(struct buf *out, int64_t value)
{
    uint64_t be = htobe64((uint64_t)value);
    buf_add(out, &be, sizeof(be));
}

static void put_bytes(struct buf *out, const void *data, size_t len)
{
    put_i32(out, (int32_t)len);
    buf_add(out, data, len);
}

static void put_jsonb(struct buf *out, const char *text, size_t len)
{
    put_i32(out, (int32_t)(len + 1));
    buf_putc(out, 1); /* jsonb_recv's version */
    buf_add(out, text, len);
}

static void put_timestamp(struct buf *out, int64_t unix_us)
{
    put_i32(out, 8);
    put_i64(out, unix_us - POSTGRES_EPOCH_US);
}

#define BATCH_TABLE                                                                                         \
    "CREATE TEMP TABLE itemloadd_batch (partition int4, id text, geometry geometry, datetime timestamptz, " \
    "end_datetime timestamptz, content jsonb, private jsonb) ON COMMIT DROP"
/* Enough for one write. */
enum { COPY_CHUNK = 64 * 1024 };

#define BATCH_COPY "COPY itemloadd_batch FROM STDIN (FORMAT binary)"

void batch_put_private(const struct pgstac_item *item, struct buf *ret)
{
    buf_putc(ret, '{');
    if (item->private && *item->private == '{')
        buf_add(ret, item->private + 1, strlen(item->private) - 2);
    else if (item->private)
        buf_printf(ret, "\"private\":%s", item->private);
    /* Of two equal keys the last one counts. */
    buf_printf(ret, "%s\"published_at\":%" PRId64 "}", item->private && strcmp(item->private, "{}") != 0 ? "," : "",
               item->published_at_ms);
}

/* `private`: room for its text. */
static void put_row(struct buf *out, int32_t partition, const struct batch_row *row, struct buf *private)
{
    const struct stac_item *item = &row->item->item;
    put_i16(out, 7);
    put_i32(out, 4);
    put_i32(out, partition);
    put_bytes(out, item->id, strlen(item->id));
    put_bytes(out, item->geometry.data, item->geometry.len);
    put_timestamp(out, item->datetime_us);
    put_timestamp(out, item->end_datetime_us);
    put_jsonb(out, row->item->content, row->item->content_len);
    buf_reset(private);
    batch_put_private(row->item, private);
    put_jsonb(out, buf_str(private), private->len);
}

/* Row by row, so that the server takes in the first ones while the last are written. */
static int copy_rows(struct pg *pg, const struct batch_row *rows, const struct batch_group *groups, size_t n_groups,
                     struct err *err)
{
    auto_buf struct buf data = BUF_INIT, private = BUF_INIT;
    int r = pg_run(pg, BATCH_TABLE "; " BATCH_COPY, err);
    static const char signature[] = "PGCOPY\n\377\r\n"; /* its NUL is a part of it */
    buf_add(&data, signature, sizeof(signature));
    put_i32(&data, 0);
    put_i32(&data, 0);
    for (size_t g = 0; g < n_groups; g++)
        for (size_t i = groups[g].first; r == 0 && i < groups[g].first + groups[g].n; i++) {
            if (rows[i].settled)
                continue;
            put_row(&data, (int32_t)g, &rows[i], &private);
            if (data.len >= COPY_CHUNK)
                r = pg_copy_send(pg, &data, err);
        }
    put_i16(&data, -1);
    if (r == 0)
        r = pg_copy_send(pg, &data, err);
    return r != 0 ? r : pg_copy_end(pg, err);
}

/* --------------------------------------------------------------- upserting */

/*
 * A newer row stays as it is; equal times: the last to arrive wins. What is the same is kept as it
 * is stored, so that an unchanged item rewrites nothing but `private` (its large values stay where they are). The rows
 * are read in the order in which COPY brought them, which is that of their ids.
 */
#define UPSERT_INTO " AS t (id, geometry, collection, datetime, end_datetime, content, private) SELECT id, geometry, "
#define UPSERT_FROM ", datetime, end_datetime, content, private FROM itemloadd_batch WHERE partition = "
#define UPSERT_SET                                                                                             \
    " ON CONFLICT (id) DO UPDATE SET "                                                                         \
    "geometry = CASE WHEN t.geometry = EXCLUDED.geometry THEN t.geometry ELSE EXCLUDED.geometry END, "         \
    "datetime = EXCLUDED.datetime, end_datetime = EXCLUDED.end_datetime, "                                     \
    "content = CASE WHEN t.content = EXCLUDED.content THEN t.content ELSE EXCLUDED.content END, "              \
    "private = CASE WHEN jsonb_typeof(t.private) = 'object' THEN t.private ELSE '{}' END || EXCLUDED.private " \
    "WHERE coalesce(" BATCH_PUBLISHED_AT " <= (EXCLUDED.private->>'published_at')::numeric, true) "            \
    "RETURNING id, xmax = 0; "

struct batch_row *batch_find(struct batch_row *rows, const struct batch_group *group, const char *id)
{
    size_t low = group->first, high = group->first + group->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(rows[middle].item->item.id, id);
        if (order == 0)
            return &rows[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void note_outcomes(struct batch_row *rows, const struct batch_group *group, const PGresult *returned,
                          bool *ret_updated)
{
    for (size_t i = group->first; i < group->first + group->n; i++)
        if (!rows[i].settled)
            rows[i].item->outcome = PGSTAC_STALE;
    for (int i = 0; i < PQntuples(returned); i++) {
        struct batch_row *row = batch_find(rows, group, PQgetvalue(returned, i, 0));
        bool inserted = *PQgetvalue(returned, i, 1) == 't';
        if (row)
            row->item->outcome = inserted ? PGSTAC_INSERTED : PGSTAC_UPDATED;
        *ret_updated |= !inserted;
    }
}

/* A statement per partition, all in one round trip. */
static int upsert_groups(struct pg *pg, struct batch_row *rows, const struct batch_group *groups, size_t n_groups,
                         bool *ret_updated, struct err *err)
{
    auto_buf struct buf sql = BUF_INIT;
    for (size_t g = 0; g < n_groups; g++) {
        buf_puts(&sql, "INSERT INTO ");
        pg_quote_identifier(groups[g].need.name, &sql);
        buf_puts(&sql, UPSERT_INTO);
        pg_quote_literal(groups[g].need.collection->id, &sql);
        buf_printf(&sql, UPSERT_FROM "%zu" UPSERT_SET, g);
    }
    auto_free PGresult **returned = calloc(n_groups, sizeof(PGresult *));
    if (!returned || buf_failed(&sql))
        return err_no_memory(err);
    int r = pg_exec_all(pg, buf_str(&sql), returned, n_groups, err);
    for (size_t g = 0; g < n_groups; g++) {
        if (r == 0)
            note_outcomes(rows, &groups[g], returned[g], ret_updated);
        PQclear(returned[g]);
    }
    return r;
}

int batch_clear_format_cache(struct pg *pg, const char *collection, const struct buf *ids, struct err *err)
{
    if (buf_failed(ids))
        return err_no_memory(err);
    const char *params[] = { collection, buf_str(ids) };
    return pg_exec(pg, "DELETE FROM format_item_cache WHERE collection = $1 AND id = ANY($2)", params, 2, NULL, err);
}

/* One statement for all partitions of a collection, whose groups lie beside each other. */
static int clear_format_cache(struct pg *pg, const struct batch_row *rows, const struct batch_group *groups,
                              size_t n_groups, struct err *err)
{
    for (size_t g = 0, next; g < n_groups; g = next) {
        const struct catalog_collection *collection = groups[g].need.collection;
        auto_buf struct buf ids = BUF_INIT;
        for (next = g; next < n_groups && groups[next].need.collection == collection; next++)
            for (size_t i = groups[next].first; i < groups[next].first + groups[next].n; i++)
                if (!rows[i].settled && rows[i].item->outcome == PGSTAC_UPDATED)
                    pg_array_add(&ids, rows[i].item->item.id);
        if (ids.len == 0)
            continue;
        pg_array_end(&ids);
        int r = batch_clear_format_cache(pg, collection->id, &ids, err);
        if (r != 0)
            return r;
    }
    return 0;
}

int batch_lock_collections(struct catalog *catalog, struct pg *pg, const struct batch_group *groups, size_t n_groups,
                           struct err *err)
{
    auto_free const char **ids = calloc(n_groups + 1, sizeof(*ids));
    if (!ids)
        return err_no_memory(err);
    for (size_t g = 0; g < n_groups; g++)
        ids[g] = groups[g].need.collection->id;
    return catalog_lock_collections(catalog, pg, ids, n_groups, err);
}

/* Before they are committed. Also those that were there already: it costs nothing. */
static void add_known(struct known_session *known, const struct batch_row *rows, const struct batch_group *groups,
                      size_t n_groups)
{
    known_will_add(known);
    for (size_t g = 0; g < n_groups; g++)
        for (size_t i = groups[g].first; i < groups[g].first + groups[g].n; i++)
            if (!rows[i].settled && groups[g].need.collection->trunc != TRUNC_NONE)
                known_add(known, groups[g].need.collection->id, groups[g].need.name, rows[i].item->item.id);
}

int batch_load(struct catalog *catalog, struct pg *pg, struct batch_row *rows, const struct batch_group *groups,
               size_t n_groups, struct err *err)
{
    bool updated = false;
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = batch_lock_collections(catalog, pg, groups, n_groups, err);
    if (r != 0)
        return r;
    r = copy_rows(pg, rows, groups, n_groups, err);
    if (r == 0)
        r = upsert_groups(pg, rows, groups, n_groups, &updated, err);
    if (r == 0 && updated)
        r = clear_format_cache(pg, rows, groups, n_groups, err);
    if (r == 0)
        add_known(catalog->known, rows, groups, n_groups);
    return r;
}
