#include "itemloadd/loader.h"

#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "worker/consumer.h"
#include "pgstac/database.h"
#include "daemon/log.h"
#include "itemloadd/documents.h"
#include "itemloadd/fill.h"
#include "itemloadd/objects.h"

struct loader {
    struct worker *worker;
    char name[32];
    const struct itemloadd_options *options;
    struct consumer *consumer;
    struct known *known; /* shared by all of them */
    struct consumer_thread thread;
    struct database database;
    bool has_statistics_due; /* items were loaded since all statistics were written */
    char told[64];           /* version and load path, as logged last */
};

/* ---------------------------------------------------------------- loading */

static void log_connected(struct loader *loader)
{
    const struct pgstac *pgstac = loader->database.pgstac;
    const char *version = pgstac_version(pgstac), *why = pgstac_why_portable(pgstac);
    char told[sizeof(loader->told)];
    snprintf(told, sizeof(told), "%s %s", version, why ? "portable" : "fast");
    /* With a full disk, every attempt connects and then fails: log the connection once. */
    if (loader->thread.outage.attempts > 0 && strcmp(told, loader->told) == 0)
        return;
    memcpy(loader->told, told, sizeof(told));
    log_write(LOG_INFO, LOG_EVENT_DATABASE_CONNECTED,
              LOG_FIELDS({ "PGSTAC_VERSION", version }, { "LOAD_PATH", why ? "portable" : "fast" }),
              why ? "%s: connected to pgstac %s, the portable path: this database %s"
                  : "%s: connected to pgstac %s, the fast path%s",
              loader->name, version, why ? why : "");
}

static int connect(struct loader *loader, struct err *err)
{
    if (pgstac_is_connected(loader->database.pgstac))
        return 0;
    service_pulse(loader->worker, loader->options->connect_timeout_ms + 120000);
    int r = database_connect(&loader->database, err);
    if (r == 0)
        log_connected(loader);
    return r;
}

/* 0: connected. LATER: the service drains and the database is still down. */
static int connect_patiently(struct loader *loader, struct err *err)
{
    int r;
    do
        r = connect(loader, err);
    while (outage_wait(&loader->thread.outage, r, err));
    return r;
}

/* After a call that found the database gone, the next call connects again. */
static int after_call(struct loader *loader, int result, const struct err *err)
{
    if (result == LATER && err->outage)
        database_give_up(&loader->database);
    return result;
}

static int load_chunk(struct loader *loader, struct pgstac_item *const *items, size_t n, struct err *err)
{
    int r;
    do {
        /* In one loop, because a connection alone does not end an outage: with a full disk, only writing fails. */
        r = connect(loader, err);
        service_pulse(loader->worker, 10 * loader->options->statement_timeout_ms + 60000);
        if (r == 0)
            r = after_call(loader, pgstac_load(loader->database.pgstac, items, n, err), err);
        loader->has_statistics_due = true; /* even after an error: a part of the items may be in */
    } while (outage_wait(&loader->thread.outage, r, err));
    return r;
}

static int load_picked(struct loader *loader, const struct dedupe_version *versions, const size_t *picked, size_t n,
                       struct err *err)
{
    size_t chunk_max = (size_t)loader->options->batch_items;
    auto_free struct pgstac_item **items = calloc(n < chunk_max ? n : chunk_max, sizeof(struct pgstac_item *));
    if (!items)
        return err_no_memory(err);
    for (size_t first = 0; first < n; first += chunk_max) {
        size_t chunk = n - first < chunk_max ? n - first : chunk_max;
        for (size_t i = 0; i < chunk; i++)
            items[i] = versions[picked[first + i]].item;
        int r = load_chunk(loader, items, chunk, err);
        if (r != 0)
            return r;
    }
    return 0;
}

static int load_items(struct loader *loader, struct documents *documents, struct err *err)
{
    auto_free struct dedupe_version *versions = calloc(documents->n + 1, sizeof(*versions));
    auto_free size_t *picked = calloc(documents->n + 1, sizeof(*picked));
    if (!versions || !picked)
        return err_no_memory(err);
    size_t n = documents_versions(documents, versions), n_picked;
    while ((n_picked = dedupe_pick(versions, n, picked)) > 0) {
        int r = load_picked(loader, versions, picked, n_picked, err);
        if (r != 0)
            return r;
        dedupe_settle(versions, n);
    }
    documents_settle(documents, versions, n);
    return 0;
}

static int load_collection(struct loader *loader, struct document *document, struct err *err)
{
    int r;
    do {
        r = connect(loader, err);
        if (r == 0)
            r = after_call(loader, pgstac_load_collection(loader->database.pgstac, &document->item, err), err);
    } while (outage_wait(&loader->thread.outage, r, err));
    if (r < 0 || (r == LATER && err->outage))
        return r;
    document->item.result = r;
    if (r != 0)
        document->item.err = *err;
    document->settled = true;
    return 0;
}

/* Before the items, which may belong to them. Loads every version: if a newer one is refused, an older one remains. */
static int load_collections(struct loader *loader, struct documents *documents, struct err *err)
{
    for (size_t i = 0; i < documents->n; i++) {
        struct document *document = &documents->list[i];
        int r = document->is_collection && !document->settled ? load_collection(loader, document, err) : 0;
        if (r != 0)
            return r;
    }
    return 0;
}

/* ---------------------------------------------------------------- log */

static void log_base_item_replaced(const struct document *document)
{
    char partitions[16];
    snprintf(partitions, sizeof(partitions), "%d", document->item.rebased_partitions);
    log_write(LOG_WARNING, LOG_EVENT_BASE_ITEM_REPLACED,
              LOG_FIELDS({ "COLLECTION", document->id }, { "PARTITIONS", partitions }),
              "collection %s now has another base item (item_assets or stac_version): items that are already in %s "
              "partitions may read back differently; load them again, or use pgstac 0.10, which keeps versions",
              document->id, partitions);
}

static void log_document(const struct documents *documents, const struct document *document)
{
    static const char *const outcomes[] = { "inserted", "updated", "kept a newer version of" };
    const struct sqs_message *message = documents->messages[document->message].message;
    const char *id = document->id;
    if (document->item.result != 0)
        return; /* settle logs it */
    if (document->item.rebased_partitions > 0)
        log_base_item_replaced(document);
    if (document->is_collection)
        log_write(LOG_INFO, LOG_EVENT_COLLECTION_LOADED,
                  LOG_FIELDS({ "SQS_MESSAGE_ID", message->message_id }, { "COLLECTION", id }),
                  "%s collection %s (message %s)",
                  document->item.outcome == PGSTAC_STALE ? outcomes[PGSTAC_STALE] : "loaded", id, message->message_id);
    else
        log_write(LOG_INFO, LOG_EVENT_ITEM_LOADED,
                  LOG_FIELDS({ "SQS_MESSAGE_ID", message->message_id },
                             { "COLLECTION", document->item.item.collection }, { "ITEM_ID", id }),
                  "%s item %s of collection %s (message %s)",
                  document->superseded ? "passed over an older version of" : outcomes[document->item.outcome], id,
                  document->item.item.collection, message->message_id);
}

static void log_batch(const struct loader *loader, const struct documents *documents, int64_t start_ms)
{
    size_t loaded = 0, failed = 0;
    for (size_t i = 0; i < documents->n; i++) {
        const struct document *document = &documents->list[i];
        log_document(documents, document);
        loaded += document->item.result == 0 && !document->superseded;
        failed += document->item.result != 0;
    }
    struct service_counters *counters = service_counters(loader->consumer->service);
    int64_t duration_ms = time_mono_ms() - start_ms;
    counters->items += (int64_t)loaded;
    counters->batches++;
    counters->work_ms += duration_ms;
    char messages[24], items[24], duration[24];
    snprintf(messages, sizeof(messages), "%zu", documents->n_messages);
    snprintf(items, sizeof(items), "%zu", loaded);
    snprintf(duration, sizeof(duration), "%lld", (long long)duration_ms);
    log_write(LOG_INFO, LOG_EVENT_BATCH_LOADED,
              LOG_FIELDS({ "MESSAGES", messages }, { "ITEMS", items }, { "DURATION_MS", duration }),
              "%s loaded %s documents of %s messages in %s ms, %zu failed", loader->name, items, messages, duration,
              failed);
}

/* ----------------------------------------------------------------- a batch */

static int load_documents(struct loader *loader, struct documents *documents, struct err *err)
{
    int64_t start_ms = time_mono_ms();
    int r = load_collections(loader, documents, err);
    if (r == 0)
        r = load_items(loader, documents, err);
    if (r != 0)
        return r;
    if (documents->n > 0)
        log_batch(loader, documents, start_ms);
    documents_conclude(documents);
    return 0;
}

/* Loads the S3 objects that messages name, one batch at a time. Comes after the documents in the messages. */
static int load_objects(struct loader *loader, struct documents *documents, struct err *err)
{
    auto_objects struct objects objects = { .options = loader->options,
                                            .client = loader->thread.client,
                                            .worker = loader->worker };
    for (;;) {
        int r;
        do
            r = objects_fill(&objects, documents, err);
        while (outage_wait(&loader->thread.outage, r, err));
        if (r == 0 && documents->n > 0)
            r = load_documents(loader, documents, err);
        else if (r == 0)
            break;
        if (r != 0)
            return r;
    }
    documents_conclude(documents);
    return 0;
}

/*
 * Settles the messages that name objects, or the others. `loaded` false: the service drains during an outage, so
 * messages without a result of their own go back to the queue.
 */
static int settle_batch(struct loader *loader, const struct documents *documents, bool name_objects, bool loaded,
                        struct err *err)
{
    auto_free struct settlement *settlements = calloc(documents->n_messages, sizeof(*settlements));
    if (!settlements)
        return err_no_memory(err);
    size_t n = 0;
    for (size_t i = 0; i < documents->n_messages; i++) {
        const struct opened *opened = &documents->messages[i];
        if ((opened->n_objects > 0) != name_objects)
            continue;
        bool is_final = loaded || (opened->result != 0 && opened->n_listed == 0 && !name_objects);
        settlements[n++] = (struct settlement){ .message = opened->message,
                                                .result = is_final ? opened->result : SETTLE_RETURN,
                                                .err = &opened->err,
                                                .published_at_ms = opened->envelope.published_at_ms };
    }
    service_pulse(loader->worker, 300000);
    return settle(loader->thread.settler, settlements, n, err);
}

/* Statistics that are due stay due when the connection ends, so this connects again if it has to. */
static int update_statistics(struct loader *loader, int64_t interval_ms, struct err *err)
{
    bool stop_will = interval_ms > 0 && service_is_draining(loader->consumer->service);
    if (!loader->has_statistics_due || stop_will)
        return 0;
    int r = connect_patiently(loader, err);
    if (r == 0) {
        service_pulse(loader->worker, 10 * loader->options->statement_timeout_ms + 60000);
        r = after_call(loader, pgstac_update_statistics(loader->database.pgstac, (int)interval_ms, err), err);
    }
    if (r == 0)
        loader->has_statistics_due = interval_ms > 0; /* those of the last interval still are */
    if (r > 0)
        log_write(LOG_WARNING, LOG_EVENT_WARNING, NULL, "%s: the statistics of partitions are not up to date: %s",
                  loader->name, err->text);
    return r < 0 ? r : 0;
}

static int step(struct loader *loader, struct err *err)
{
    auto_sqs_messages struct sqs_messages messages = { .list = NULL };
    int r = fill_batch(&loader->thread, loader->options, &messages, err);
    if (r != 0)
        return r;
    if (messages.n == 0)
        return update_statistics(loader, 0, err);

    auto_documents struct documents documents = { .list = NULL };
    r = documents_open(loader->database.pgstac, &messages, &documents, err);
    if (r == 0)
        r = load_documents(loader, &documents, err);
    if (r < 0)
        return r;
    bool loaded = r == 0;
    r = settle_batch(loader, &documents, false, loaded, err);
    if (r == 0 && documents.objects.n > 0) {
        r = loaded ? load_objects(loader, &documents, err) : LATER;
        if (r >= 0)
            r = settle_batch(loader, &documents, true, r == 0, err);
    }
    return r < 0 ? r : update_statistics(loader, loader->options->statistics_interval_ms, err);
}

static int open_database(struct loader *loader, struct err *err)
{
    const struct itemloadd_options *options = loader->options;
    struct database_options database = {
        .secret_arn = options->secret_arn,
        .sslmode = itemloadd_sslmodes[options->db_sslmode],
        .sslrootcert = options->db_sslrootcert,
        .application_name = "itemloadd",
        .statement_timeout_ms = (int)options->statement_timeout_ms,
        .connect_timeout_ms = (int)options->connect_timeout_ms,
        .missing_collection = (enum missing_collection)options->missing_collection,
        .known = loader->known,
    };
    return database_open(&database, loader->thread.client, service_abort_fd(loader->consumer->service),
                         &loader->database, err);
}

static int work(struct worker *worker, struct err *err)
{
    struct loader *loader = worker->context;
    int r = consumer_thread_open(loader->consumer, worker, &loader->thread, err);
    if (r == 0)
        r = open_database(loader, err);
    /* First the connection: messages that cannot be loaded should not be received. */
    if (r == 0)
        r = connect_patiently(loader, err);
    while (r == 0 && !service_is_draining(loader->consumer->service))
        r = step(loader, err);
    if (r == 0)
        r = update_statistics(loader, 0, err);
    database_close(&loader->database);
    consumer_thread_close(&loader->thread);
    /* An outage that lasts until the stop is not a failure of the daemon. */
    return r == LATER ? 0 : r;
}

static int run_workers(const struct itemloadd_options *options, struct consumer *consumer, struct known *known,
                       struct err *err)
{
    size_t n = (size_t)options->common.workers;
    auto_free struct loader *loaders = calloc(n, sizeof(*loaders));
    auto_free struct worker *workers = calloc(n, sizeof(*workers));
    if (!loaders || !workers)
        return err_no_memory(err);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        loaders[i] = (struct loader){ .worker = &workers[i], .options = options, .consumer = consumer, .known = known };
        snprintf(loaders[i].name, sizeof(loaders[i].name), "loader %zu", i + 1);
        workers[i].name = loaders[i].name;
        workers[i].work = work;
        workers[i].context = &loaders[i];
        r = service_start(consumer->service, &workers[i], err);
    }
    return service_wait(consumer->service, workers, n, err);
}

int loader_run(const void *config, struct service *service, struct err *err)
{
    const struct itemloadd_options *options = config;
    struct consumer consumer = { .service = service };
    int r = consumer_open(&options->common, service, &consumer, err);
    if (r != 0)
        return r;
    struct known *known = NULL;
    r = known_new(&known, err);
    if (r == 0)
        r = run_workers(options, &consumer, known, err);
    known_free(known);
    consumer_close(&consumer);
    return r;
}
