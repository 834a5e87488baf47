#include "itemctl/load_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/json.h"
#include "base/time.h"
#include "pgstac/database.h"
#include "pgstac/dedupe.h"

enum {
    STATEMENT_TIMEOUT_MS = 45000,
    CONNECT_TIMEOUT_MS = 10000,
    STATISTICS_INTERVAL_MS = 60000,
    OUTAGE_WAIT_MS = 1000, /* before the first attempt at a database that is down; it doubles, up to: */
    OUTAGE_WAIT_MAX_MS = 15000,
    LATER_ATTEMPTS = 6, /* at a document that is to be tried again later, and the first wait, which doubles: */
    LATER_WAIT_MS = 1000,
    LATER_WAIT_MAX_MS = 16000,
};

/* The state of a thread. */
struct loader {
    struct load_shared *shared;
    struct aws_client *client;
    struct database database;
    int outage_attempts;
};

/* ----------------------------------------------------------------- waiting */

/* False: a stop has been requested. */
static bool wait_ms(const struct loader *loader, int64_t ms)
{
    return wait_fd(-1, 0, loader->shared->drain_fd, time_mono_ms() + ms) == WAIT_TIMEOUT;
}

/* Before the first connection, an error that somebody has to fix ends the load. A database that has worked will work
 * again. */
static bool may_pass(const struct loader *loader, const struct err *err)
{
    static const char *const passing[] = { "database_unavailable", "database_refused", "service_unavailable",
                                           "connection_failed",    "timeout",          "throttled" };
    for (size_t i = 0; i < N_ELEMENTS(passing); i++)
        if (err_is(err, passing[i]))
            return true;
    return loader->shared->connected;
}

/* As `do r = call(); while (wait_out(loader, r, err));`: true after a wait for the end of an outage. */
static bool wait_out(struct loader *loader, int result, const struct err *err)
{
    struct load_shared *shared = loader->shared;
    if (result != LATER || !err->outage) {
        if (result == 0 && atomic_exchange(&shared->is_outage, false))
            load_progress_say(shared->progress, "the database is available again");
        loader->outage_attempts = 0;
        shared->connected |= result == 0;
        return false;
    }
    if (shared->options->no_wait || !may_pass(loader, err))
        return false;
    if (!atomic_exchange(&shared->is_outage, true))
        load_progress_say(shared->progress, "%s; waiting for the database (Ctrl-C stops)", err->text);
    return wait_ms(loader, backoff_ms(OUTAGE_WAIT_MS, 2, OUTAGE_WAIT_MAX_MS, ++loader->outage_attempts));
}

/* ----------------------------------------------------------------- loading */

/*
 * Loads documents until each has its result. Those that are to be tried again later are, for half a minute, and then
 * count as failed. `list` is overwritten.
 */
static int load(struct loader *loader, struct pgstac_item **list, size_t n, struct err *err)
{
    struct database *database = &loader->database;
    for (int attempt = 1; n > 0; attempt++) {
        int r;
        do
            r = loader->shared->options->collections ? database_load_collection(database, list[0], err)
                                                     : database_load(database, list, n, err);
        while (wait_out(loader, r, err));
        if (r != 0)
            return r;
        size_t n_later = 0;
        for (size_t i = 0; i < n; i++) {
            if (list[i]->result == LATER && attempt < LATER_ATTEMPTS)
                list[n_later++] = list[i];
            else if (list[i]->result == LATER)
                list[i]->result = NEVER;
        }
        n = n_later;
        if (n > 0 && !wait_ms(loader, backoff_ms(LATER_WAIT_MS, 2, LATER_WAIT_MAX_MS, attempt)))
            return err_later(err, "interrupted", "interrupted while documents waited to be tried again");
    }
    return 0;
}

/* Keeps the document for the rejects file: on one line, if it is JSON. */
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

/* The tree, which is ten times as large as its text, is not kept. An invalid document is rejected. */
static int read_document(const struct loader *loader, struct load_entry *entry, struct pgstac_item *ret,
                         struct err *err)
{
    *ret = (struct pgstac_item){ .text = buf_str(&entry->document.text),
                                 .text_len = entry->document.text.len,
                                 .published_at_ms = loader->shared->published_at_ms };
    auto_json cJSON *json = NULL;
    int r = split_document_parse(&entry->document, &json, &ret->err);
    if (r == 0 && !loader->shared->options->collections)
        r = pgstac_item_read(loader->database.pgstac, json, ret);
    if (r < 0)
        *err = ret->err;
    return r == NEVER ? reject(entry, &ret->err, err) : r;
}

static int conclude_document(const struct loader *loader, struct load_entry *entry, const struct pgstac_item *item,
                             struct err *err)
{
    entry->outcome = item->outcome;
    if (item->result != 0)
        return reject(entry, &item->err, err);
    if (item->rebased_partitions > 0)
        load_progress_say(loader->shared->progress,
                          "warning: line %lld: the collection now has another base item (item_assets or stac_version): "
                          "items that are already in %d partitions may read back differently; load them again",
                          (long long)entry->document.line, item->rebased_partitions);
    return 0;
}

/* Documents as pgstac takes them. */
struct documents {
    struct pgstac_item *list; /* by entry of the batch */
    size_t n;
};

static void clear_documents(struct documents *documents)
{
    for (size_t i = 0; i < documents->n; i++)
        pgstac_item_clear(&documents->list[i]);
    free(documents->list);
}

static int load_batch(struct loader *loader, struct load_batch *batch, struct err *err)
{
    cleanup(clear_documents) struct documents documents = { .list = calloc(batch->n, sizeof(*documents.list)) };
    auto_dedupe struct dedupe dedupe = { .n = 0 };
    if (!documents.list)
        return err_no_memory(err);
    int r = dedupe_init(&dedupe, batch->n, err);
    for (; r == 0 && documents.n < batch->n; documents.n++) {
        struct load_entry *entry = &batch->entries[documents.n];
        struct pgstac_item *document = &documents.list[documents.n];
        r = read_document(loader, entry, document, err);
        if (r != 0 || entry->result != 0)
            continue;
        if (!loader->shared->options->collections)
            dedupe_add(&dedupe, document, documents.n);
        else /* every version is loaded, in the order of the input: the last one wins */
            r = load(loader, &document, 1, err);
    }
    struct pgstac_item **items = NULL;
    for (size_t n; r == 0 && (n = dedupe_next(&dedupe, batch->n, &items)) > 0;)
        r = load(loader, items, n, err);

    for (size_t i = 0; r == 0 && i < batch->n; i++)
        if (batch->entries[i].result == 0)
            r = conclude_document(loader, &batch->entries[i], &documents.list[i], err);
    return r;
}

/* ---------------------------------------------------------------- a thread */

/* Statistics only make searches faster. A failure is reported, and the next load or itemloadd writes them. */
static void update_statistics(struct loader *loader, int interval_ms)
{
    struct err err = ERR_INIT;
    if (pgstac_is_connected(loader->database.pgstac) &&
        database_update_statistics(&loader->database, interval_ms, &err) != 0)
        load_progress_say(loader->shared->progress, "the statistics of partitions are not up to date: %s", err.text);
}

static void return_batch(const struct loader *loader, struct load_batch *batch)
{
    /* A pointer is written as a whole (PIPE_BUF), and the pipe has room for all batches in progress. */
    while (write(loader->shared->done[1], &batch, sizeof(batch)) < 0 && errno == EINTR)
        ;
}

/* NULL: that was the last one. */
static struct load_batch *next_batch(int fd)
{
    struct load_batch *batch = NULL;
    ssize_t n;
    while ((n = read(fd, &batch, sizeof(batch))) < 0 && errno == EINTR)
        ;
    return n == (ssize_t)sizeof(batch) ? batch : NULL;
}

static int open_loader(struct loader *loader, struct err *err)
{
    const char *sslmode = getenv("PGSSLMODE");
    struct database_options options = {
        .secret_arn = loader->shared->options->secret,
        .sslmode = sslmode && *sslmode ? sslmode : "verify-full",
        .application_name = "itemctl",
        .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .missing_collection = loader->shared->options->missing_collection,
        .known = loader->shared->known,
    };
    int r =
        loader->shared->aws ? aws_client_new(loader->shared->aws, loader->shared->abort_fd, &loader->client, err) : 0;
    return r != 0 ? r : database_open(&options, loader->client, loader->shared->abort_fd, &loader->database, err);
}

static void *work(void *context)
{
    const struct load_worker *worker = context;
    struct loader loader = { .shared = worker->shared };
    struct err err = ERR_INIT;
    int opened = open_loader(&loader, &err);
    for (struct load_batch *batch; (batch = next_batch(worker->in[0])) != NULL; return_batch(&loader, batch)) {
        batch->err = err;
        batch->result = opened;
        if (opened == 0)
            batch->result = load_batch(&loader, batch, &batch->err);
        if (batch->result == 0)
            update_statistics(&loader, STATISTICS_INTERVAL_MS);
    }
    if (opened == 0)
        update_statistics(&loader, 0);
    database_close(&loader.database);
    aws_client_free(loader.client);
    return_batch(&loader, NULL);
    return NULL;
}

int load_worker_start(struct load_worker *worker, struct load_shared *shared, struct err *err)
{
    *worker = (struct load_worker){ .shared = shared, .in = { -1, -1 } };
    if (pipe2(worker->in, O_CLOEXEC) != 0)
        return err_fatal(err, errno, "creating a pipe");
    int error = pthread_create(&worker->thread, NULL, work, worker);
    if (error == 0)
        return 0;
    base_close_fd(&worker->in[0]);
    base_close_fd(&worker->in[1]);
    return err_fatal(err, error, "starting a thread");
}

int load_worker_send(struct load_worker *worker, struct load_batch *batch, struct err *err)
{
    ssize_t n;
    while ((n = write(worker->in[1], &batch, sizeof(batch))) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)sizeof(batch))
        return err_fatal(err, errno, "writing to the pipe of a worker");
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
