#include "pgstac/partition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/time.h"

/* One lock for the database ("pgstacpt"): a lock per collection deadlocks on pgstac's shared objects. */
#define PARTITION_LOCK "SELECT pg_advisory_xact_lock(8099569398536433780)"

/*
 * While check_partition waits for a reader, every later reader waits behind it: do not wait long. Set when the lock is
 * held already: for that one, others may have to make many partitions first.
 */
#define LOCK_TIMEOUT "SET LOCAL lock_timeout TO '5s'"

/*
 * Making a partition takes this lock anyway (`items` has a foreign key), but late, and waits then, with the partition
 * locked, for one who changes a collection and waits for a loader that waits for the partition. And while it is held
 * nobody partitions a collection anew: check_partition could see the old partition_trunc and make a partition by it.
 */
#define COLLECTIONS_LOCK "LOCK TABLE collections IN SHARE ROW EXCLUSIVE MODE"

enum { REMEMBERED_MAX = 10000 };

void partitions_clear(struct partitions *partitions)
{
    free(partitions->entries);
    *partitions = (struct partitions){ .entries = NULL };
}

static void keep_due(struct partitions *partitions)
{
    size_t kept = 0;
    for (size_t i = 0; i < partitions->n; i++)
        if (partitions->entries[i].statistics_due)
            partitions->entries[kept++] = partitions->entries[i];
    partitions->n = kept;
}

void partitions_forget(struct partitions *partitions)
{
    keep_due(partitions);
    for (size_t i = 0; i < partitions->n; i++)
        partitions->entries[i].exists = false;
}

void partitions_trim(struct partitions *partitions)
{
    if (partitions->n > REMEMBERED_MAX)
        keep_due(partitions);
}

void partition_name(const struct catalog_collection *collection, int64_t datetime_us, char ret[PARTITION_NAME_SIZE])
{
    int year = 0, month = 0;
    time_year_month(datetime_us, &year, &month);
    if (collection->trunc == TRUNC_YEAR)
        snprintf(ret, PARTITION_NAME_SIZE, "_items_%" PRId64 "_%04d", collection->key, year);
    else if (collection->trunc == TRUNC_MONTH)
        snprintf(ret, PARTITION_NAME_SIZE, "_items_%" PRId64 "_%04d%02d", collection->key, year, month);
    else
        snprintf(ret, PARTITION_NAME_SIZE, "_items_%" PRId64, collection->key);
}

static struct partition *find(const struct partitions *partitions, const char *name)
{
    for (size_t i = 0; i < partitions->n; i++)
        if (strcmp(partitions->entries[i].name, name) == 0)
            return &partitions->entries[i];
    return NULL;
}

static struct partition *remember(struct partitions *partitions, const char *name)
{
    struct partition *known = find(partitions, name);
    if (known)
        return known;
    if (partitions->n == partitions->cap) {
        size_t cap = partitions->cap ? partitions->cap * 2 : 64;
        struct partition *grown = reallocarray(partitions->entries, cap, sizeof(*grown));
        if (!grown)
            return NULL;
        partitions->entries = grown;
        partitions->cap = cap;
    }
    struct partition *partition = &partitions->entries[partitions->n++];
    *partition = (struct partition){ .exists = false };
    snprintf(partition->name, sizeof(partition->name), "%s", name);
    return partition;
}

/* ---------------------------------------------------------------- looking */

static bool contains(struct partition_range outer, struct partition_range inner)
{
    return outer.min_us <= inner.min_us && inner.max_us <= outer.max_us;
}

static bool is_met(const struct partitions *partitions, const struct partition_need *need)
{
    const struct partition *partition = find(partitions, need->name);
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

/* NULL: unbounded. */
#define BOUNDS                                                                                               \
    "SELECT partition, "                                                                                     \
    "CASE WHEN isfinite(lower(datetime)) THEN (extract(epoch FROM lower(datetime)) * 1000000)::bigint END, " \
    "CASE WHEN isfinite(upper(datetime)) THEN (extract(epoch FROM upper(datetime)) * 1000000)::bigint END, " \
    "CASE WHEN isfinite(lower(ends)) THEN (extract(epoch FROM lower(ends)) * 1000000)::bigint END, "         \
    "CASE WHEN isfinite(upper(ends)) THEN (extract(epoch FROM upper(ends)) * 1000000)::bigint END "          \
    "FROM (SELECT partition, constraint_dtrange AS datetime, constraint_edtrange AS ends "                   \
    "FROM partition_sys_meta WHERE partition = ANY($1)) AS bounds"

/* Reads what the catalog says of the needs' partitions; those that it does not have are remembered as not there. */
static int look_up(struct partitions *partitions, struct pg *pg, struct partition_need *const *needs, size_t n,
                   struct err *err)
{
    auto_buf struct buf names = BUF_INIT;
    for (size_t i = 0; i < n; i++)
        pg_array_add(&names, needs[i]->name);
    pg_array_end(&names);
    if (buf_failed(&names))
        return err_no_memory(err);
    auto_pg_result PGresult *rows = NULL;
    const char *params[] = { buf_str(&names) };
    int r = pg_exec(pg, BOUNDS, params, 1, &rows, err);
    if (r != 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        struct partition *partition = remember(partitions, needs[i]->name);
        if (!partition)
            return err_no_memory(err);
        int row = pg_find_row(rows, needs[i]->name);
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

/* ----------------------------------------------------------------- making */

/* The whole months or years around a need. Years are whole for a collection of one partition: new data comes every day.
 */
static struct partition_need widened(const struct partition_need *need)
{
    struct partition_need wide = *need;
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

static int check_partition(struct pg *pg, const struct partition_need *need, struct err *err)
{
    struct partition_need wide = widened(need);
    char times[4][TIME_TEXT_SIZE];
    time_format_rfc3339_us(wide.datetime.min_us, times[0]);
    time_format_rfc3339_us(wide.datetime.max_us, times[1]);
    time_format_rfc3339_us(wide.end_datetime.min_us, times[2]);
    time_format_rfc3339_us(wide.end_datetime.max_us, times[3]);
    const char *params[] = { need->collection->id, times[0], times[1], times[2], times[3] };
    return pg_exec(pg, "SELECT check_partition($1, tstzrange($2, $3, '[]'), tstzrange($4, $5, '[]'))", params, 5, NULL,
                   err);
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
                struct partition_need *need, bool force, struct err *err)
{
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = partition_lock(pg, err);
    if (r == 0)
        r = must_be_writable(pg, err);
    if (r == 0)
        r = pg_run(pg, COLLECTIONS_LOCK, err);
    if (r == 0) /* another loader may have made it while we waited */
        r = look_up(partitions, pg, &need, 1, err);
    if (r == 0 && (force || !is_met(partitions, need))) {
        r = check_partition(pg, need, err);
        if (r == 0)
            r = look_up(partitions, pg, &need, 1, err);
    }
    if (r == 0)
        r = pg_run(pg, "COMMIT", err);
    if (r != 0)
        pg_rollback(pg);
    return r;
}

/* A first look that is enough for most: without the lock, at all that is not known to be there. */
static int look_first(struct partitions *partitions, const struct catalog *catalog, struct pg *pg,
                      struct partition_need *const *needs, size_t n, struct err *err)
{
    size_t unmet = 0;
    for (size_t i = 0; i < n; i++)
        unmet += !is_met(partitions, needs[i]);
    if (unmet == 0)
        return 0;
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = look_up(partitions, pg, needs, n, err);
    if (r == 0)
        r = pg_run(pg, "COMMIT", err);
    if (r != 0)
        pg_rollback(pg);
    return r;
}

int partition_ensure(struct partitions *partitions, const struct catalog *catalog, struct pg *pg,
                     struct partition_need *const *needs, size_t n, bool force, struct err *err)
{
    int r = look_first(partitions, catalog, pg, needs, n, err);
    if (r != 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        struct partition_need *need = needs[i];
        need->met = !force && is_met(partitions, need);
        if (need->met)
            continue;
        r = make(partitions, catalog, pg, need, force, &need->err);
        if (r < 0 || (r != 0 && need->err.outage)) {
            if (err)
                *err = need->err;
            return r;
        }
        need->met = r == 0 && is_met(partitions, need);
        if (r == 0 && !need->met)
            (void)err_later(&need->err, "partition_unavailable",
                            "pgstac did not make or widen partition %s of collection \"%.200s\"", need->name,
                            need->collection->id);
    }
    return 0;
}

/* -------------------------------------------------------------- statistics */

void partition_mark_statistics(struct partitions *partitions, const char *name)
{
    struct partition *partition = find(partitions, name);
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

int partition_update_statistics(struct partitions *partitions, const struct catalog *catalog, struct pg *pg,
                                int interval_ms, struct err *err)
{
    bool failed = false;
    for (size_t i = 0; i < partitions->n; i++) {
        struct partition *partition = &partitions->entries[i];
        int64_t now_ms = time_mono_ms();
        if (!partition->statistics_due ||
            (partition->statistics_at_ms && now_ms - partition->statistics_at_ms < interval_ms))
            continue;
        struct err why = ERR_INIT;
        int r = update_statistics(catalog, pg, partition->name, &why);
        if (r != 0 && err)
            *err = why;
        if (r < 0 || (r != 0 && why.outage))
            return r;
        partition->statistics_at_ms = now_ms; /* also of a failure: its next turn is as far away */
        partition->statistics_due = r != 0;
        failed |= r != 0;
    }
    return failed ? LATER : 0;
}
