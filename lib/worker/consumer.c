#include "worker/consumer.h"

#include <stdio.h>

#include "daemon/log.h"
#include "worker/redrive.h"

/* An operator may expect maxReceiveCount attempts. */
static void log_attempts(int max_receive_count)
{
    int attempts = settle_attempts(max_receive_count);
    char count[16], why[128] = "the queue has no redrive policy";
    snprintf(count, sizeof(count), "%d", attempts);
    if (max_receive_count > 0)
        snprintf(why, sizeof(why), "the queue's maxReceiveCount is %d, and %s receive is kept for when a worker dies",
                 max_receive_count, max_receive_count > attempts ? "the last" : "no");
    log_write(attempts < SETTLE_ATTEMPTS ? LOG_NOTICE : LOG_INFO, LOG_EVENT_QUEUE_OPENED,
              LOG_FIELDS({ "ATTEMPTS", count }), "attempts per message: %s; %s", count, why);
}

static int read_queue(struct consumer *consumer, struct aws_client *client, struct err *err)
{
    auto_sqs struct sqs *queue = NULL;
    struct sqs_queue_info info = { .visibility_s = 0 };
    int r = sqs_new(client, consumer->config->queue_url, &queue, err);
    if (r == 0)
        r = sqs_get_info(queue, &info, err);
    if (r != 0)
        return r;
    /* The settlers check this too, but only after READY=1. */
    r = settle_check_queue(&info, consumer->config->queue_url, consumer->config->dead_letter_queue_url, err);
    int configured_s = (int)((consumer->config->visibility_timeout_ms + 999) / 1000);
    consumer->visibility_s = configured_s ? configured_s : info.visibility_s;
    if (r == 0)
        log_attempts(info.max_receive_count);
    sqs_queue_info_clear(&info);
    /* The queue may have 0 s, but a lease needs some time. */
    if (consumer->visibility_s < 2)
        consumer->visibility_s = 30;
    return r;
}

/* Nothing else can be done before the start, so every LATER is waited out, a throttled call too. */
static bool wait_at_start(struct outage *outage, int result, struct err *err)
{
    err->outage = err->outage || result == LATER;
    return outage_wait(outage, result, err);
}

/* Workers do not exist yet, so the outage gets one for its name. */
static int read_queue_patiently(struct consumer *consumer, struct aws_client *client, struct err *err)
{
    struct worker waiting = { .service = consumer->service, .name = "start" };
    struct outage outage = { .worker = &waiting, .probe_interval_ms = consumer->config->probe_interval_ms };
    int r;
    do
        r = read_queue(consumer, client, err);
    while (wait_at_start(&outage, r, err));
    return r;
}

int consumer_open(const struct worker_config *config, struct service *service, struct consumer *ret, struct err *err)
{
    struct consumer consumer = { .config = config, .service = service };
    int r = aws_new(config->region && *config->region ? config->region : NULL, &consumer.aws, err);
    if (r == 0)
        aws_count_retries(consumer.aws, &service_counters(service)->retries);
    auto_aws_client struct aws_client *client = NULL;
    if (r == 0)
        r = aws_client_new(consumer.aws, service_drain_fd(service), &client, err);
    if (r == 0)
        r = read_queue_patiently(&consumer, client, err);
    struct leases_options leases = {
        .service = service, .aws = consumer.aws, .queue_url = config->queue_url, .visibility_s = consumer.visibility_s
    };
    if (r == 0)
        r = leases_start(&leases, &consumer.leases, err);
    if (r != 0) {
        consumer_close(&consumer);
        return r;
    }
    *ret = consumer;
    return 0;
}

void consumer_close(struct consumer *consumer)
{
    leases_stop(consumer->leases);
    aws_free(consumer->aws);
    consumer->leases = NULL;
    consumer->aws = NULL;
}

static int new_settler(struct consumer_thread *thread, struct err *err)
{
    const struct worker_config *config = thread->consumer->config;
    struct settler_options options = {
        .service = thread->consumer->service,
        .client = thread->queue_client,
        .leases = thread->consumer->leases,
        .queue_url = config->queue_url,
        .dead_letter_url = config->dead_letter_queue_url,
        .backoff_min_ms = config->backoff_min_ms,
        .backoff_max_ms = config->backoff_max_ms,
    };
    int r;
    do
        r = settler_new(&options, &thread->settler, err);
    while (wait_at_start(&thread->outage, r, err));
    return r;
}

int consumer_thread_open(struct consumer *consumer, struct worker *worker, struct consumer_thread *ret, struct err *err)
{
    *ret = (struct consumer_thread){ .consumer = consumer,
                                     .worker = worker,
                                     .outage = { .worker = worker,
                                                 .probe_interval_ms = consumer->config->probe_interval_ms } };
    int r = aws_client_new(consumer->aws, service_abort_fd(consumer->service), &ret->client, err);
    if (r == 0)
        r = aws_client_new(consumer->aws, -1, &ret->queue_client, err);
    if (r == 0)
        r = new_settler(ret, err);
    if (r != 0)
        consumer_thread_close(ret);
    return r;
}

void consumer_thread_close(struct consumer_thread *thread)
{
    settler_free(thread->settler);
    aws_client_free(thread->queue_client);
    aws_client_free(thread->client);
    *thread = (struct consumer_thread){ .settler = NULL };
}

static int add_leases(struct consumer_thread *thread, const struct sqs_messages *messages, size_t from, struct err *err)
{
    size_t n = messages->n - from;
    auto_free const struct sqs_message **list = calloc(n + 1, sizeof(*list));
    if (!list)
        return err_no_memory(err);
    struct service_counters *counters = service_counters(thread->consumer->service);
    int64_t now_ms = aws_now_ms(thread->consumer->aws);
    for (size_t i = 0; i < n; i++) {
        list[i] = &messages->list[from + i];
        int64_t age_ms = now_ms - list[i]->sent_at_ms;
        counters->age_ms += age_ms > 0 ? age_ms : 0;
    }
    counters->received += (int64_t)n;
    return leases_add(thread->consumer->leases, list, n, err);
}

int consumer_receive(struct consumer_thread *thread, size_t n_requests, int max_messages, int wait_s,
                     struct sqs_messages *ret, size_t *ret_full, struct err *err)
{
    struct sqs_receive options = { .n_requests = n_requests,
                                   .max_messages = max_messages,
                                   .wait_s = wait_s,
                                   .visibility_s = thread->consumer->visibility_s };
    size_t before = ret->n;
    *ret_full = 0;
    int r;
    do {
        service_pulse(thread->worker, (int64_t)wait_s * 1000 + 60000);
        r = sqs_receive(settler_queue(thread->settler), &options, ret, ret_full, err);
        /* The queue existed at the start. If it refuses now, that is an outage too. */
        if (r == NEVER) {
            r = LATER;
            err->outage = true;
        }
    } while (!service_is_draining(thread->consumer->service) && outage_wait(&thread->outage, r, err));
    if (r < 0)
        return r;
    if (ret->n == before)
        return 0;
    service_pulse(thread->worker, 300000); /* some calls for dead letters, each with its retries */
    r = add_leases(thread, ret, before, err);
    return r == 0 ? redrive_take_out(thread->settler, ret, before, err) : r;
}
