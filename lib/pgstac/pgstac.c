#include "pgstac/pgstac.h"

#include <stdio.h>
#include <string.h>

#include "base/backoff.h"
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
enum {
    ATTEMPTS = 6,
    ATTEMPT_DELAY_MS = 50,
    ATTEMPT_DELAY_MAX_MS = 1600,
    ANSWER_MARGIN_MS = 15000,
    PORTABLE_ROWS = 200
};

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

static int read_collections(struct pgstac *pgstac, const struct batch_row *rows, size_t n, struct err *err)
{
    auto_free const char **ids = calloc(n + 1, sizeof(*ids));
    if (!ids)
        return err_no_memory(err);
    for (size_t i = 0; i < n; i++)
        ids[i] = rows[i].item->item.collection;
    return catalog_read_collections(&pgstac->catalog, pgstac->pg, ids, n, err);
}

static int create_missing_collections(struct pgstac *pgstac, const struct batch_row *rows, size_t n, struct err *err)
{
    const char *last = "";
    for (size_t i = 0; i < n; i++) {
        const char *id = rows[i].item->item.collection;
        if (strcmp(id, last) == 0 || catalog_collection(&pgstac->catalog, id))
            continue;
        int r = collections_create(&pgstac->catalog, pgstac->pg, id, err);
        if (r != 0)
            return r;
        last = id;
    }
    return *last ? read_collections(pgstac, rows, n, err) : 0;
}

/* Looks up what the rows need to know of the catalog, dehydrates and sorts them. */
static int prepare(struct pgstac *pgstac, struct batch_row *rows, size_t n, struct err *err)
{
    int r = read_collections(pgstac, rows, n, err);
    if (r == 0 && pgstac->options.missing_collection == MISSING_COLLECTION_CREATE)
        r = create_missing_collections(pgstac, rows, n, err);
    if (r == 0)
        r = batch_prepare(&pgstac->catalog, pgstac->options.missing_collection, rows, n, err);
    if (r == 0)
        r = batch_place(&pgstac->partitions, &pgstac->catalog, pgstac->pg, rows, n, err);
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

/*
 * The groups whose partitions are there. Rows without a partition get their results where it cannot be made, and on the
 * last attempt, so that one bad partition does not block the others. Before that: LATER.
 */
static int find_groups(struct pgstac *pgstac, struct batch_row *rows, size_t n, bool is_last, struct batch_group **ret,
                       size_t *ret_n, struct err *err)
{
    auto_free struct batch_group *groups = NULL;
    size_t n_groups = 0;
    int r = batch_groups(rows, n, &groups, &n_groups, err);
    if (r != 0)
        return r;
    auto_free struct partition_need **needs = calloc(n_groups + 1, sizeof(*needs));
    if (!needs)
        return err_no_memory(err);
    for (size_t g = 0; g < n_groups; g++)
        needs[g] = &groups[g].need;
    r = partition_ensure(&pgstac->partitions, &pgstac->catalog, pgstac->pg, needs, n_groups, err);
    if (r != 0)
        return r;
    for (size_t g = 0; g < n_groups && !is_last; g++)
        if (!groups[g].need.met && groups[g].need.result == LATER) {
            *err = groups[g].need.err;
            return LATER;
        }
    for (size_t g = 0; g < n_groups; g++)
        if (groups[g].need.met)
            groups[(*ret_n)++] = groups[g];
        else
            settle(rows + groups[g].first, groups[g].n, groups[g].need.result, &groups[g].need.err);
    *ret = TAKE(groups);
    return 0;
}

/* One attempt: make partitions, load, commit, remove what the items have in other partitions. */
static int attempt(struct pgstac *pgstac, struct batch_row *rows, size_t n, bool is_last, struct err *err)
{
    auto_free struct batch_group *groups = NULL;
    size_t n_groups = 0;
    int r = find_groups(pgstac, rows, n, is_last, &groups, &n_groups, err);
    if (r != 0 || n_groups == 0)
        return r;
    bool portable = pgstac->catalog.is_portable;
    r = portable ? portable_load(&pgstac->catalog, pgstac->pg, rows, groups, n_groups, err)
                 : batch_load(&pgstac->catalog, pgstac->pg, rows, groups, n_groups, err);
    if (r == 0)
        r = pg_run(pgstac->pg, "COMMIT", err);
    if (r != 0)
        pg_rollback(pgstac->pg);
    known_end(&pgstac->known, pg_is_usable(pgstac->pg));
    if (portable) /* pgstac has written the statistics, and nothing is left in other partitions */
        return r;
    for (size_t g = 0; r == 0 && g < n_groups; g++)
        r = statistics_mark(&pgstac->statistics, groups[g].need.name, err);
    /* Loading committed rows again changes nothing, so a failed sweep repeats the attempt. */
    return r != 0 ? r : sweep_twins(&pgstac->catalog, pgstac->pg, rows, groups, n_groups, err);
}

/* Exponential, with jitter. A stop ends it. */
static int wait_for_others(const struct pgstac *pgstac, int failures, struct err *err)
{
    int64_t delay_ms =
        backoff_jitter_ms(backoff_ms(ATTEMPT_DELAY_MS, 2, ATTEMPT_DELAY_MAX_MS, failures), random_unit());
    if (wait_fd(-1, 0, pgstac->options.stop_fd, time_mono_ms() + delay_ms) == WAIT_STOPPED)
        return err_outage(err, "interrupted", "interrupted while waiting for other loaders");
    return 0;
}

/* Attempts until the rows are in, or the failure is not one that passes soon. */
static int load_together(struct pgstac *pgstac, struct batch_row *rows, size_t n, struct err *err)
{
    int r = prepare(pgstac, rows, n, err);
    for (int i = 1; r == 0; i++) {
        r = attempt(pgstac, rows, n, i == ATTEMPTS, err);
        /* After a whole statement timeout, another attempt would probably take as long. */
        if (r != LATER || err->outage || i == ATTEMPTS || err_is(err, "database_timeout"))
            return r;
        if (err_is(err, "partition_unavailable"))
            partitions_distrust(&pgstac->partitions);
        r = err_is(err, "collection_changing") ? 0 : wait_for_others(pgstac, i, err);
        /* A conflict can also mean that a collection went away or was partitioned again. */
        catalog_distrust(&pgstac->catalog);
        if (r == 0)
            r = prepare(pgstac, rows, n, err);
    }
    return r;
}

/* Whether rows of the batch are locked by somebody else. They wait alone, and the others can be loaded. */
static int settle_locked(struct pgstac *pgstac, struct batch_row *rows, size_t n, bool *ret_any, struct err *err)
{
    struct err why = *err, look_err = ERR_INIT;
    size_t n_locked = 0;
    int r = locked_settle(&pgstac->catalog, pgstac->pg, rows, n, &why, &n_locked, &look_err);
    *ret_any = r == 0 && n_locked > 0;
    if (r < 0 || look_err.outage) {
        *err = look_err;
        return r;
    }
    return 0;
}

/*
 * Loads rows until each has its result. If the batch fails for a lock, the locked rows wait alone (once: a second time
 * takes too long). If it cannot succeed, it is halved until the bad row is alone: O(log n) attempts for one bad row.
 */
static int load_rows(struct pgstac *pgstac, struct batch_row *rows, size_t n, struct err *err)
{
    int r = load_together(pgstac, rows, n, err);
    /* The portable path holds a lock that others wait for, and waits a shorter time. */
    bool waited = err_is(err, "database_timeout") || (pgstac->catalog.is_portable && err_is(err, "database_conflict"));
    if (r == LATER && waited && n > 1) {
        bool any = false;
        int looked = settle_locked(pgstac, rows, n, &any, err);
        if (looked != 0)
            return looked;
        if (any)
            r = load_together(pgstac, rows, n, err);
    }
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

int pgstac_load(struct pgstac *pgstac, struct pgstac_item *const *items, size_t n, struct err *err)
{
    auto_free struct batch_row *rows = calloc(n + 1, sizeof(*rows));
    if (!rows)
        return err_no_memory(err);
    for (size_t i = 0; i < n; i++)
        rows[i].item = items[i];
    catalog_trim(&pgstac->catalog);
    partitions_trim(&pgstac->partitions);
    statistics_trim(&pgstac->statistics);
    struct err why = ERR_INIT;
    int r = 0;
    size_t share = n;
    /*
     * On the portable path pgstac takes milliseconds per item, and everybody else waits for the lock: small shares stay
     * far from the statement timeout. Sorted first, because partitions cost pgstac more than items do.
     */
    if (pgstac->catalog.is_portable) {
        share = PORTABLE_ROWS;
        r = prepare(pgstac, rows, n, &why);
        if (r > 0 && !why.outage)
            r = 0; /* load_rows meets it again */
    }
    for (size_t first = 0; r == 0 && first < n; first += share)
        r = load_rows(pgstac, rows + first, n - first < share ? n - first : share, &why);
    if (r != 0 && err)
        *err = why;
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
