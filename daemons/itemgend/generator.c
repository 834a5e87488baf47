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
    PARKED_MS = 60000, /* how long at most a worker that can do nothing waits at a time */
    LOOK_MS = 50,      /* between two looks at the polls of others */
};

/* What the workers of a run share. */
struct shared {
    const struct itemgend_options *options;
    struct service *service;
    struct sandbox *sandbox;
    struct consumer consumer;
    struct packages *packages;
    struct package_role *package_role; /* NULL: none is configured */
    struct parking *parking;
    struct generate *generate;
    struct publisher *publisher;
    _Atomic size_t polls; /* receives under way */
};

struct generator {
    struct worker *worker;
    char name[32];
    struct shared *shared;
    struct consumer_thread thread;
};

/* Publishes the finished item with the time that orders its versions: the request's. */
static int publish(struct generator *generator, const struct generated *generated, int64_t published_at_ms,
                   struct err *err)
{
    const struct publication publication = { .text = &generated->text,
                                             .collection = generated->collection,
                                             .item_id = generated->item_id,
                                             .published_at_ms = published_at_ms };
    return publisher_publish(generator->shared->publisher, generator->thread.client, generator->worker, &publication,
                             err);
}

static bool is_draining(const struct generator *generator)
{
    return service_is_draining(generator->shared->service);
}

/* While the service runs, parking waits for the registry. */
static bool awaits_registry(const struct generator *generator, int result, const struct err *err)
{
    return result == LATER && err_is(err, "registry_unavailable") && !is_draining(generator);
}

static int generate_once(struct generator *generator, const struct request *request, struct generated *ret,
                         struct err *err)
{
    const struct shared *shared = generator->shared;
    auto_strings struct strings variables = STRINGS_INIT;
    service_pulse(generator->worker, generate_patience_ms(shared->generate, request));
    int r = package_role_variables(shared->package_role, generator->thread.client, &variables, err);
    if (r == 0)
        r = generate_item(shared->generate, request, (const char *const *)variables.list,
                          service_abort_fd(shared->service), ret, err);
    return r;
}

static int generate(struct generator *generator, const struct request *request, struct generated *ret, struct err *err)
{
    int r;
    do
        r = generate_once(generator, request, ret, err);
    while (!awaits_registry(generator, r, err) && outage_wait(&generator->thread.outage, r, err));
    return r;
}

static void log_generated(const struct job *job, const struct generated *generated)
{
    const char *message_id = job->message.message_id, *package = job->request.package_name;
    char duration[24], memory[24];
    snprintf(duration, sizeof(duration), "%" PRId64, generated->duration_ms);
    snprintf(memory, sizeof(memory), "%" PRId64, generated->peak_memory >> 20);
    log_write(LOG_INFO, LOG_EVENT_ITEM_GENERATED,
              LOG_FIELDS({ "SQS_MESSAGE_ID", message_id }, { "COLLECTION", generated->collection },
                         { "ITEM_ID", generated->item_id }, { "PACKAGE", package }, { "DURATION_MS", duration },
                         { "PEAK_MIB", memory }),
              "generated item %s of collection %s with %s in %s ms (message %s)", generated->item_id,
              generated->collection, package, duration, message_id);
}

static void conclude(const struct generator *generator, const struct job *job, const struct generated *generated)
{
    struct service_counters *counters = service_counters(generator->shared->service);
    counters->items++;
    counters->work_ms += generated->duration_ms;
    log_generated(job, generated);
}

/* What was not done because the service stops goes back as it came, together with what is parked. */
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

/* From the request to the published item. */
static int work_off(struct generator *generator, struct job *taken, struct err *err)
{
    auto_job struct job *job = taken;
    struct parking *parking = generator->shared->parking;
    auto_generated struct generated generated = GENERATED_INIT;
    int r = generate(generator, &job->request, &generated, err);
    if (awaits_registry(generator, r, err)) {
        parking_await_registry(parking, TAKE(job), err, time_mono_ms());
        return 0;
    }
    if (!is_interrupted(generator, r, err))
        parking_done(parking, job);
    if (r == 0) {
        do
            r = publish(generator, &generated, job->envelope.published_at_ms, err);
        while (outage_wait(&generator->thread.outage, r, err));
    }
    if (is_interrupted(generator, r, err)) {
        parking_add(parking, TAKE(job));
        return 0;
    }
    if (r == 0)
        conclude(generator, job, &generated);
    return settle_job(generator, job, r, err);
}

/* A message that was received: to parking, whose turn it is then; what is no request is settled at once. */
static int admit(struct generator *generator, struct sqs_message *message, struct err *err)
{
    auto_job struct job *job = NULL;
    int r = job_new(message, &job, err);
    if (r == 0)
        r = job_open(job, &generator->shared->options->allowed_packages, err);
    if (r != 0)
        return job ? settle_job(generator, job, r, err) : r;
    if (job->request.unknown_keys.len)
        log_write(LOG_WARNING, LOG_EVENT_WARNING, LOG_FIELDS({ "SQS_MESSAGE_ID", job->message.message_id }),
                  "the request has keys that mean nothing here and are ignored: %s",
                  buf_str(&job->request.unknown_keys));
    parking_add(generator->shared->parking, TAKE(job));
    return 0;
}

static int receive(struct generator *generator, struct err *err)
{
    auto_sqs_messages struct sqs_messages messages = { .list = NULL };
    size_t full = 0;
    int64_t wait_ms =
        parking_due_in_ms(generator->shared->parking, time_mono_ms(), generator->shared->options->common.wait_time_ms);
    int r = 0;
    generator->shared->polls++; /* before a look at whether the service stops: see await_polls */
    if (!is_draining(generator))
        r = consumer_receive(&generator->thread, 1, 1, (int)((wait_ms + 999) / 1000), &messages, &full, err);
    generator->shared->polls--;
    for (size_t i = 0; r == 0 && i < messages.n; i++)
        r = admit(generator, &messages.list[i], err);
    return r;
}

static int step(struct generator *generator, struct err *err)
{
    struct parking *parking = generator->shared->parking;
    int64_t now_ms = time_mono_ms();
    struct job *job = parking_take(parking, now_ms);
    if (job)
        return work_off(generator, job, err);
    if (!parking_is_full(parking))
        return receive(generator, err);
    service_pulse(generator->worker, 2 * PARKED_MS);
    (void)parking_wait(parking, service_drain_fd(generator->shared->service),
                       now_ms + parking_due_in_ms(parking, now_ms, PARKED_MS));
    return 0;
}

/* What is given back while another worker's receive is open comes with it at once, and has one receive less. */
static void await_polls(struct generator *generator)
{
    int abort_fd = service_abort_fd(generator->shared->service);
    service_pulse(generator->worker, generator->shared->options->common.wait_time_ms + 2 * PARKED_MS);
    while (generator->shared->polls > 0 && wait_fd(-1, 0, abort_fd, time_mono_ms() + LOOK_MS) != WAIT_STOPPED)
        ;
}

/* At the end. Who parks something comes here after it, so nothing is left. */
static int give_back(struct generator *generator, struct err *err)
{
    int r = 0;
    await_polls(generator);
    for (struct job *taken = NULL; r == 0 && (taken = parking_take_any(generator->shared->parking));) {
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
        r = give_back(generator, err);
    consumer_thread_close(&generator->thread);
    /* An outage that lasts into the stop is no failure of ours. */
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
    auto_buf struct buf errors = BUF_INIT; /* none: the configuration was refused otherwise */
    int r = packages_parse(shared->options, &shared->packages, &errors);
    if (r != 0)
        return err_no_memory(err);
    const struct parking_options options = {
        .packages = shared->packages,
        .workers = (size_t)shared->options->common.workers,
        .probe_interval_ms = shared->options->common.probe_interval_ms,
    };
    return parking_new(&options, &shared->parking, err);
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
        r = generate_open(shared->options, shared->sandbox, shared->packages, &shared->generate, err);
    if (r == 0)
        r = publisher_new(shared->options, &shared->publisher, err);
    return r;
}

static void shared_close(struct shared *shared)
{
    publisher_free(shared->publisher);
    parking_free(shared->parking);
    generate_close(shared->generate);
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
