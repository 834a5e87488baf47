#include "itemctl/load_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/json.h"
#include "base/time.h"
#include "pgstac/database.h"
#include "pgstac/dedupe.h"

enum {
    STATEMENT_TIMEOUT_MS = 45000,
    CONNECT_TIMEOUT_MS = 10000,
    STATISTICS_INTERVAL_MS = 60000,
    OUTAGE_WAIT_MS = 1000, /* doubling, up to: */
    OUTAGE_WAIT_MAX_MS = 15000,
    LATER_ATTEMPTS = 6, /* at one document that is to come later; the waits double from: */
    LATER_WAIT_MS = 500,
};

/* What a thread has of its own. */
struct job {
    struct load_shared *shared;
    struct aws_client *client;
    struct database database;
    int outage_attempts;
};

/* ----------------------------------------------------------------- patience */

/* False: a stop has been asked for. */
static bool wait_ms(const struct job *job, int64_t ms)
{
    return wait_fd(-1, 0, job->shared->drain_fd, time_mono_ms() + ms) == WAIT_TIMEOUT;
}

/* At the start what a person has to mend is told at once; what has worked before will work again. */
static bool passes_by_itself(const struct job *job, const struct err *err)
{
    static const char *const passing[] = { "database_unavailable", "database_refused", "service_unavailable",
                                           "connection_failed",    "timeout",          "throttled" };
    for (size_t i = 0; i < N_ELEMENTS(passing); i++)
        if (err_is(err, passing[i]))
            return true;
    return job->shared->connected;
}

/* As `do r = call(); while (wait_out(job, r, err))`: true where the call met an outage and is to be made again. */
static bool wait_out(struct job *job, int result, const struct err *err)
{
    struct load_shared *shared = job->shared;
    if (result != LATER || !err->outage) {
        if (result == 0 && atomic_exchange(&shared->is_outage, false))
            load_progress_say(shared->progress, "the database is back");
        job->outage_attempts = 0;
        shared->connected |= result == 0;
        return false;
    }
    if (shared->options->no_wait || !passes_by_itself(job, err))
        return false;
    if (!atomic_exchange(&shared->is_outage, true))
        load_progress_say(shared->progress, "%s; waiting for it (Ctrl-C stops)", err->text);
    int64_t ms = OUTAGE_WAIT_MS << (job->outage_attempts < 4 ? job->outage_attempts : 4);
    job->outage_attempts++;
    return wait_ms(job, ms < OUTAGE_WAIT_MAX_MS ? ms : OUTAGE_WAIT_MAX_MS);
}

static int after_call(struct job *job, int result, const struct err *err)
{
    if (result == LATER && err->outage)
        database_give_up(&job->database);
    return result;
}

static int load_patiently(struct job *job, struct pgstac_item *const *items, size_t n, struct err *err)
{
    int r;
    do {
        r = database_connect(&job->database, err);
        if (r == 0)
            r = after_call(job, pgstac_load(job->database.pgstac, items, n, err), err);
    } while (wait_out(job, r, err));
    return r;
}

/* -------------------------------------------------------------------- items */

/* A batch of items while it is loaded. */
struct item_batch {
    struct pgstac_item *items;  /* by entry */
    struct pgstac_item **round; /* those that are loaded together */
    struct dedupe_version *versions;
    size_t *picked; /* of versions */
    size_t n_entries, n_versions;
};

static void item_batch_clear(struct item_batch *batch)
{
    for (size_t i = 0; i < batch->n_entries; i++)
        pgstac_item_clear(&batch->items[i]);
    free(batch->items);
    free(batch->round);
    free(batch->versions);
    free(batch->picked);
}

static int item_batch_init(struct item_batch *batch, size_t n, struct err *err)
{
    batch->items = calloc(n, sizeof(*batch->items));
    batch->round = calloc(n, sizeof(struct pgstac_item *));
    batch->versions = calloc(n, sizeof(*batch->versions));
    batch->picked = calloc(n, sizeof(*batch->picked));
    if (!batch->items || !batch->round || !batch->versions || !batch->picked)
        return err_no_memory(err);
    batch->n_entries = n;
    return 0;
}

/* The document is kept for the rejects file: in one line, where it is JSON. */
static int reject(struct load_entry *entry, const struct err *why, struct err *err)
{
    auto_json cJSON *json = NULL;
    struct buf *text = &entry->document.text;
    int r = json_parse(buf_str(text), text->len, &json, NULL);
    if (r == 0) {
        buf_reset(text);
        json_write(json, text);
        entry->is_json = true;
    }
    bool ok = r >= 0 && !buf_failed(text) && load_entry_reject(entry, why) == 0;
    return ok ? 0 : err_no_memory(err);
}

/* One item's tree at a time: it takes ten times the room of its text. */
static int read_item(const struct job *job, const struct load_entry *entry, struct pgstac_item *ret)
{
    *ret = (struct pgstac_item){ .text = buf_str(&entry->document.text),
                                 .text_len = entry->document.text.len,
                                 .published_at_ms = job->shared->published_at_ms };
    auto_json cJSON *json = NULL;
    int r = split_document_parse(&entry->document, &json, &ret->err);
    return r == 0 ? pgstac_item_read(job->database.pgstac, json, ret) : r;
}

static int read_items(const struct job *job, struct load_batch *batch, struct item_batch *ret, struct err *err)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct pgstac_item *item = &ret->items[i];
        int r = read_item(job, &batch->entries[i], item);
        if (r < 0)
            *err = item->err;
        if (r == NEVER)
            r = reject(&batch->entries[i], &item->err, err);
        else if (r == 0)
            ret->versions[ret->n_versions++] = (struct dedupe_version){ .item = item, .order = i };
        if (r != 0)
            return r;
    }
    dedupe_sort(ret->versions, ret->n_versions);
    return 0;
}

/* Loads what is picked; what is to come later is tried again for a while, and then rejected. */
static int load_picked(struct job *job, struct item_batch *batch, size_t n, struct err *err)
{
    for (int attempt = 1; n > 0; attempt++) {
        for (size_t i = 0; i < n; i++)
            batch->round[i] = batch->versions[batch->picked[i]].item;
        int r = load_patiently(job, batch->round, n, err);
        if (r != 0)
            return r;
        size_t later = 0;
        for (size_t i = 0; i < n; i++) {
            if (batch->round[i]->result == LATER && attempt < LATER_ATTEMPTS)
                batch->picked[later++] = batch->picked[i];
            else if (batch->round[i]->result == LATER)
                batch->round[i]->result = NEVER;
        }
        n = later;
        if (n > 0 && !wait_ms(job, LATER_WAIT_MS << attempt))
            return err_later(err, "interrupted", "interrupted while documents were to be tried again");
    }
    return 0;
}

static int conclude_items(struct load_batch *batch, const struct item_batch *items, struct err *err)
{
    for (size_t i = 0; i < items->n_versions; i++) {
        const struct dedupe_version *version = &items->versions[i];
        struct load_entry *entry = &batch->entries[version->order];
        entry->outcome = version->superseded ? PGSTAC_STALE : version->item->outcome;
        int r = version->item->result == 0 ? 0 : reject(entry, &version->item->err, err);
        if (r != 0)
            return r;
    }
    return 0;
}

static int load_items(struct job *job, struct load_batch *batch, struct err *err)
{
    cleanup(item_batch_clear) struct item_batch items = { .n_entries = 0 };
    int r = item_batch_init(&items, batch->n, err);
    if (r == 0)
        r = read_items(job, batch, &items, err);
    size_t picked = 0;
    while (r == 0 && (picked = dedupe_pick(items.versions, items.n_versions, items.picked)) > 0) {
        r = load_picked(job, &items, picked, err);
        if (r == 0)
            dedupe_settle(items.versions, items.n_versions);
    }
    return r == 0 ? conclude_items(batch, &items, err) : r;
}

/* -------------------------------------------------------------- collections */

static int load_collection(struct job *job, struct pgstac_item *collection, struct err *err)
{
    int r;
    do {
        r = database_connect(&job->database, err);
        if (r == 0)
            r = after_call(job, pgstac_load_collection(job->database.pgstac, collection, err), err);
    } while (wait_out(job, r, err));
    return r;
}

static int load_collection_entry(struct job *job, struct load_entry *entry, struct err *err)
{
    struct pgstac_item collection = { .text = buf_str(&entry->document.text),
                                      .text_len = entry->document.text.len,
                                      .published_at_ms = job->shared->published_at_ms };
    auto_json cJSON *json = NULL;
    struct err why = ERR_INIT;
    int r = split_document_parse(&entry->document, &json, &why);
    for (int attempt = 1; r == 0; attempt++) {
        r = load_collection(job, &collection, &why);
        if (r != LATER || why.outage || attempt == LATER_ATTEMPTS)
            break;
        r = wait_ms(job, LATER_WAIT_MS << attempt)
                ? 0
                : err_outage(&why, "interrupted", "interrupted while a collection was to be tried again");
    }
    entry->outcome = collection.outcome;
    if (r == 0 && collection.rebased_partitions > 0)
        load_progress_say(job->shared->progress,
                          "warning: line %lld: the collection now has another base item (item_assets or stac_version): "
                          "items that are already in %d partitions may read back differently; load them again",
                          (long long)entry->document.line, collection.rebased_partitions);
    if (r == NEVER || (r == LATER && !why.outage))
        return reject(entry, &why, err);
    if (r != 0)
        *err = why;
    return r;
}

static int load_collections(struct job *job, struct load_batch *batch, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < batch->n; i++)
        r = load_collection_entry(job, &batch->entries[i], err);
    return r;
}

/* ------------------------------------------------------------------- a thread */

/* They order searches and decide nothing: a failure is told, and the next load or itemloadd writes them. */
static void update_statistics(struct job *job, int interval_ms)
{
    struct err err = ERR_INIT;
    if (pgstac_is_connected(job->database.pgstac) &&
        after_call(job, pgstac_update_statistics(job->database.pgstac, interval_ms, &err), &err) != 0)
        load_progress_say(job->shared->progress, "statistics were not written: %s", err.text);
}

static void give_back(const struct job *job, struct load_batch *batch)
{
    /* A pointer fits into the pipe whole (PIPE_BUF), and there is room for all that are under way. */
    while (write(job->shared->done[1], &batch, sizeof(batch)) < 0 && errno == EINTR)
        ;
}

/* The next batch; NULL: there are no more. */
static struct load_batch *take(int fd)
{
    struct load_batch *batch = NULL;
    ssize_t n;
    while ((n = read(fd, &batch, sizeof(batch))) < 0 && errno == EINTR)
        ;
    return n == (ssize_t)sizeof(batch) ? batch : NULL;
}

static int open_job(struct job *job, struct err *err)
{
    const char *sslmode = getenv("PGSSLMODE");
    struct database_options options = {
        .secret_arn = job->shared->options->secret,
        .sslmode = sslmode && *sslmode ? sslmode : "verify-full",
        .application_name = "itemctl",
        .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .missing_collection = job->shared->options->missing_collection,
        .known = job->shared->known,
    };
    int r = job->shared->aws ? aws_client_new(job->shared->aws, job->shared->abort_fd, &job->client, err) : 0;
    return r != 0 ? r : database_open(&options, job->client, job->shared->abort_fd, &job->database, err);
}

static void *work(void *context)
{
    const struct load_worker *worker = context;
    struct job job = { .shared = worker->shared };
    struct err err = ERR_INIT;
    int opened = open_job(&job, &err);
    for (struct load_batch *batch; (batch = take(worker->in[0])) != NULL; give_back(&job, batch)) {
        batch->err = err;
        batch->result = opened;
        if (opened == 0)
            batch->result = job.shared->options->collections ? load_collections(&job, batch, &batch->err)
                                                             : load_items(&job, batch, &batch->err);
        if (batch->result == 0)
            update_statistics(&job, STATISTICS_INTERVAL_MS);
    }
    if (opened == 0)
        update_statistics(&job, 0);
    database_close(&job.database);
    aws_client_free(job.client);
    give_back(&job, NULL);
    return NULL;
}

int load_worker_start(struct load_worker *worker, struct load_shared *shared, struct err *err)
{
    *worker = (struct load_worker){ .shared = shared, .in = { -1, -1 } };
    if (pipe2(worker->in, O_CLOEXEC) != 0)
        return err_fatal(err, errno, "making a pipe");
    int error = pthread_create(&worker->thread, NULL, work, worker);
    if (error == 0)
        return 0;
    base_close_fd(&worker->in[0]);
    base_close_fd(&worker->in[1]);
    return err_fatal(err, error, "starting a thread");
}

int load_worker_give(struct load_worker *worker, struct load_batch *batch, struct err *err)
{
    ssize_t n;
    while ((n = write(worker->in[1], &batch, sizeof(batch))) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)sizeof(batch))
        return err_fatal(err, errno, "handing a batch over");
    worker->outstanding++;
    return 0;
}

void load_worker_finish(struct load_worker *worker)
{
    base_close_fd(&worker->in[1]);
    worker->in[1] = -1;
}

void load_worker_join(struct load_worker *worker)
{
    load_worker_finish(worker);
    pthread_join(worker->thread, NULL);
    base_close_fd(&worker->in[0]);
}
