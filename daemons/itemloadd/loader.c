#include "itemloadd/loader.h"

#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "daemon/log.h"
#include "itemloadd/documents.h"
#include "itemloadd/fill.h"
#include "itemloadd/objects.h"
#include "pgstac/database.h"
#include "worker/consumer.h"

struct loader {
    struct worker *worker;
    char name[32];
    const struct itemloadd_options *options;
    struct consumer *consumer;
    struct known *known; /* shared by all loaders */
    struct consumer_thread thread;
    struct database database;
    int64_t n_connections;    /* those that have been logged, or that need not be */
    char logged_database[64]; /* version and load path, as logged last */
    bool has_statistics_due;  /* items were loaded since all statistics were written */
};

/* ------------------------------------------------------------- the database */

static void log_connection(struct loader *loader)
{
    const struct pgstac *pgstac = loader->database.pgstac;
    const char *version = pgstac_version(pgstac), *why = pgstac_why_portable(pgstac);
    if (!version || loader->n_connections == loader->database.n_connections)
        return;
    loader->n_connections = loader->database.n_connections;
    char text[sizeof(loader->logged_database)];
    snprintf(text, sizeof(text), "%s %s", version, why ? "portable" : "fast");
    /* After an outage, only a change is worth a line: DEPENDENCY_UP is logged. */
    if (loader->thread.outage.attempts > 0 && strcmp(text, loader->logged_database) == 0)
        return;
    memcpy(loader->logged_database, text, sizeof(text));
    log_write(LOG_INFO, LOG_EVENT_DATABASE_CONNECTED,
              LOG_FIELDS({ "PGSTAC_VERSION", version }, { "LOAD_PATH", why ? "portable" : "fast" }),
              why ? "%s: connected to pgstac %s, the portable path: this database %s"
                  : "%s: connected to pgstac %s, the fast path%s",
              loader->name, version, why ? why : "");
}

/* Before a call to the database: how long it may take. */
static void pulse(const struct loader *loader)
{
    const struct itemloadd_options *options = loader->options;
    bool is_connected = pgstac_is_connected(loader->database.pgstac);
    int64_t connect_ms = is_connected ? 0 : options->connect_timeout_ms + 120000;
    service_pulse(loader->worker, connect_ms + 10 * options->statement_timeout_ms + 60000);
}

/* After it: true after a wait for the end of an outage, when the call is to be made again. If the result is an outage
 * and this is false, the service stops. */
static bool wait_out(struct loader *loader, int result, const struct err *err)
{
    log_connection(loader);
    return outage_wait(&loader->thread.outage, result, err);
}

static int connect(struct loader *loader, struct err *err)
{
    int r;
    do {
        pulse(loader);
        r = database_connect(&loader->database, err);
    } while (wait_out(loader, r, err));
    return r;
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
    static const char *const outcomes[] = {
        [PGSTAC_INSERTED] = "inserted",
        [PGSTAC_UPDATED] = "updated",
        [PGSTAC_STALE] = "kept a newer version of",
        [PGSTAC_SUPERSEDED] = "passed over an older version of",
    };
    const struct sqs_message *message = documents->messages[document->message].message;
    const char *id = document->id, *outcome = outcomes[document->item.outcome];
    if (document->item.result != 0)
        return; /* settle logs it */
    if (document->item.rebased_partitions > 0)
        log_base_item_replaced(document);
    if (document->is_collection)
        log_write(LOG_INFO, LOG_EVENT_COLLECTION_LOADED,
                  LOG_FIELDS({ "SQS_MESSAGE_ID", message->message_id }, { "COLLECTION", id }),
                  "%s collection %s (message %s)", document->item.outcome == PGSTAC_STALE ? outcome : "loaded", id,
                  message->message_id);
    else
        log_write(LOG_INFO, LOG_EVENT_ITEM_LOADED,
                  LOG_FIELDS({ "SQS_MESSAGE_ID", message->message_id },
                             { "COLLECTION", document->item.item.collection }, { "ITEM_ID", id }),
                  "%s item %s of collection %s (message %s)", outcome, id, document->item.item.collection,
                  message->message_id);
}

static void log_batch(const struct loader *loader, const struct documents *documents, int64_t start_ms)
{
    size_t loaded = 0, failed = 0;
    for (size_t i = 0; i < documents->n; i++) {
        const struct document *document = &documents->list[i];
        log_document(documents, document);
        loaded += document->item.result == 0 && document->item.outcome != PGSTAC_SUPERSEDED;
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

/*
 * Loads the documents of the list, and reports their results to their messages. It waits while the database is down.
 * LATER: the service stops during such an outage.
 */
static int load_documents(struct loader *loader, struct documents *documents, struct err *err)
{
    struct database *database = &loader->database;
    int64_t start_ms = time_mono_ms();
    int r = 0;

    /* Collections come first, because the items may belong to them. Every version of a collection is loaded, so if a
     * newer one is refused, an older one remains. */
    for (size_t i = 0; i < documents->n; i++) {
        struct document *document = &documents->list[i];
        if (!document->is_collection || !document->is_valid)
            continue;
        do {
            pulse(loader);
            r = database_load_collection(database, &document->item, err);
        } while (wait_out(loader, r, err));
        if (r != 0)
            return r;
    }

    auto_dedupe struct dedupe dedupe = { .n = 0 };
    struct pgstac_item **items = NULL;
    r = documents_dedupe(documents, &dedupe, err);
    if (r != 0)
        return r;
    for (size_t n; (n = dedupe_next(&dedupe, (size_t)loader->options->batch_items, &items)) > 0;) {
        do {
            pulse(loader);
            r = database_load(database, items, n, err);
            loader->has_statistics_due = true; /* also after an error: some of the items may be loaded */
        } while (wait_out(loader, r, err));
        if (r != 0)
            return r;
    }

    if (documents->n > 0)
        log_batch(loader, documents, start_ms);
    documents_conclude(documents);
    return 0;
}

/* Loads the S3 objects that messages name, one batch of documents at a time. LATER as load_documents has it. */
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
        if (r == 0 && documents->n == 0) {
            documents_end_objects(documents);
            return 0;
        }
        if (r == 0)
            r = load_documents(loader, documents, err);
        if (r != 0)
            return r;
    }
}

/* Settles the messages that are done or returned. */
static int settle_messages(struct loader *loader, struct documents *documents, struct err *err)
{
    auto_free struct settlement *settlements = calloc(documents->n_messages, sizeof(*settlements));
    if (!settlements)
        return err_no_memory(err);
    service_pulse(loader->worker, 300000);
    return settle(loader->thread.settler, settlements, documents_settlements(documents, settlements), err);
}

/* Statistics that are due stay due when the connection ends, so this connects again if it has to. `interval_ms`: see
 * pgstac_update_statistics. */
static int update_statistics(struct loader *loader, int64_t interval_ms, struct err *err)
{
    if (!loader->has_statistics_due)
        return 0;
    int r = connect(loader, err);
    if (r == 0) {
        pulse(loader);
        r = database_update_statistics(&loader->database, (int)interval_ms, err);
    }
    if (r == 0)
        loader->has_statistics_due = interval_ms > 0; /* those of the last interval still are */
    if (r > 0)
        log_write(LOG_WARNING, LOG_EVENT_WARNING, NULL, "%s: the statistics of partitions are not up to date: %s",
                  loader->name, err->text);
    return r < 0 ? r : 0;
}

/* Receives the messages of a batch, loads their documents and settles them. */
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
    if (r == 0 && documents.objects.n > 0) {
        r = settle_messages(loader, &documents, err); /* those with documents in them need not wait for objects */
        if (r == 0)
            r = load_objects(loader, &documents, err);
    }
    if (r > 0)
        documents_interrupt(&documents);
    if (r >= 0)
        r = settle_messages(loader, &documents, err);
    if (r != 0 || service_is_draining(loader->consumer->service))
        return r; /* work() updates the statistics at the end */
    return update_statistics(loader, loader->options->statistics_interval_ms, err);
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
    /* Connect first: messages that cannot be loaded should not be received. */
    if (r == 0)
        r = connect(loader, err);
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
