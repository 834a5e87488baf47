#include "pgstac/schema.h"

#include <stdlib.h>
#include <string.h>

/*
 * One row: what is in the way of the fast path, what of the portable one, and what else there is. Where the catalog
 * keeps versions of base items, an item has to name its version: without the function that says which one is current,
 * only pgstac itself can.
 */
#define COLUMNS                                                                                                   \
    "col AS (SELECT attrelid AS of, attname AS name FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND " \
    "attrelid IN (to_regclass('pgstac.items'), to_regclass('pgstac.collections')))"
#define ITEMS_HAVE "(SELECT count(*) FROM col WHERE of = to_regclass('pgstac.items') AND name IN "
#define COLLECTIONS_HAVE "(SELECT count(*) FROM col WHERE of = to_regclass('pgstac.collections') AND name IN "
#define LOOK_AT_SCHEMA                                                                                                 \
    "WITH " COLUMNS ", needed(by_fast, by_portable, what, met) AS (VALUES "                                            \
    "(true, true, 'lacks extension postgis', EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'postgis')), "         \
    "(true, false, 'lacks table pgstac.items with its seven columns', 7 = " ITEMS_HAVE                                 \
    "('id', 'geometry', 'collection', 'datetime', 'end_datetime', 'content', 'private'))), "                           \
    "(false, true, 'lacks table pgstac.items with id, collection, geometry and private', 4 = " ITEMS_HAVE              \
    "('id', 'collection', 'geometry', 'private'))), "                                                                  \
    "(true, false, 'lacks column base_item of table pgstac.collections', 1 = " COLLECTIONS_HAVE "('base_item'))), "    \
    "(true, true, 'lacks table pgstac.collections with key and partition_trunc', 2 = " COLLECTIONS_HAVE                \
    "('key', 'partition_trunc'))), "                                                                                   \
    "(true, true, 'lacks view pgstac.partition_sys_meta', to_regclass('pgstac.partition_sys_meta') IS NOT NULL), "     \
    "(true, true, 'lacks function pgstac.check_partition(text, tstzrange, tstzrange)', "                               \
    "to_regprocedure('pgstac.check_partition(text,tstzrange,tstzrange)') IS NOT NULL), "                               \
    "(false, true, 'lacks function pgstac.create_items(jsonb) and its table pgstac.items_staging', "                   \
    "to_regprocedure('pgstac.create_items(jsonb)') IS NOT NULL AND to_regclass('pgstac.items_staging') IS NOT NULL), " \
    "(true, false, 'keeps versions of base_item in table pgstac.base_items without current_base_item(text)', "         \
    "to_regclass('pgstac.base_items') IS NULL OR " SCHEMA_HAS_BASE_ITEMS ")) "                                         \
    "SELECT coalesce(string_agg(what, ', ') FILTER (WHERE by_fast AND NOT met), ''), "                                 \
    "coalesce(string_agg(what, ', ') FILTER (WHERE by_portable AND NOT met), ''), "                                    \
    "to_regprocedure('pgstac.get_version()') IS NOT NULL, " SCHEMA_HAS_BASE_ITEMS ", "                                 \
    "to_regclass('pgstac.item_fragments') IS NOT NULL FROM needed"
enum { NOT_FAST, NOT_PORTABLE, HAS_VERSION, HAS_BASE_ITEMS, HAS_FRAGMENTS }; /* its columns */

void schema_clear(struct schema *schema)
{
    free(schema->version);
    free(schema->not_fast);
    free(schema->not_portable);
    *schema = (struct schema){ .version = NULL };
}

int schema_read(struct pg *pg, struct schema *ret, struct err *err)
{
    auto_pg_result PGresult *layout = NULL;
    auto_pg_result PGresult *version = NULL;
    int r = pg_exec(pg, LOOK_AT_SCHEMA, NULL, 0, &layout, err);
    if (r == 0 && *PQgetvalue(layout, 0, HAS_VERSION) == 't')
        r = pg_exec(pg, "SELECT pgstac.get_version()", NULL, 0, &version, err);
    if (r != 0)
        return r;
    schema_clear(ret);
    ret->version = strdup(version ? PQgetvalue(version, 0, 0) : "none");
    ret->not_fast = strdup(PQgetvalue(layout, 0, NOT_FAST));
    ret->not_portable = strdup(PQgetvalue(layout, 0, NOT_PORTABLE));
    ret->has_base_items = *PQgetvalue(layout, 0, HAS_BASE_ITEMS) == 't';
    ret->has_fragments = *PQgetvalue(layout, 0, HAS_FRAGMENTS) == 't';
    return ret->version && ret->not_fast && ret->not_portable ? 0 : err_no_memory(err);
}
