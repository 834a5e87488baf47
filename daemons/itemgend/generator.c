#include "itemgend/generator.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/time.h"
#include "worker/consumer.h"
#include "daemon/log.h"
#include "itemgend/item_maker.h"
#include "itemgend/sandbox/package_role.h"
#include "itemgend/request/packages.h"
#include "itemgend/request/backlog.h"
#include "itemgend/publish/publisher.h"
#include "itemgend/sandbox/sandbox.h"

enum {
    WAIT_MS = 60000, /* the longest that a worker with nothing to do waits at a time */
    POLL_MS = 50,    /* how often to check whether the receives of other workers have returned */
};

/* Shared by the workers of a run. */
struct shared {
    const struct itemgend_options *options;
    struct service *service;
    struct sandbox *sandbox;
    struct consumer consumer;
    struct packages *packages;
    struct package_role *package_role; /* NULL: none is configured */
    struct backlog *backlog;
    struct item_maker *maker;
    struct publisher *publisher;
    _Atomic size_t receives; /* in progress */
};

struct generator {
    struct worker *worker;
    char name[32];
    struct shared *shared;
    struct consumer_thread thread;
};

static bool is_draining(const struct generator *generator)
{
    return service_is_draining(generator->shared->service);
}

/* True: the work was not done because the service stops. The message is returned unchanged, with the backlog's. */
static bool is_interrupted(const struct generator *generator, int result, const struct err *err)
{
    return result == LATER && (err->outage || err_is(err, "interrupted")) && is_draining(generator);
}

static int settle_job(struct generator *generator, const struct job *job, int result, struct err *err)
{
    if (result < 0)
        return result;
    const struct settlement settlement = {
        .message = &job->message, .result = result, .err = err, .published_at_ms = job->envelope.published_at_ms
    };
    struct err settle_err = ERR_INIT;
    int r = settle(generator->thread.settler, &settlement, 1, &settle_err);
    if (r < 0)
        *err = settle_err;
    return r;
}

static void log_generated(const struct job *job, const struct made_item *item)
{
    const char *message_id = job->message.message_id, *package = job->request.package_name;
    char duration[24], memory[24];
    snprintf(duration, sizeof(duration), "%" PRId64, item->duration_ms);
    snprintf(memory, sizeof(memory), "%" PRId64, item->peak_memory >> 20);
    log_write(LOG_INFO, LOG_EVENT_ITEM_GENERATED,
              LOG_FIELDS({ "SQS_MESSAGE_ID", message_id }, { "COLLECTION", item->collection },
                         { "ITEM_ID", item->item_id }, { "PACKAGE", package }, { "DURATION_MS", duration },
                         { "PEAK_MIB", memory }),
              "generated item %s of collection %s with %s in %s ms (message %s)", item->item_id, item->collection,
              package, duration, message_id);
}

static int make_item(struct generator *generator, const struct request *request, struct made_item *ret, struct err *err)
{
    struct shared *shared = generator->shared;
    auto_strv struct strv credentials = STRV_INIT;
    service_pulse(generator->worker, item_maker_patience_ms(shared->maker, request));
    int r = package_role_variables(shared->package_role, generator->thread.client, &credentials, err);
    if (r == 0)
        r = item_maker_make(shared->maker, request, (const char *const *)credentials.list,
                            service_abort_fd(shared->service), ret, err);
    return r;
}

/* From the request to the published item. */
static int work_on(struct generator *generator, struct job *taken, struct err *err)
{
    auto_job struct job *job = taken;
    struct shared *shared = generator->shared;
    auto_made_item struct made_item item = MADE_ITEM_INIT;
    int r;
    do {
        r = make_item(generator, &job->request, &item, err);
        /* Requests that need no new environment go on while the registry is down, so the backlog waits for it, not
         * this worker. */
        if (r == LATER && err_is(err, "registry_unavailable") && !is_draining(generator)) {
            backlog_await_registry(shared->backlog, TAKE(job), err, time_mono_ms());
            return 0;
        }
    } while (outage_wait(&generator->thread.outage, r, err));
    if (!is_interrupted(generator, r, err))
        backlog_done(shared->backlog, job);
    if (r == 0) {
        const struct publication publication = { .text = &item.text,
                                                 .collection = item.collection,
                                                 .item_id = item.item_id,
                                                 .published_at_ms = job->envelope.published_at_ms };
        do
            r = publisher_publish(shared->publisher, generator->thread.client, generator->worker, &publication, err);
        while (outage_wait(&generator->thread.outage, r, err));
    }
    if (is_interrupted(generator, r, err)) {
        backlog_add(shared->backlog, TAKE(job));
        return 0;
    }
    if (r == 0) {
        struct service_counters *counters = service_counters(shared->service);
        counters->items++;
        counters->work_ms += item.duration_ms;
        log_generated(job, &item);
    }
    return settle_job(generator, job, r, err);
}

/* Receives a message and adds its request to the backlog. A message without a valid request is settled at once. */
static int receive(struct generator *generator, struct err *err)
{
    struct shared *shared = generator->shared;
    auto_sqs_messages struct sqs_messages messages = { .list = NULL };
    size_t full = 0;
    int64_t wait_ms = backlog_due_in_ms(shared->backlog, time_mono_ms(), shared->options->common.wait_time_ms);
    int r = 0;
    shared->receives++; /* before the check whether the service stops: see await_receives */
    if (!is_draining(generator))
        r = consumer_receive(&generator->thread, 1, 1, (int)((wait_ms + 999) / 1000), &messages, &full, err);
    shared->receives--;
    for (size_t i = 0; r == 0 && i < messages.n; i++) {
        auto_job struct job *job = NULL;
        r = job_new(&messages.list[i], &job, err);
        if (r != 0)
            break;
        r = job_open(job, &shared->options->allowed_packages, err);
        if (r != 0) {
            r = settle_job(generator, job, r, err);
            continue;
        }
        if (job->request.unknown_keys.len)
            log_write(LOG_WARNING, LOG_EVENT_WARNING, LOG_FIELDS({ "SQS_MESSAGE_ID", job->message.message_id }),
                      "unknown keys in the request were ignored: %s", buf_str(&job->request.unknown_keys));
        backlog_add(shared->backlog, TAKE(job));
    }
    return r;
}

/* Works on the next request, or receives one, or waits while the backlog is full and every request in it has to wait.
 */
static int step(struct generator *generator, struct err *err)
{
    struct backlog *backlog = generator->shared->backlog;
    int64_t now_ms = time_mono_ms();
    struct job *job = backlog_take(backlog, now_ms);
    if (job)
        return work_on(generator, job, err);
    if (!backlog_is_full(backlog))
        return receive(generator, err);
    service_pulse(generator->worker, 2 * WAIT_MS);
    (void)backlog_wait(backlog, service_drain_fd(generator->shared->service),
                       now_ms + backlog_due_in_ms(backlog, now_ms, WAIT_MS));
    return 0;
}

/* A message that is returned while another worker's receive is open would be delivered to it at once, which would cost
 * it one more receive. */
static void await_receives(struct generator *generator)
{
    int abort_fd = service_abort_fd(generator->shared->service);
    service_pulse(generator->worker, generator->shared->options->common.wait_time_ms + 2 * WAIT_MS);
    while (generator->shared->receives > 0 && wait_fd(-1, 0, abort_fd, time_mono_ms() + POLL_MS) != WAIT_STOPPED)
        ;
}

/* At the end. A worker adds nothing to the backlog after it came here, so the last one leaves it empty. */
static int return_backlog(struct generator *generator, struct err *err)
{
    int r = 0;
    await_receives(generator);
    for (struct job *taken = NULL; r == 0 && (taken = backlog_take_any(generator->shared->backlog));) {
        auto_job struct job *job = taken;
        r = settle_job(generator, job, SETTLE_RETURN, err);
    }
    return r;
}

static int work(struct worker *worker, struct err *err)
{
    struct generator *generator = worker->context;
    int r = consumer_thread_open(&generator->shared->consumer, worker, &generator->thread, err);
    while (r == 0 && !is_draining(generator))
        r = step(generator, err);
    if (r == 0)
        r = return_backlog(generator, err);
    consumer_thread_close(&generator->thread);
    /* An outage that lasts until the stop is not a failure of this process. */
    return r == LATER ? 0 : r;
}

static int run_workers(struct shared *shared, struct err *err)
{
    size_t n = (size_t)shared->options->common.workers;
    auto_free struct generator *generators = calloc(n, sizeof(*generators));
    auto_free struct worker *workers = calloc(n, sizeof(*workers));
    if (!generators || !workers)
        return err_no_memory(err);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        generators[i] = (struct generator){ .worker = &workers[i], .shared = shared };
        snprintf(generators[i].name, sizeof(generators[i].name), "generator %zu", i + 1);
        workers[i].name = generators[i].name;
        workers[i].work = work;
        workers[i].context = &generators[i];
        r = service_start(shared->service, &workers[i], err);
    }
    return service_wait(shared->service, workers, n, err);
}

static int open_packages(struct shared *shared, struct err *err)
{
    auto_buf struct buf errors = BUF_INIT; /* stays empty: the configuration was checked at the start */
    int r = packages_parse(shared->options, &shared->packages, &errors);
    if (r != 0)
        return err_no_memory(err);
    const struct backlog_options options = {
        .packages = shared->packages,
        .workers = (size_t)shared->options->common.workers,
        .probe_interval_ms = shared->options->common.probe_interval_ms,
    };
    return backlog_new(&options, &shared->backlog, err);
}

static int shared_open(struct shared *shared, struct err *err)
{
    int r = sandbox_open(shared->options, service_drain_fd(shared->service), &shared->sandbox, err);
    if (r != 0)
        return r;
    sandbox_log(shared->sandbox);
    r = consumer_open(&shared->options->common, shared->service, &shared->consumer, err);
    if (r == 0)
        r = open_packages(shared, err);
    if (r == 0)
        r = package_role_new(shared->options, shared->packages, shared->consumer.aws, &shared->package_role, err);
    if (r == 0)
        r = item_maker_open(shared->options, shared->sandbox, shared->packages, &shared->maker, err);
    if (r == 0)
        r = publisher_new(shared->options, &shared->publisher, err);
    return r;
}

static void shared_close(struct shared *shared)
{
    publisher_free(shared->publisher);
    backlog_free(shared->backlog);
    item_maker_close(shared->maker);
    package_role_free(shared->package_role);
    packages_free(shared->packages);
    consumer_close(&shared->consumer);
    sandbox_free(shared->sandbox);
}

bool generator_describe(const void *config, struct buf *ret)
{
    struct err err = ERR_INIT;
    struct sandbox *sandbox = NULL;
    int r = sandbox_open(config, -1, &sandbox, &err);
    if (r == 0)
        sandbox_describe(sandbox, ret);
    else
        buf_printf(ret, "cannot start: %s\n", err.text);
    sandbox_free(sandbox);
    return r == 0;
}

int generator_run(const void *config, struct service *service, struct err *err)
{
    const struct itemgend_options *options = config;
    cleanup(shared_close) struct shared shared = { .options = options, .service = service };
    int r = shared_open(&shared, err);
    return r != 0 ? r : run_workers(&shared, err);
}
