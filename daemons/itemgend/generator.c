#include "itemgend/generator.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/consumer.h"
#include "common/log.h"
#include "itemgend/generate.h"
#include "itemgend/publisher.h"
#include "itemgend/sandbox.h"
#include "itemgend/workdir.h"
#include "sqs/envelope.h"

/* What the workers of a run share. */
struct shared {
    const struct itemgend_options *options;
    struct service *service;
    struct sandbox *sandbox;
    struct consumer consumer;
    struct publisher *publisher;
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

static int generate(struct generator *generator, const struct request *request, struct generated *ret, struct err *err)
{
    int abort_fd = service_abort_fd(generator->shared->service);
    /* Three commands, where the first one fails. */
    service_pulse(generator->worker, 3 * generator->shared->options->limits.time_ms + 60000);
    return generate_item(generator->shared->options, request, abort_fd, ret, err);
}

static void log_generated(const struct generator *generator, const struct sqs_message *message,
                          const struct request *request, const struct generated *generated)
{
    (void)generator;
    char duration[24], memory[24];
    snprintf(duration, sizeof(duration), "%" PRId64, generated->duration_ms);
    snprintf(memory, sizeof(memory), "%" PRId64, generated->peak_memory >> 20);
    log_write(LOG_INFO, LOG_EVENT_ITEM_GENERATED,
              LOG_FIELDS({ "SQS_MESSAGE_ID", message->message_id }, { "COLLECTION", generated->collection },
                         { "ITEM_ID", generated->item_id }, { "PACKAGE", request->package_name },
                         { "DURATION_MS", duration }, { "PEAK_MIB", memory }),
              "generated item %s of collection %s with %s in %s ms (message %s)", generated->item_id,
              generated->collection, request->package_name, duration, message->message_id);
}

/* From the message to the published item. */
static int process(struct generator *generator, const struct sqs_message *message, const struct envelope *envelope,
                   struct err *err)
{
    auto_request struct request request = REQUEST_INIT;
    int r = request_parse(envelope->payload, envelope->payload_len, &generator->shared->options->allowed_packages,
                          &request, err);
    if (r != 0)
        return r;
    if (request.unknown_keys.len)
        log_write(LOG_WARNING, LOG_EVENT_WARNING, LOG_FIELDS({ "SQS_MESSAGE_ID", message->message_id }),
                  "the request has keys that mean nothing here and are ignored: %s", buf_str(&request.unknown_keys));
    auto_generated struct generated generated = GENERATED_INIT;
    do
        r = generate(generator, &request, &generated, err);
    while (outage_wait(&generator->thread.outage, r, err));
    if (r != 0)
        return r;
    do
        r = publish(generator, &generated, envelope->published_at_ms, err);
    while (outage_wait(&generator->thread.outage, r, err));
    if (r == 0)
        log_generated(generator, message, &request, &generated);
    return r;
}

/* What was not done because the service stops goes back as it came. */
static int result_while_draining(const struct generator *generator, int result, const struct err *err)
{
    bool interrupted = result == LATER && (err->outage || err_is(err, "interrupted"));
    return interrupted && service_is_draining(generator->shared->service) ? SETTLE_RETURN : result;
}

static int handle(struct generator *generator, const struct sqs_message *message, struct err *err)
{
    struct settlement settlement = { .message = message, .err = err };
    auto_envelope struct envelope envelope = { .payload = NULL };
    int r = SETTLE_RETURN; /* it came while stopping */
    if (!service_is_draining(generator->shared->service)) {
        r = envelope_open(message, &envelope, err);
        if (r == 0)
            r = process(generator, message, &envelope, err);
        settlement.published_at_ms = envelope.published_at_ms;
        r = result_while_draining(generator, r, err);
    }
    if (r < 0)
        return r;
    settlement.result = r;
    struct err settle_err = ERR_INIT;
    r = settle(generator->thread.settler, &settlement, 1, &settle_err);
    if (r < 0)
        *err = settle_err;
    return r;
}

static int step(struct generator *generator, struct err *err)
{
    auto_sqs_messages struct sqs_messages messages = { .list = NULL };
    size_t full = 0;
    int wait_s = (int)(generator->shared->options->common.wait_time_ms / 1000);
    int r = consumer_receive(&generator->thread, 1, 1, wait_s, &messages, &full, err);
    for (size_t i = 0; r == 0 && i < messages.n; i++)
        r = handle(generator, &messages.list[i], err);
    return r;
}

static int work(struct worker *worker, struct err *err)
{
    struct generator *generator = worker->context;
    int r = consumer_thread_open(&generator->shared->consumer, worker, &generator->thread, err);
    while (r == 0 && !service_is_draining(generator->shared->service))
        r = step(generator, err);
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

static int shared_open(struct shared *shared, struct err *err)
{
    int r = sandbox_open(shared->options, service_drain_fd(shared->service), &shared->sandbox, err);
    if (r != 0)
        return r;
    sandbox_log(shared->sandbox);
    r = consumer_open(&shared->options->common, shared->service, &shared->consumer, err);
    if (r == 0)
        r = publisher_new(shared->options, &shared->publisher, err);
    return r;
}

static void shared_close(struct shared *shared)
{
    publisher_free(shared->publisher);
    consumer_close(&shared->consumer);
    sandbox_free(shared->sandbox);
}

void generator_describe(const void *config, struct buf *ret)
{
    struct err err = ERR_INIT;
    struct sandbox *sandbox = NULL;
    if (sandbox_open(config, -1, &sandbox, &err) == 0)
        sandbox_describe(sandbox, ret);
    else
        buf_printf(ret, "cannot start: %s\n", err.text);
    sandbox_free(sandbox);
}

int generator_run(const void *config, struct service *service, struct err *err)
{
    const struct itemgend_options *options = config;
    cleanup(shared_close) struct shared shared = { .options = options, .service = service };
    workdir_remove_old(options->work_dir);
    int r = shared_open(&shared, err);
    return r != 0 ? r : run_workers(&shared, err);
}
