#include "pgstac/catalog.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/time.h"

/* One lock for the database ("pgstacpt"): a lock per collection deadlocks on pgstac's shared objects. */
#define PARTITION_LOCK "SELECT pg_advisory_xact_lock(8099569398536433780)"

/* While check_partition waits for a reader, every later reader waits behind it: do not wait long. */
#define PARTITION_LOCK_TIMEOUT "SET LOCAL lock_timeout TO '5s'"

enum { REMEMBERED_MAX = 10000 };

/* ------------------------------------------------------------- collections */

static void collection_free(struct catalog_collection *collection)
{
    if (!collection)
        return;
    free(collection->id);
    free(collection->version);
    cJSON_Delete(collection->base_item);
    free(collection);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void forget_collections(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->n_collections; i++)
        collection_free(catalog->collections[i]);
    catalog->n_collections = 0;
}

void catalog_trim(struct catalog *catalog)
{
    if (catalog->n_collections > REMEMBERED_MAX)
        forget_collections(catalog);
    if (catalog->n_partitions > REMEMBERED_MAX)
        catalog->n_partitions = 0;
}

void catalog_clear(struct catalog *catalog)
{
    forget_collections(catalog);
    free(catalog->collections);
    free(catalog->partitions);
    *catalog = (struct catalog){ .statement_timeout_ms = catalog->statement_timeout_ms };
}

static struct catalog_collection **find_collection(const struct catalog *catalog, const char *id)
{
    for (size_t i = 0; i < catalog->n_collections; i++)
        if (strcmp(catalog->collections[i]->id, id) == 0)
            return &catalog->collections[i];
    return NULL;
}

const struct catalog_collection *catalog_collection(const struct catalog *catalog, const char *id)
{
    struct catalog_collection **found = find_collection(catalog, id);
    return found && (*found)->is_known ? *found : NULL;
}

/* Takes the collection over. */
static int remember_collection(struct catalog *catalog, struct catalog_collection *collection, struct err *err)
{
    struct catalog_collection **place = find_collection(catalog, collection->id);
    if (place) {
        struct catalog_collection old = **place;
        collection->generation = old.generation + !same_text(old.version, collection->version);
        **place = *collection;
        *collection = old;
        collection_free(collection);
        return 0;
    }
    if (catalog->n_collections == catalog->cap_collections) {
        size_t cap = catalog->cap_collections ? catalog->cap_collections * 2 : 16;
        struct catalog_collection **grown =
            reallocarray(catalog->collections, cap, sizeof(struct catalog_collection *));
        if (!grown) {
            collection_free(collection);
            return err_no_memory(err);
        }
        catalog->collections = grown;
        catalog->cap_collections = cap;
    }
    catalog->collections[catalog->n_collections++] = collection;
    return 0;
}

static enum catalog_trunc trunc_from(const char *text)
{
    if (strcmp(text, "year") == 0)
        return TRUNC_YEAR;
    return strcmp(text, "month") == 0 ? TRUNC_MONTH : TRUNC_NONE;
}

/* `row` < 0: the database has none of this id. */
static int collection_from_row(const PGresult *rows, int row, const char *id, struct catalog_collection **ret,
                               struct err *err)
{
    struct catalog_collection *collection = calloc(1, sizeof(*collection));
    if (!collection)
        return err_no_memory(err);
    collection->id = strdup(id);
    int r = collection->id ? 0 : err_no_memory(err);
    if (r == 0 && row >= 0) {
        const char *base_item = PQgetvalue(rows, row, 1);
        collection->is_known = true;
        collection->trunc = trunc_from(PQgetvalue(rows, row, 3));
        collection->version = strdup(PQgetvalue(rows, row, 4));
        if (!collection->version)
            r = err_no_memory(err);
        if (r == 0)
            r = num_parse_i64(PQgetvalue(rows, row, 2), 0, INT64_MAX, &collection->key, err);
        if (r == 0)
            r = json_parse(base_item, strlen(base_item), &collection->base_item, err);
        if (r == NEVER) {
            err_prefix(err, "the base_item of collection \"%.200s\"", id);
            r = LATER;
            err->outage = true;
        }
    }
    if (r != 0) {
        collection_free(collection);
        return r;
    }
    *ret = collection;
    return 0;
}

static int row_of(const PGresult *rows, const char *id)
{
    for (int row = 0; row < PQntuples(rows); row++)
        if (strcmp(PQgetvalue(rows, row, 0), id) == 0)
            return row;
    return -1;
}

#define COLLECTION_VERSION "md5(concat_ws('/', base_item::text, key, partition_trunc))"

int catalog_read_collections(struct catalog *catalog, struct pg *pg, const char *const *ids, size_t n, bool again,
                             struct err *err)
{
    auto_buf struct buf wanted = BUF_INIT;
    const char *last = NULL;
    for (size_t i = 0; i < n; i++) {
        if (last && strcmp(last, ids[i]) == 0)
            continue;
        last = ids[i];
        /* One that was missing may have come. */
        if (again || !catalog_collection(catalog, ids[i]))
            pg_array_add(&wanted, ids[i]);
    }
    if (wanted.len == 0)
        return 0;
    pg_array_end(&wanted);
    if (buf_failed(&wanted))
        return err_no_memory(err);
    auto_pg_result PGresult *rows = NULL;
    const char *params[] = { buf_str(&wanted) };
    int r = pg_exec(pg,
                    "SELECT id, base_item::text, key, coalesce(partition_trunc, ''), " COLLECTION_VERSION
                    " FROM pgstac.collections WHERE id = ANY($1)",
                    params, 1, &rows, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (i > 0 && strcmp(ids[i - 1], ids[i]) == 0)
            continue;
        if (!again && catalog_collection(catalog, ids[i]))
            continue;
        struct catalog_collection *collection = NULL;
        r = collection_from_row(rows, row_of(rows, ids[i]), ids[i], &collection, err);
        if (r == 0)
            r = remember_collection(catalog, collection, err);
    }
    return r;
}

int catalog_lock_collections(struct catalog *catalog, struct pg *pg, const char *const *ids, size_t n, bool *ret_same,
                             struct err *err)
{
    auto_buf struct buf wanted = BUF_INIT;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(ids[i - 1], ids[i]) != 0)
            pg_array_add(&wanted, ids[i]);
    pg_array_end(&wanted);
    if (buf_failed(&wanted))
        return err_no_memory(err);
    auto_pg_result PGresult *rows = NULL;
    const char *params[] = { buf_str(&wanted) };
    int r = pg_exec(
        pg, "SELECT id, " COLLECTION_VERSION " FROM pgstac.collections WHERE id = ANY($1) ORDER BY id FOR SHARE",
        params, 1, &rows, err);
    if (r != 0)
        return r;
    *ret_same = true;
    for (size_t i = 0; i < n; i++) {
        const struct catalog_collection *collection = catalog_collection(catalog, ids[i]);
        int row = row_of(rows, ids[i]);
        if (!collection || row < 0 || strcmp(PQgetvalue(rows, row, 1), collection->version) != 0)
            *ret_same = false;
    }
    return 0;
}

/* -------------------------------------------------------------- partitions */

void catalog_partition_name(const struct catalog_collection *collection, int64_t datetime_us, char ret[80])
{
    int year = 0, month = 0;
    time_year_month(datetime_us, &year, &month);
    int len = snprintf(ret, 80, "_items_%" PRId64, collection->key);
    if (collection->trunc == TRUNC_YEAR)
        snprintf(ret + len, 80 - (size_t)len, "_%04d", year);
    else if (collection->trunc == TRUNC_MONTH)
        snprintf(ret + len, 80 - (size_t)len, "_%04d%02d", year, month);
}

/* The whole months or years around a need. Years are whole for a collection of one partition: new data comes every day.
 */
static struct catalog_need widened(const struct catalog_need *need)
{
    struct catalog_need wide = *need;
    int year = 0, month = 0, last_year = 0, last_month = 0;
    time_year_month(need->datetime.min_us, &year, &month);
    time_year_month(need->datetime.max_us, &last_year, &last_month);
    bool months = need->collection->trunc == TRUNC_MONTH;
    wide.datetime.min_us = time_of_date(year, months ? month : 1, 1);
    wide.datetime.max_us =
        (months && last_month < 12 ? time_of_date(last_year, last_month + 1, 1) : time_of_date(last_year + 1, 1, 1)) -
        1;
    wide.end_datetime = wide.datetime;
    time_year_month(need->end_datetime.max_us, &last_year, &last_month);
    if (need->end_datetime.max_us > wide.datetime.max_us)
        wide.end_datetime.max_us = time_of_date(last_year + 1, 1, 1) - 1;
    return wide;
}

static struct catalog_partition *find_partition(const struct catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->n_partitions; i++)
        if (strcmp(catalog->partitions[i].name, name) == 0)
            return &catalog->partitions[i];
    return NULL;
}

static struct catalog_partition *remember_partition(struct catalog *catalog, const char *name)
{
    struct catalog_partition *known = find_partition(catalog, name);
    if (known)
        return known;
    if (catalog->n_partitions == catalog->cap_partitions) {
        size_t cap = catalog->cap_partitions ? catalog->cap_partitions * 2 : 64;
        struct catalog_partition *grown = reallocarray(catalog->partitions, cap, sizeof(*grown));
        if (!grown)
            return NULL;
        catalog->partitions = grown;
        catalog->cap_partitions = cap;
    }
    struct catalog_partition *partition = &catalog->partitions[catalog->n_partitions++];
    *partition = (struct catalog_partition){ .exists = false };
    snprintf(partition->name, sizeof(partition->name), "%s", name);
    return partition;
}

static bool contains(struct catalog_range outer, struct catalog_range inner)
{
    return outer.min_us <= inner.min_us && inner.max_us <= outer.max_us;
}

static bool is_met(const struct catalog *catalog, const struct catalog_need *need)
{
    const struct catalog_partition *partition = find_partition(catalog, need->name);
    return partition && partition->exists && contains(partition->datetime, need->datetime) &&
           contains(partition->end_datetime, need->end_datetime);
}

static int64_t bound_from(const PGresult *rows, int row, int column, int64_t unbounded)
{
    int64_t value = unbounded;
    if (!PQgetisnull(rows, row, column) &&
        num_parse_i64(PQgetvalue(rows, row, column), INT64_MIN, INT64_MAX, &value, NULL) != 0)
        value = unbounded;
    return value;
}

#define MICROSECONDS(expression) \
    "(extract(epoch FROM nullif(nullif(" expression ", '-infinity'), 'infinity')) * 1000000)::bigint"

#define PARTITION_BOUNDS                                                                                             \
    "SELECT partition"                                                                                               \
    ", " MICROSECONDS("lower(constraint_dtrange)") ", " MICROSECONDS("upper(constraint_dtrange)") ", " MICROSECONDS( \
        "lower(constraint_edtrange)") ", " MICROSECONDS("upper(constraint_edtrange)") " FROM partition_sys_meta "    \
                                                                                      "WHERE partition = ANY($1)"

/* Reads what the catalog says of the needs' partitions; those that it does not have are remembered as not there. */
static int look_up_partitions(struct catalog *catalog, struct pg *pg, const struct catalog_need *needs, size_t n,
                              struct err *err)
{
    auto_buf struct buf names = BUF_INIT;
    for (size_t i = 0; i < n; i++)
        pg_array_add(&names, needs[i].name);
    pg_array_end(&names);
    if (buf_failed(&names))
        return err_no_memory(err);
    auto_pg_result PGresult *rows = NULL;
    const char *params[] = { buf_str(&names) };
    int r = pg_exec(pg, PARTITION_BOUNDS, params, 1, &rows, err);
    if (r != 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        struct catalog_partition *partition = remember_partition(catalog, needs[i].name);
        if (!partition)
            return err_no_memory(err);
        int row = row_of(rows, needs[i].name);
        partition->exists = row >= 0;
        if (row < 0)
            continue;
        partition->datetime.min_us = bound_from(rows, row, 1, INT64_MIN);
        partition->datetime.max_us = bound_from(rows, row, 2, INT64_MAX);
        partition->end_datetime.min_us = bound_from(rows, row, 3, INT64_MIN);
        partition->end_datetime.max_us = bound_from(rows, row, 4, INT64_MAX);
    }
    return 0;
}

static int check_partition(struct pg *pg, const struct catalog_need *need, struct err *err)
{
    struct catalog_need wide = widened(need);
    char times[4][TIME_TEXT_SIZE];
    time_format_rfc3339_us(wide.datetime.min_us, times[0]);
    time_format_rfc3339_us(wide.datetime.max_us, times[1]);
    time_format_rfc3339_us(wide.end_datetime.min_us, times[2]);
    time_format_rfc3339_us(wide.end_datetime.max_us, times[3]);
    const char *params[] = { need->collection->id, times[0], times[1], times[2], times[3] };
    return pg_exec(pg, "SELECT check_partition($1, tstzrange($2, $3, '[]'), tstzrange($4, $5, '[]'))", params, 5, NULL,
                   err);
}

static int make_partitions(struct catalog *catalog, struct pg *pg, const struct catalog_need *needs, size_t n,
                           bool force, struct err *err)
{
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = pg_run(pg, PARTITION_LOCK_TIMEOUT "; " PARTITION_LOCK, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (force || !is_met(catalog, &needs[i]))
            r = check_partition(pg, &needs[i], err);
    if (r == 0)
        r = look_up_partitions(catalog, pg, needs, n, err);
    if (r == 0)
        r = pg_run(pg, "COMMIT", err);
    if (r != 0)
        pg_rollback(pg);
    return r;
}

static size_t count_unmet(const struct catalog *catalog, const struct catalog_need *needs, size_t n)
{
    size_t unmet = 0;
    for (size_t i = 0; i < n; i++)
        unmet += !is_met(catalog, &needs[i]);
    return unmet;
}

int catalog_ensure_partitions(struct catalog *catalog, struct pg *pg, const struct catalog_need *needs, size_t n,
                              bool force, struct err *err)
{
    if (!force && count_unmet(catalog, needs, n) == 0)
        return 0;
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = look_up_partitions(catalog, pg, needs, n, err);
    if (r == 0)
        r = pg_run(pg, "COMMIT", err);
    if (r != 0) {
        pg_rollback(pg);
        return r;
    }
    if (!force && count_unmet(catalog, needs, n) == 0)
        return 0;
    r = make_partitions(catalog, pg, needs, n, force, err);
    if (r != 0)
        return r;
    for (size_t i = 0; i < n; i++)
        if (!is_met(catalog, &needs[i]))
            return err_later(err, "partition_unavailable",
                             "pgstac did not make or widen partition %s of collection \"%.200s\"", needs[i].name,
                             needs[i].collection->id);
    return 0;
}

/* -------------------------------------------------------------- statistics */

void catalog_mark_statistics(struct catalog *catalog, const char *name)
{
    struct catalog_partition *partition = find_partition(catalog, name);
    if (partition)
        partition->statistics_due = true;
}

/* `istrigger` true: the other form rebuilds the constraint under ACCESS EXCLUSIVE and ends readers in deadlocks. */
static int update_statistics(const struct catalog *catalog, struct pg *pg, const char *name, struct err *err)
{
    const char *params[] = { name };
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = pg_run(pg, PARTITION_LOCK, err);
    if (r == 0)
        r = pg_exec(pg, "SELECT update_partition_stats($1, true) WHERE to_regclass(quote_ident($1)) IS NOT NULL",
                    params, 1, NULL, err);
    if (r == 0)
        r = pg_run(pg, "COMMIT", err);
    if (r != 0)
        pg_rollback(pg);
    return r;
}

int catalog_update_statistics(struct catalog *catalog, struct pg *pg, int interval_ms, struct err *err)
{
    for (size_t i = 0; i < catalog->n_partitions; i++) {
        struct catalog_partition *partition = &catalog->partitions[i];
        int64_t now_ms = time_mono_ms();
        if (!partition->statistics_due ||
            (partition->statistics_at_ms && now_ms - partition->statistics_at_ms < interval_ms))
            continue;
        int r = update_statistics(catalog, pg, partition->name, err);
        if (r != 0)
            return r;
        partition->statistics_due = false;
        partition->statistics_at_ms = now_ms;
    }
    return 0;
}

int catalog_begin(const struct catalog *catalog, struct pg *pg, struct err *err)
{
    char sql[200];
    snprintf(sql, sizeof(sql),
             "BEGIN; SET LOCAL search_path TO pgstac, public; SET LOCAL timezone TO 'UTC'; SET LOCAL statement_timeout "
             "TO %d",
             catalog->statement_timeout_ms);
    return pg_run(pg, sql, err);
}
