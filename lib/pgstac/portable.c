#include "pgstac/portable.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pgstac/dehydrate.h"

/* The items that are there already, in whatever partition, and whether a newer version is. */
#define LOOK                                                                                             \
    "SELECT t.id, bool_or(coalesce(" BATCH_PUBLISHED_AT " > given.published_at, false)) "                \
    "FROM items AS t JOIN unnest($2::text[], $3::int8[]) AS given(id, published_at) ON given.id = t.id " \
    "WHERE t.collection = $1 GROUP BY t.id"

/*
 * What goes: all of an item that is replaced, and what an older crash left of a stale one beside its newest row.
 * Through `items`, whose triggers keep what else pgstac has of them.
 */
#define TWIN_PUBLISHED_AT \
    "CASE WHEN jsonb_typeof(n.private->'published_at') = 'number' THEN (n.private->>'published_at')::numeric END"
#define NEWER_TWIN                                                                                     \
    "SELECT FROM items AS n WHERE n.collection = $1 AND n.id = t.id AND n.tableoid <> t.tableoid AND " \
    "(" TWIN_PUBLISHED_AT ", n.tableoid) > (" BATCH_PUBLISHED_AT ", t.tableoid)"
#define REMOVE                                                                                                   \
    "DELETE FROM items AS t USING unnest($2::text[], $3::int8[]) AS given(id, published_at) "                    \
    "WHERE t.collection = $1 AND t.id = given.id AND "                                                           \
    "(coalesce(" BATCH_PUBLISHED_AT " <= given.published_at, true) OR EXISTS (" NEWER_TWIN ")) RETURNING t.id, " \
    "CASE WHEN jsonb_typeof(t.private) = 'object' THEN nullif(t.private - 'published_at', '{}') END::text"

/*
 * pgstac leaves private empty. And it believes a geometry's crs, which GeoJSON no longer has: one row of another SRID
 * ends every search by place. Straight in the partition, or its triggers would write the statistics once more.
 */
#define STAMP                                                                                                \
    " AS t SET private = given.private::jsonb, "                                                             \
    "geometry = CASE WHEN ST_SRID(t.geometry) = 4326 THEN t.geometry ELSE ST_SetSRID(t.geometry, 4326) END " \
    "FROM unnest($1::text[], $2::text[]) AS given(id, private) WHERE t.id = given.id RETURNING t.id"
#define INHERIT                                                         \
    "UPDATE items AS t SET private = kept.private::jsonb || t.private " \
    "FROM unnest($2::text[], $3::text[]) AS kept(id, private) WHERE t.collection = $1 AND t.id = kept.id"

/* Some rows, in the form of a statement's parameters. */
struct given {
    struct buf ids, times; /* text[] and int8[] */
    size_t n;
};

static void given_clear(struct given *given)
{
    buf_clear(&given->ids);
    buf_clear(&given->times);
}
#define auto_given cleanup(given_clear)

static bool is_wanted(const struct batch_row *row)
{
    return !row->settled && row->item->outcome != PGSTAC_STALE;
}

static void give(struct given *given, const struct batch_row *row)
{
    char time[32];
    snprintf(time, sizeof(time), "%" PRId64, row->item->published_at_ms);
    pg_array_add(&given->ids, row->item->item.id);
    pg_array_add(&given->times, time);
    given->n++;
}

static int given_end(struct given *given, struct err *err)
{
    pg_array_end(&given->ids);
    pg_array_end(&given->times);
    return buf_failed(&given->ids) || buf_failed(&given->times) ? err_no_memory(err) : 0;
}

/* The row behind the last of groups that lie beside each other. */
static size_t rows_end(const struct batch_group *groups, size_t n_groups)
{
    return groups[n_groups - 1].first + groups[n_groups - 1].n;
}

static struct batch_row *find_row(struct batch_row *rows, const struct batch_group *groups, size_t n_groups,
                                  const char *id)
{
    for (size_t g = 0; g < n_groups; g++) {
        struct batch_row *row = batch_find(rows, &groups[g], id);
        if (row && !row->settled)
            return row;
    }
    return NULL;
}

/* Tells each row's outcome, which only those before the load decide, and removes what is to be removed. */
static int make_room(struct pg *pg, struct batch_row *rows, const struct batch_group *groups, size_t n_groups,
                     PGresult **ret_removed, struct err *err)
{
    auto_given struct given given = { .n = 0 };
    for (size_t i = groups[0].first; i < rows_end(groups, n_groups); i++)
        if (!rows[i].settled) {
            rows[i].item->outcome = PGSTAC_INSERTED;
            give(&given, &rows[i]);
        }
    int r = given_end(&given, err);
    if (r != 0)
        return r;
    const char *params[] = { groups[0].need.collection->id, buf_str(&given.ids), buf_str(&given.times) };
    auto_pg_result PGresult *found = NULL;
    r = pg_exec(pg, LOOK, params, 3, &found, err);
    if (r != 0 || PQntuples(found) == 0)
        return r;
    for (int i = 0; i < PQntuples(found); i++) {
        struct batch_row *row = find_row(rows, groups, n_groups, PQgetvalue(found, i, 0));
        if (row)
            row->item->outcome = *PQgetvalue(found, i, 1) == 't' ? PGSTAC_STALE : PGSTAC_UPDATED;
    }
    return pg_exec(pg, REMOVE, params, 3, ret_removed, err);
}

/* Anywhere: what the mark would be compared with is known to pgstac only. */
static void refuse_reserved(struct batch_row *rows, const struct batch_group *groups, size_t n_groups)
{
    for (size_t i = groups[0].first; i < rows_end(groups, n_groups); i++) {
        struct pgstac_item *item = rows[i].item;
        if (rows[i].settled || !strstr(item->content, "\"" DEHYDRATE_MARKER "\""))
            continue;
        item->result =
            err_never(&item->err, "reserved_value",
                      "a value is \"" DEHYDRATE_MARKER "\", which pgstac reserves for keys that are not there");
        rows[i].settled = true;
    }
}

/* What one statement takes, so that large items do not make it long. */
enum { CREATE_BYTES = 1 << 20 };

/* Without the members that pgstac would leave in the content. They come into their column by STAMP. */
#define CREATE "SELECT create_items((SELECT jsonb_agg(item - 'private') FROM jsonb_array_elements($1::jsonb) AS item))"

static int create_some(struct pg *pg, struct buf *items, struct err *err)
{
    if (items->len == 0)
        return 0;
    buf_putc(items, ']');
    if (buf_failed(items))
        return err_no_memory(err);
    const char *params[] = { buf_str(items) };
    int r = pg_exec(pg, CREATE, params, 1, NULL, err);
    buf_reset(items);
    return r;
}

/* As JSON text: pgstac makes of it what its layout wants. The staging table does not empty itself in every version. */
static int create(struct pg *pg, const struct batch_row *rows, const struct batch_group *groups, size_t n_groups,
                  struct err *err)
{
    auto_buf struct buf items = BUF_INIT;
    int r = 0;
    for (size_t i = groups[0].first; r == 0 && i < rows_end(groups, n_groups); i++) {
        if (!is_wanted(&rows[i]))
            continue;
        buf_putc(&items, items.len ? ',' : '[');
        buf_add(&items, rows[i].item->text, rows[i].item->text_len);
        if (items.len >= CREATE_BYTES)
            r = create_some(pg, &items, err);
    }
    if (r == 0)
        r = create_some(pg, &items, err);
    return r != 0 ? r : pg_run(pg, "DELETE FROM items_staging", err);
}

static int not_stored(const struct batch_group *group, size_t missing, struct err *err)
{
    return err_later(err, "items_not_stored", "pgstac took %zu items for partition %s, and they are not there", missing,
                     group->need.name);
}

/* The time that the next version is compared with. It shows too that each row is where it should be. */
static int stamp(struct pg *pg, const struct batch_row *rows, const struct batch_group *group, struct err *err)
{
    auto_buf struct buf ids = BUF_INIT, privates = BUF_INIT, private = BUF_INIT;
    size_t given = 0;
    for (size_t i = group->first; i < group->first + group->n; i++) {
        if (!is_wanted(&rows[i]))
            continue;
        buf_reset(&private);
        batch_put_private(rows[i].item, &private);
        pg_array_add(&ids, rows[i].item->item.id);
        pg_array_add(&privates, buf_str(&private));
        given++;
    }
    if (given == 0)
        return 0;
    pg_array_end(&ids);
    pg_array_end(&privates);
    auto_buf struct buf sql = BUF_INIT;
    buf_puts(&sql, "UPDATE ");
    pg_quote_identifier(group->need.name, &sql);
    buf_puts(&sql, STAMP);
    if (buf_failed(&sql) || buf_failed(&ids) || buf_failed(&privates) || buf_failed(&private))
        return err_no_memory(err);
    const char *params[] = { buf_str(&ids), buf_str(&privates) };
    auto_pg_result PGresult *stamped = NULL;
    int r = pg_exec(pg, buf_str(&sql), params, 2, &stamped, err);
    if (r != 0)
        return r;
    size_t n = (size_t)PQntuples(stamped);
    return n == given ? 0 : not_stored(group, given - n, err);
}

/* What the operator kept beside published_at stays with the item. */
static int inherit(struct pg *pg, const char *collection, const PGresult *removed, struct err *err)
{
    auto_buf struct buf ids = BUF_INIT, kept = BUF_INIT;
    for (int i = 0; i < PQntuples(removed); i++)
        if (!PQgetisnull(removed, i, 1)) {
            pg_array_add(&ids, PQgetvalue(removed, i, 0));
            pg_array_add(&kept, PQgetvalue(removed, i, 1));
        }
    if (ids.len == 0)
        return 0;
    pg_array_end(&ids);
    pg_array_end(&kept);
    if (buf_failed(&ids) || buf_failed(&kept))
        return err_no_memory(err);
    const char *params[] = { collection, buf_str(&ids), buf_str(&kept) };
    return pg_exec(pg, INHERIT, params, 3, NULL, err);
}

/* The groups of one collection. */
static int load_collection(struct pg *pg, struct batch_row *rows, const struct batch_group *groups, size_t n_groups,
                           struct err *err)
{
    auto_pg_result PGresult *removed = NULL;
    refuse_reserved(rows, groups, n_groups);
    int r = make_room(pg, rows, groups, n_groups, &removed, err);
    if (r == 0)
        r = create(pg, rows, groups, n_groups, err);
    for (size_t g = 0; r == 0 && g < n_groups; g++)
        r = stamp(pg, rows, &groups[g], err);
    return r != 0 || !removed ? r : inherit(pg, groups[0].need.collection->id, removed, err);
}

int portable_load(struct catalog *catalog, struct pg *pg, struct batch_row *rows, const struct batch_group *groups,
                  size_t n_groups, struct err *err)
{
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = partition_lock(pg, err);
    if (r == 0) /* an item of a collection that is gone would be dropped without a word */
        r = batch_lock_collections(catalog, pg, groups, n_groups, err);
    if (r != 0)
        return r;
    for (size_t first = 0, end; r == 0 && first < n_groups; first = end) {
        const struct catalog_collection *collection = groups[first].need.collection;
        for (end = first + 1; end < n_groups && groups[end].need.collection == collection; end++)
            ;
        r = load_collection(pg, rows, groups + first, end - first, err);
    }
    return r;
}
