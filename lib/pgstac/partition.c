#include "pgstac/partition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/time.h"

/*
 * While check_partition waits for a reader, every later reader waits behind it: do not wait long. Set when the lock is
 * held already: for that one, others may have to make many partitions first.
 */
#define LOCK_TIMEOUT "SET LOCAL lock_timeout TO '5s'"

/*
 * Making a partition takes this lock anyway (`items` has a foreign key), but late: it would then wait, with the
 * partition locked, for a session that changes a collection and itself waits for a loader of that partition. While it
 * is held nobody partitions a collection again: check_partition could see the old partition_trunc and make a partition
 * by it.
 */
#define COLLECTIONS_LOCK "LOCK TABLE collections IN SHARE ROW EXCLUSIVE MODE"

enum { REMEMBERED_MAX = 10000 };

static const int64_t DAY_US = INT64_C(86400) * 1000000;

void partitions_clear(struct partitions *partitions)
{
    free(partitions->entries);
    *partitions = (struct partitions){ .entries = NULL };
}

void partitions_distrust(struct partitions *partitions)
{
    partitions->n = 0;
    partitions->distrusted = true;
}

void partitions_trim(struct partitions *partitions)
{
    if (partitions->n > REMEMBERED_MAX)
        partitions->n = 0;
}

/* ---------------------------------------------------------------- finding */

/* The first entry whose collection and bounds end at this time or behind it. */
static size_t first_from(const struct partitions *partitions, int64_t key, int64_t us)
{
    size_t low = 0, high = partitions->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct partition *at = &partitions->entries[middle];
        if (at->key < key || (at->key == key && at->bounds.max_us < us))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct partition *entry_of(const struct partitions *partitions, size_t i,
                                        const struct catalog_collection *collection)
{
    const struct partition *entry = i < partitions->n ? &partitions->entries[i] : NULL;
    return entry && entry->key == collection->key && entry->generation == collection->generation ? entry : NULL;
}

const struct partition *partition_find(const struct partitions *partitions, const struct catalog_collection *collection,
                                       int64_t datetime_us)
{
    const struct partition *entry =
        entry_of(partitions, first_from(partitions, collection->key, datetime_us), collection);
    return entry && entry->bounds.min_us <= datetime_us ? entry : NULL;
}

/* The month or year around a time, where days begin `offset_us` before UTC's. */
static struct partition_range period(enum catalog_trunc trunc, int64_t us, int64_t offset_us)
{
    int year = 0, month = 0;
    time_year_month(us + offset_us, &year, &month);
    bool months = trunc == TRUNC_MONTH;
    int64_t first = time_of_date(year, months ? month : 1, 1);
    int64_t next = months && month < 12 ? time_of_date(year, month + 1, 1) : time_of_date(year + 1, 1, 1);
    return (struct partition_range){ first - offset_us, next - offset_us - 1 };
}

/* How far local time is ahead of UTC in the zone in which a month begins at this instant; 0: in none. */
static int64_t offset_of_month_start(int64_t us)
{
    struct partition_range month = period(TRUNC_MONTH, us, 0);
    int64_t behind_us = us - month.min_us, ahead_us = month.max_us + 1 - us;
    if (behind_us < DAY_US)
        return -behind_us;
    return ahead_us < DAY_US ? ahead_us : 0;
}

static bool is_unbounded(struct partition_range bounds)
{
    return bounds.min_us == INT64_MIN || bounds.max_us == INT64_MAX;
}

/*
 * The bounds of a partition that is not there yet. It reaches to those beside it, where summer time may have begun or
 * ended in between: no hour is to be in both, or in none.
 */
static struct partition_range gap_around(const struct partitions *partitions,
                                         const struct catalog_collection *collection, int64_t us)
{
    size_t i = first_from(partitions, collection->key, us);
    const struct partition *before = i > 0 ? entry_of(partitions, i - 1, collection) : NULL;
    const struct partition *behind = entry_of(partitions, i, collection);
    int64_t offset_us = 0;
    if (before && !is_unbounded(before->bounds))
        offset_us = offset_of_month_start(before->bounds.max_us + 1);
    else if (behind && !is_unbounded(behind->bounds))
        offset_us = offset_of_month_start(behind->bounds.min_us);
    struct partition_range gap = period(collection->trunc, us, offset_us);
    if (before && before->bounds.max_us > gap.min_us - DAY_US)
        gap.min_us = before->bounds.max_us + 1;
    if (behind && behind->bounds.min_us < gap.max_us + DAY_US)
        gap.max_us = behind->bounds.min_us - 1;
    return gap;
}

struct partition_range partition_bounds(const struct partitions *partitions,
                                        const struct catalog_collection *collection, int64_t datetime_us)
{
    if (collection->trunc == TRUNC_NONE)
        return (struct partition_range){ INT64_MIN, INT64_MAX };
    const struct partition *known = partition_find(partitions, collection, datetime_us);
    return known ? known->bounds : gap_around(partitions, collection, datetime_us);
}

/* How far local time is ahead of UTC where a partition begins, and where it ends. */
struct zone {
    int64_t first_us, last_us;
};

static struct zone zone_of(const struct catalog_collection *collection, struct partition_range bounds)
{
    if (is_unbounded(bounds)) /* one partition, or repartitioning did not reach it */
        return (struct zone){ 0, 0 };
    struct zone zone = { offset_of_month_start(bounds.min_us), offset_of_month_start(bounds.max_us + 1) };
    if (collection->trunc != TRUNC_MONTH) /* no time zone has a year like that */
        zone.last_us = zone.first_us;
    return zone;
}

static bool contains(struct partition_range outer, struct partition_range inner)
{
    return outer.min_us <= inner.min_us && inner.max_us <= outer.max_us;
}

/* Whether the rows have a partition that lets them in. Its name goes to the need. */
static bool is_met(const struct partitions *partitions, struct partition_need *need)
{
    const struct partition *partition = partition_find(partitions, need->collection, need->datetime.min_us);
    if (!partition || !contains(partition->bounds, need->datetime) || !contains(partition->datetime, need->datetime) ||
        !contains(partition->end_datetime, need->end_datetime))
        return false;
    snprintf(need->name, sizeof(need->name), "%s", partition->name);
    return true;
}

/* ---------------------------------------------------------------- reading */

/* NULL: unbounded. The upper bound of a partition is not within it, that of a CHECK constraint is. */
#define US(bound) "CASE WHEN isfinite(" bound ") THEN (extract(epoch FROM " bound ") * 1000000)::bigint END, "
#define TIME_OF(us) "timestamptz 'epoch' + " us "::int8 * interval '1 microsecond'"

/* The tree of partitions comes first: pgstac's view looks at every partition of the database, which takes longer. */
#define LEAVES                                                                                             \
    "SELECT c.relname::text FROM pg_partition_tree(to_regclass($1)) t JOIN pg_class c ON c.oid = t.relid " \
    "WHERE t.isleaf AND coalesce(constraint_tstzrange(pg_get_expr(c.relpartbound, c.oid)), "               \
    "tstzrange(NULL, NULL)) && tstzrange(" TIME_OF("$2") ", " TIME_OF("$3") ", '[]')"
#define READ                                                                                                \
    "SELECT " US("lower(partition_dtrange)") US("upper(partition_dtrange)") US("lower(constraint_dtrange)") \
        US("upper(constraint_dtrange)") US("lower(constraint_edtrange)")                                    \
            US("upper(constraint_edtrange)") "partition FROM partition_sys_meta "                           \
                                             "WHERE partition = ANY(ARRAY(" LEAVES ")) ORDER BY 1 NULLS FIRST"
enum { AT_MIN, AT_MAX, AT_DATETIME_MIN, AT_DATETIME_MAX, AT_END_MIN, AT_END_MAX, AT_NAME }; /* its columns */

static int64_t bound(const PGresult *rows, int row, int column, int64_t unbounded)
{
    int64_t value = unbounded;
    if (!PQgetisnull(rows, row, column) &&
        num_parse_i64(PQgetvalue(rows, row, column), INT64_MIN, INT64_MAX, &value, NULL) != 0)
        value = unbounded;
    return value;
}

static struct partition entry_from(const PGresult *rows, int row, const struct catalog_collection *collection)
{
    struct partition entry = {
        .key = collection->key,
        .generation = collection->generation,
        .bounds = { bound(rows, row, AT_MIN, INT64_MIN), bound(rows, row, AT_MAX, INT64_MAX) },
        .datetime = { bound(rows, row, AT_DATETIME_MIN, INT64_MIN), bound(rows, row, AT_DATETIME_MAX, INT64_MAX) },
        .end_datetime = { bound(rows, row, AT_END_MIN, INT64_MIN), bound(rows, row, AT_END_MAX, INT64_MAX) },
    };
    if (entry.bounds.max_us != INT64_MAX)
        entry.bounds.max_us--;
    snprintf(entry.name, sizeof(entry.name), "%s", PQgetvalue(rows, row, AT_NAME));
    return entry;
}

/* Those of an older state of the collection: their bounds may overlap today's. */
static void forget_stale(struct partitions *partitions, const struct catalog_collection *collection)
{
    size_t kept = 0;
    for (size_t i = 0; i < partitions->n; i++) {
        const struct partition *entry = &partitions->entries[i];
        if (entry->key != collection->key || entry->generation == collection->generation)
            partitions->entries[kept++] = *entry;
    }
    partitions->n = kept;
}

/* Replaces what is remembered of the collection for these times by the rows, which are in order. */
static int remember(struct partitions *partitions, const struct catalog_collection *collection,
                    struct partition_range times, const PGresult *rows, struct err *err)
{
    forget_stale(partitions, collection);
    size_t first = first_from(partitions, collection->key, times.min_us), end = first, added = (size_t)PQntuples(rows);
    while (end < partitions->n && partitions->entries[end].key == collection->key &&
           partitions->entries[end].bounds.min_us <= times.max_us)
        end++;
    size_t n = partitions->n - (end - first) + added;
    if (n > partitions->cap) {
        size_t cap = n * 2;
        struct partition *grown = reallocarray(partitions->entries, cap, sizeof(*grown));
        if (!grown)
            return err_no_memory(err);
        partitions->entries = grown;
        partitions->cap = cap;
    }
    if (partitions->n > end)
        memmove(&partitions->entries[first + added], &partitions->entries[end],
                (partitions->n - end) * sizeof(*partitions->entries));
    for (size_t i = 0; i < added; i++)
        partitions->entries[first + i] = entry_from(rows, (int)i, collection);
    partitions->n = n;
    return 0;
}

/* Within a transaction. Times beside those that are asked for, so that their neighbours show in which zone they are. */
static int read_around(struct partitions *partitions, struct pg *pg, const struct catalog_collection *collection,
                       struct partition_range datetime, struct err *err)
{
    int64_t beside_us = (collection->trunc == TRUNC_MONTH ? 32 : 367) * DAY_US;
    struct partition_range times = { datetime.min_us - beside_us, datetime.max_us + beside_us };
    char parent[PARTITION_NAME_SIZE], min[32], max[32];
    snprintf(parent, sizeof(parent), "_items_%" PRId64, collection->key); /* in every version of pgstac */
    snprintf(min, sizeof(min), "%" PRId64, times.min_us);
    snprintf(max, sizeof(max), "%" PRId64, times.max_us);
    auto_pg_result PGresult *rows = NULL;
    const char *params[] = { parent, min, max };
    int r = pg_exec(pg, READ, params, 3, &rows, err);
    return r != 0 ? r : remember(partitions, collection, times, rows, err);
}

int partition_read(struct partitions *partitions, const struct catalog *catalog, struct pg *pg,
                   const struct catalog_collection *collection, struct partition_range datetime, struct err *err)
{
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = read_around(partitions, pg, collection, datetime, err);
    if (r == 0)
        r = pg_run(pg, "COMMIT", err);
    if (r != 0)
        pg_rollback(pg);
    return r;
}

/* ----------------------------------------------------------------- making */

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/*
 * The times to ask for: as much of the partition as pgstac lets one ask for, which is a month or year of UTC (0.10) or
 * of the session's time zone (before). Years are whole for a collection of one partition: new data comes every day.
 */
static struct partition_need widened(const struct partitions *partitions, const struct partition_need *need)
{
    struct partition_need wide = *need;
    const struct catalog_collection *collection = need->collection;
    if (collection->trunc == TRUNC_NONE) {
        wide.datetime.min_us = period(TRUNC_YEAR, need->datetime.min_us, 0).min_us;
        wide.datetime.max_us = period(TRUNC_YEAR, need->datetime.max_us, 0).max_us;
    } else {
        wide.datetime = partition_bounds(partitions, collection, need->datetime.min_us);
        bool is_there = partition_find(partitions, collection, need->datetime.min_us) != NULL;
        struct zone zone = is_there ? zone_of(collection, wide.datetime) : (struct zone){ 0, 0 };
        struct partition_range zoned = period(collection->trunc, need->datetime.min_us, zone.first_us);
        zoned.max_us += zone.first_us - zone.last_us;
        wide.datetime.min_us = larger(wide.datetime.min_us, zoned.min_us);
        wide.datetime.max_us = smaller(wide.datetime.max_us, zoned.max_us);
    }
    wide.end_datetime = wide.datetime;
    if (need->end_datetime.max_us > wide.datetime.max_us)
        wide.end_datetime.max_us = period(TRUNC_YEAR, need->end_datetime.max_us, 0).max_us;
    return wide;
}

/* As POSIX has it: west of Greenwich is more. */
static void put_offset(struct buf *sql, int64_t offset_us)
{
    int64_t seconds = offset_us / 1000000, abs = seconds < 0 ? -seconds : seconds;
    buf_printf(sql, "%c%02" PRId64 ":%02" PRId64 ":%02" PRId64, seconds > 0 ? '-' : '+', abs / 3600, abs / 60 % 60,
               abs % 60);
}

/*
 * Before 0.10 pgstac names and bounds partitions in the session's time zone: here one in which the partition begins and
 * ends where it does, or should. Where the two differ, with summer time from the middle of its month on.
 */
static int set_time_zone(struct pg *pg, const struct catalog_collection *collection, struct partition_range bounds,
                         struct err *err)
{
    struct zone zone = zone_of(collection, bounds);
    if (zone.first_us == 0 && zone.last_us == 0)
        return 0;
    auto_buf struct buf sql = BUF_INIT;
    buf_puts(&sql, "SET LOCAL TIME ZONE '<first>");
    put_offset(&sql, zone.first_us);
    if (zone.first_us != zone.last_us) {
        int year = 0, month = 0;
        time_year_month(bounds.min_us + zone.first_us, &year, &month);
        buf_puts(&sql, "<last>");
        put_offset(&sql, zone.last_us);
        buf_printf(&sql, ",M%d.2.0,M%d.2.0", month, month % 12 + 1);
    }
    buf_putc(&sql, '\'');
    return buf_failed(&sql) ? err_no_memory(err) : pg_run(pg, buf_str(&sql), err);
}

/*
 * Whether check_partition caught an error of its own statements, which it reports as INFO; *ret is the result for it.
 * An error that is raised afterwards only says that the partition is not there.
 */
static bool has_caught(struct pg *pg, const struct partition_need *need, int *ret, struct err *err)
{
    static const char name[] = "Error Name:", state[] = "Error State:";
    const char *said = strstr(pg_infos(pg), name), *code = said ? strstr(said, state) : NULL;
    if (!code)
        return false;
    auto_buf struct buf text = BUF_INIT;
    char sqlstate[6] = "";
    buf_add(&text, said + strlen(name), strcspn(said + strlen(name), "\n"));
    snprintf(sqlstate, sizeof(sqlstate), "%s", code + strlen(state) + strspn(code + strlen(state), " "));
    int r = pg_judge(sqlstate, buf_str(&text), err);
    /* Class 42 (names, rights) concerns this partition alone: check_partition runs with the rights of pgstac's owner.
     */
    if (r == NEVER || strncmp(sqlstate, "42", 2) == 0) {
        if (err)
            *err = (struct err)ERR_INIT;
        r = err_never(err, "partition_refused",
                      "pgstac cannot make or widen a partition of collection \"%.200s\": %s (SQLSTATE %s)",
                      need->collection->id, buf_str(&text), sqlstate);
    }
    *ret = r;
    return true;
}

static int check_partition(const struct partitions *partitions, struct pg *pg, const struct partition_need *need,
                           struct err *err)
{
    struct partition_need wide = widened(partitions, need);
    char times[4][TIME_TEXT_SIZE];
    time_format_rfc3339_us(wide.datetime.min_us, times[0]);
    time_format_rfc3339_us(wide.datetime.max_us, times[1]);
    time_format_rfc3339_us(wide.end_datetime.min_us, times[2]);
    time_format_rfc3339_us(wide.end_datetime.max_us, times[3]);
    const char *params[] = { need->collection->id, times[0], times[1], times[2], times[3] };
    int r =
        set_time_zone(pg, need->collection, partition_bounds(partitions, need->collection, need->datetime.min_us), err);
    if (r == 0)
        r = pg_exec(pg, "SELECT check_partition($1, tstzrange($2, $3, '[]'), tstzrange($4, $5, '[]'))", params, 5, NULL,
                    err);
    return r;
}

int partition_lock(struct pg *pg, struct err *err)
{
    return pg_run(pg, PARTITION_LOCK "; " LOCK_TIMEOUT, err);
}

/* On a standby check_partition swallows the error that says so. */
static int must_be_writable(struct pg *pg, struct err *err)
{
    auto_pg_result PGresult *shown = NULL;
    int r = pg_exec(pg, "SHOW transaction_read_only", NULL, 0, &shown, err);
    if (r == 0 && strcmp(PQgetvalue(shown, 0, 0), "on") == 0)
        return err_outage(
            err, "database_refused",
            "no partition can be made in a read-only transaction: a standby, or default_transaction_read_only");
    return r;
}

/* A transaction each: until its end pgstac locks `items` for everybody. */
static int make(struct partitions *partitions, const struct catalog *catalog, struct pg *pg,
                struct partition_need *need, struct err *err)
{
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = partition_lock(pg, err);
    if (r == 0)
        r = must_be_writable(pg, err);
    if (r == 0)
        r = pg_run(pg, COLLECTIONS_LOCK, err);
    if (r == 0) /* another loader may have made it while we waited */
        r = read_around(partitions, pg, need->collection, need->datetime, err);
    struct err caught = ERR_INIT;
    int refused = 0;
    if (r == 0 && (partitions->distrusted || !is_met(partitions, need))) {
        r = check_partition(partitions, pg, need, err);
        if (has_caught(pg, need, &refused, &caught) && r != 0) {
            *err = caught;
            r = refused;
        } else if (r == NEVER) { /* raised by pgstac: the collection may have been partitioned again meanwhile */
            r = LATER;
        }
        if (r == 0)
            r = read_around(partitions, pg, need->collection, need->datetime, err);
    }
    if (r == 0)
        r = pg_run(pg, "COMMIT", err);
    if (r != 0) {
        pg_rollback(pg);
        return r;
    }
    if (is_met(partitions, need))
        return 0;
    if (refused != 0) {
        *err = caught;
        return refused;
    }
    return err_later(err, "partition_unavailable", "pgstac did not make or widen a partition of collection \"%.200s\"",
                     need->collection->id);
}

int partition_ensure(struct partitions *partitions, const struct catalog *catalog, struct pg *pg,
                     struct partition_need *const *needs, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct partition_need *need = needs[i];
        need->met = !partitions->distrusted && is_met(partitions, need);
        if (need->met)
            continue;
        int r = make(partitions, catalog, pg, need, &need->err);
        if (r < 0 || need->err.outage) {
            if (err)
                *err = need->err;
            return r;
        }
        need->result = r;
        need->met = r == 0;
    }
    partitions->distrusted = false;
    return 0;
}
