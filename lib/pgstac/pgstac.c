#include "pgstac/pgstac.h"

#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "pgstac/batch.h"
#include "pgstac/collections.h"
#include "pgstac/locked.h"
#include "pgstac/portable.h"
#include "pgstac/schema.h"
#include "pgstac/statistics.h"
#include "pgstac/sweep.h"
#include "stac/collection.h"

/* A batch that meets deadlocks and partitions in the making is tried this often before it waits in the queue. */
enum { ATTEMPTS = 6, ATTEMPT_DELAY_MS = 50, ANSWER_MARGIN_MS = 15000, PORTABLE_ROWS = 200 };

struct pgstac {
    struct pgstac_options options;
    struct pg *pg;
    struct schema schema;
    struct catalog catalog;
    struct partitions partitions;
    struct statistics statistics;
    struct known_session known;
    struct known *own_known; /* NULL: it is shared */
};

int pgstac_new(const struct pgstac_options *options, struct pgstac **ret, struct err *err)
{
    struct pgstac *pgstac = calloc(1, sizeof(*pgstac));
    if (!pgstac)
        return err_no_memory(err);
    pgstac->options = *options;
    if (!options->known && known_new(&pgstac->own_known, err) != 0) {
        free(pgstac);
        return err_no_memory(err);
    }
    pgstac->known.known = options->known ? options->known : pgstac->own_known;
    pgstac->catalog.known = &pgstac->known;
    pgstac->catalog.statement_timeout_ms = options->statement_timeout_ms;
    *ret = pgstac;
    return 0;
}

void pgstac_free(struct pgstac *pgstac)
{
    if (!pgstac)
        return;
    pgstac_disconnect(pgstac);
    partitions_clear(&pgstac->partitions);
    statistics_clear(&pgstac->statistics);
    known_free(pgstac->own_known);
    free(pgstac);
}

void pgstac_disconnect(struct pgstac *pgstac)
{
    if (pgstac->pg)
        known_forget(pgstac->known.known);
    pg_free(TAKE(pgstac->pg));
    schema_clear(&pgstac->schema);
    partitions_clear(&pgstac->partitions); /* the next connection may be to another server */
    catalog_clear(&pgstac->catalog);
}

bool pgstac_is_connected(struct pgstac *pgstac)
{
    return pg_is_alive(pgstac->pg);
}

const char *pgstac_version(const struct pgstac *pgstac)
{
    return pgstac->schema.version;
}

const char *pgstac_why_portable(const struct pgstac *pgstac)
{
    if (!pgstac->catalog.is_portable)
        return NULL;
    return *pgstac->schema.not_fast ? pgstac->schema.not_fast : "was asked for";
}

/* ------------------------------------------------------------- connecting */

static int choose_path(struct pgstac *pgstac, struct err *err)
{
    struct schema *schema = &pgstac->schema;
    int r = schema_read(pgstac->pg, schema, err);
    if (r != 0)
        return r;
    if (schema->has_fragments)
        return err_never(err, "database_unsupported",
                         "this database (pgstac %s) has the layout of pgstac's unreleased main branch, with a table "
                         "item_fragments, and nothing here can load into that yet: use a released pgstac, 0.8 to 0.10",
                         schema->version);
    pgstac->catalog.is_portable = *schema->not_fast || pgstac->options.portable;
    pgstac->catalog.has_base_items = schema->has_base_items;
    if (pgstac->catalog.is_portable && *schema->not_portable)
        return err_never(err, "database_unsupported",
                         "this database (pgstac %s) cannot be loaded into: it %s. itemloadd works with pgstac 0.8 and "
                         "later: name another database, or run pypgstac migrate where there is none or an older one",
                         schema->version, schema->not_portable);
    return 0;
}

int pgstac_connect(struct pgstac *pgstac, const char *const *keywords, const char *const *values, struct err *err)
{
    if (pgstac_is_connected(pgstac))
        return 0;
    pgstac_disconnect(pgstac);
    struct pg_options options = {
        .stop_fd = pgstac->options.stop_fd,
        .connect_timeout_ms = pgstac->options.connect_timeout_ms,
        .call_timeout_ms = pgstac->options.statement_timeout_ms + ANSWER_MARGIN_MS,
    };
    int r = pg_connect(&options, keywords, values, &pgstac->pg, err);
    if (r == 0)
        r = choose_path(pgstac, err);
    if (r != 0)
        pgstac_disconnect(pgstac);
    return r;
}

/* ---------------------------------------------------------------- loading */

/* Between attempts: exponential, jittered; a stop ends it. */
static int wait_before_attempt(const struct pgstac *pgstac, int attempt, struct err *err)
{
    int64_t delay_ms = (int64_t)(ATTEMPT_DELAY_MS * (1 << attempt) * (0.5 + random_unit()));
    if (wait_fd(-1, 0, pgstac->options.stop_fd, time_mono_ms() + delay_ms) == WAIT_STOPPED)
        return err_outage(err, "interrupted", "interrupted while waiting for other loaders");
    return 0;
}

/* The collections of the rows, read (anew with `again`), created where that is wanted. */
static int read_collections(struct pgstac *pgstac, const struct batch_row *rows, size_t n, bool again, struct err *err);

static int create_missing_collections(struct pgstac *pgstac, const struct batch_row *rows, size_t n, struct err *err)
{
    bool created = false;
    const char *last = "";
    for (size_t i = 0; i < n; i++) {
        const char *id = rows[i].item->item.collection;
        if (strcmp(id, last) == 0 || catalog_collection(&pgstac->catalog, id))
            continue;
        int r = collections_create(&pgstac->catalog, pgstac->pg, id, err);
        if (r != 0)
            return r;
        created = true;
        last = id;
    }
    return created ? read_collections(pgstac, rows, n, false, err) : 0;
}

static int read_collections(struct pgstac *pgstac, const struct batch_row *rows, size_t n, bool again, struct err *err)
{
    auto_free const char **ids = calloc(n + 1, sizeof(*ids));
    if (!ids)
        return err_no_memory(err);
    for (size_t i = 0; i < n; i++)
        ids[i] = rows[i].item->item.collection;
    return catalog_read_collections(&pgstac->catalog, pgstac->pg, ids, n, again, err);
}

static int prepare(struct pgstac *pgstac, struct batch_row *rows, size_t n, bool again, struct err *err)
{
    int r = read_collections(pgstac, rows, n, again, err);
    if (r == 0 && pgstac->options.missing_collection == MISSING_COLLECTION_CREATE)
        r = create_missing_collections(pgstac, rows, n, err);
    if (r == 0)
        r = batch_prepare(&pgstac->catalog, pgstac->options.missing_collection, rows, n, err);
    if (r == 0)
        r = batch_place(&pgstac->partitions, &pgstac->catalog, pgstac->pg, rows, n, err);
    return r;
}

/* How an attempt differs from the one before it. */
struct attempt {
    bool force_partitions; /* what is remembered of them was wrong */
    bool last;             /* do without the partitions that are not to be had */
};

/* *ret_unmet: one that may be met by another attempt, or NULL. */
static int ensure_partitions(struct pgstac *pgstac, struct batch_group *groups, size_t n_groups, bool force,
                             const struct partition_need **ret_unmet, struct err *err)
{
    auto_free struct partition_need **needs = calloc(n_groups + 1, sizeof(*needs));
    if (!needs)
        return err_no_memory(err);
    for (size_t g = 0; g < n_groups; g++)
        needs[g] = &groups[g].need;
    int r = partition_ensure(&pgstac->partitions, &pgstac->catalog, pgstac->pg, needs, n_groups, force, err);
    *ret_unmet = NULL;
    for (size_t g = 0; r == 0 && g < n_groups; g++)
        if (!groups[g].need.met && groups[g].need.result != NEVER)
            *ret_unmet = &groups[g].need;
    return r;
}

static void settle(struct batch_row *rows, size_t n, int result, const struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].settled)
            continue;
        rows[i].item->result = result;
        if (result != 0)
            rows[i].item->err = *err;
        rows[i].settled = true;
    }
}

/* The groups that can be loaded. The others' rows get their results, so that one bad partition does not block all. */
static int groups_to_load(struct pgstac *pgstac, struct batch_row *rows, size_t n, struct attempt how,
                          struct batch_group **ret, size_t *ret_n, struct err *err)
{
    auto_free struct batch_group *groups = NULL;
    size_t n_groups = 0;
    const struct partition_need *unmet = NULL;
    int r = batch_groups(rows, n, &groups, &n_groups, err);
    if (r == 0)
        r = ensure_partitions(pgstac, groups, n_groups, how.force_partitions, &unmet, err);
    if (r != 0)
        return r;
    if (unmet && !how.last) {
        *err = unmet->err;
        return LATER;
    }
    size_t n_met = 0;
    for (size_t g = 0; g < n_groups; g++)
        if (groups[g].need.met)
            groups[n_met++] = groups[g];
        else
            settle(rows + groups[g].first, groups[g].n, groups[g].need.result, &groups[g].need.err);
    *ret = TAKE(groups);
    *ret_n = n_met;
    return 0;
}

/* One attempt: load, commit, sweep. *ret_same false: the rows must be prepared anew. */
static int attempt(struct pgstac *pgstac, struct batch_row *rows, size_t n, struct attempt how, bool *ret_same,
                   struct err *err)
{
    auto_free struct batch_group *groups = NULL;
    size_t n_groups = 0;
    *ret_same = true;
    int r = groups_to_load(pgstac, rows, n, how, &groups, &n_groups, err);
    if (r != 0 || n_groups == 0)
        return r;
    bool portable = pgstac->catalog.is_portable;
    r = portable ? portable_load(&pgstac->catalog, pgstac->pg, rows, groups, n_groups, ret_same, err)
                 : batch_load(&pgstac->catalog, pgstac->pg, rows, groups, n_groups, ret_same, err);
    if (r == 0 && *ret_same)
        r = pg_run(pgstac->pg, "COMMIT", err);
    if (r != 0 || !*ret_same)
        pg_rollback(pgstac->pg);
    known_end(&pgstac->known, pg_is_usable(pgstac->pg));
    if (r != 0 || !*ret_same)
        return r;
    if (portable) /* pgstac has written the statistics, and nothing is left to sweep */
        return 0;
    for (size_t g = 0; r == 0 && g < n_groups; g++)
        r = statistics_mark(&pgstac->statistics, groups[g].need.name, err);
    if (r != 0)
        return r;
    /* Loading again what is committed changes nothing, so a sweep that fails simply has the attempt repeated. */
    return sweep_twins(&pgstac->catalog, pgstac->pg, rows, groups, n_groups, err);
}

/* Attempts until the rows are in, or the failure is not one that passes soon. */
static int load_together(struct pgstac *pgstac, struct batch_row *rows, size_t n, struct err *err)
{
    struct attempt how = { .force_partitions = false };
    /* Another half of the same batch may have found the collections changed. */
    int r = prepare(pgstac, rows, n, false, err);
    if (r != 0)
        return r;
    for (int i = 0;; i++) {
        bool same = true;
        how.last = i + 1 == ATTEMPTS;
        r = attempt(pgstac, rows, n, how, &same, err);
        if (r == 0 && same)
            return 0;
        /* What took the whole statement timeout would take it again. */
        if (r != 0 && (r != LATER || err->outage || how.last || err_is(err, "database_timeout")))
            return r;
        if (how.last)
            return err_later(err, "collection_changing",
                             "the collections of this batch change faster than it can be loaded");
        how.force_partitions = r != 0 && err_is(err, "partition_unavailable");
        if (how.force_partitions)
            partitions_clear(&pgstac->partitions);
        if (r != 0)
            r = wait_before_attempt(pgstac, i, err);
        /* A conflict can also mean that a collection went away or was partitioned anew. */
        if (r == 0)
            r = prepare(pgstac, rows, n, true, err);
        if (r != 0)
            return r;
    }
}

/*
 * As load_together; where somebody's lock on rows took the statement timeout, these rows wait alone and the others are
 * loaded. Once: a second time it takes too long.
 */
static int load_past_locks(struct pgstac *pgstac, struct batch_row *rows, size_t n, struct err *err)
{
    int r = load_together(pgstac, rows, n, err);
    /* The portable path holds a lock that others wait for, and waits a shorter time. */
    bool waited = err_is(err, "database_timeout") || (pgstac->catalog.is_portable && err_is(err, "database_conflict"));
    if (r != LATER || !waited || n == 1)
        return r;
    struct err why = *err, look_err = ERR_INIT;
    size_t n_locked = 0;
    int looked = locked_settle(&pgstac->catalog, pgstac->pg, rows, n, &why, &n_locked, &look_err);
    if (looked < 0 || look_err.outage) {
        *err = look_err;
        return looked;
    }
    return looked == 0 && n_locked > 0 ? load_together(pgstac, rows, n, err) : r;
}

/* Halves a failing batch until the bad row stands by itself: O(log n) attempts for one bad row. */
static int load_rows(struct pgstac *pgstac, struct batch_row *rows, size_t n, struct err *err)
{
    int r = load_past_locks(pgstac, rows, n, err);
    if (r < 0 || (r == LATER && err->outage))
        return r;
    if (r != NEVER || n == 1) {
        settle(rows, n, r, err);
        return 0;
    }
    size_t half = n / 2;
    r = load_rows(pgstac, rows, half, err);
    return r != 0 ? r : load_rows(pgstac, rows + half, n - half, err);
}

/*
 * On the portable path pgstac takes milliseconds for an item, and everybody else waits for the lock: shares that are
 * far from the statement timeout. Sorted before, so that each has few partitions, which cost pgstac more than items do.
 */
static int load_shares(struct pgstac *pgstac, struct batch_row *rows, size_t n, struct err *err)
{
    if (!pgstac->catalog.is_portable)
        return load_rows(pgstac, rows, n, err);
    int r = prepare(pgstac, rows, n, false, err);
    if (r < 0 || (r == LATER && err->outage))
        return r;
    r = 0;
    for (size_t first = 0; r == 0 && first < n; first += PORTABLE_ROWS)
        r = load_rows(pgstac, rows + first, n - first < PORTABLE_ROWS ? n - first : PORTABLE_ROWS, err);
    return r;
}

static int read_private(const cJSON *json, struct pgstac_item *item, struct err *err)
{
    const cJSON *private = json_get(json, "private");
    if (!private || cJSON_IsNull(private))
        return 0;
    auto_buf struct buf text = BUF_INIT;
    json_write(private, &text);
    item->private = buf_failed(&text) ? NULL : strndup(buf_str(&text), text.len);
    return item->private ? 0 : err_no_memory(err);
}

int pgstac_item_read(const struct pgstac *pgstac, const cJSON *json, struct pgstac_item *item)
{
    item->result = stac_item_read(json, STAC_ITEM_LOADED, &item->item, &item->err);
    if (item->result == 0)
        item->result = read_private(json, item, &item->err);
    const struct catalog_collection *collection =
        item->result == 0 ? catalog_collection(&pgstac->catalog, item->item.collection) : NULL;
    if (collection)
        item->result = batch_dehydrate(collection, json, item, &item->err);
    return item->result;
}

void pgstac_item_clear(struct pgstac_item *item)
{
    stac_item_clear(&item->item);
    free(TAKE(item->content));
    free(TAKE(item->private));
}

int pgstac_load(struct pgstac *pgstac, struct pgstac_item *const *items, size_t n, struct err *err)
{
    if (n == 0)
        return 0;
    auto_free struct batch_row *rows = calloc(n, sizeof(*rows));
    if (!rows)
        return err_no_memory(err);
    for (size_t i = 0; i < n; i++)
        rows[i].item = items[i];
    catalog_trim(&pgstac->catalog);
    partitions_trim(&pgstac->partitions);
    statistics_trim(&pgstac->statistics);
    struct err why = ERR_INIT;
    int r = load_shares(pgstac, rows, n, &why);
    if (r != 0 && err)
        *err = why;
    return r;
}

int pgstac_load_collection(struct pgstac *pgstac, struct pgstac_item *collection, struct err *err)
{
    auto_json cJSON *json = NULL;
    int r = json_parse(collection->text, collection->text_len, &json, err);
    const char *id = NULL;
    if (r == 0)
        r = stac_collection_read(json, &id, err);
    return r != 0 ? r : collections_upsert(&pgstac->catalog, pgstac->pg, id, collection, err);
}

int pgstac_update_statistics(struct pgstac *pgstac, int interval_ms, struct err *err)
{
    return statistics_update(&pgstac->statistics, &pgstac->catalog, pgstac->pg, interval_ms, err);
}
