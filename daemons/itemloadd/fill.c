#include "itemloadd/fill.h"

#include "base/time.h"

/* Receives after the first wait for the shortest time in which SQS asks all its servers. */
enum { SHORT_WAIT_S = 1 };

static size_t bytes_of(const struct sqs_messages *messages, size_t from)
{
    size_t bytes = 0;
    for (size_t i = from; i < messages->n; i++)
        bytes += messages->list[i].body_len;
    return bytes;
}

static size_t requests_for(const struct itemloadd_options *options, size_t n_messages)
{
    size_t room = ((size_t)options->batch_items - n_messages + SQS_BATCH_MAX - 1) / SQS_BATCH_MAX;
    return room < (size_t)options->receives ? room : (size_t)options->receives;
}

int fill_batch(struct consumer_thread *thread, const struct itemloadd_options *options, struct sqs_messages *ret,
               struct err *err)
{
    int max_messages = options->batch_items < SQS_BATCH_MAX ? (int)options->batch_items : SQS_BATCH_MAX;
    size_t full = 0;
    int r = consumer_receive(thread, 1, max_messages, (int)(options->common.wait_time_ms / 1000), ret, &full, err);
    if (r != 0 || ret->n == 0)
        return r;
    int64_t first_ms = time_mono_ms(), last_full_ms = first_ms;
    size_t bytes = bytes_of(ret, 0);
    while (!service_is_draining(thread->consumer->service)) {
        int64_t now_ms = time_mono_ms();
        if (ret->n >= (size_t)options->batch_items || bytes >= (size_t)options->batch_bytes ||
            now_ms - first_ms >= options->batch_window_ms || now_ms - last_full_ms >= options->batch_idle_ms)
            break;
        size_t before = ret->n;
        int64_t left_ms = options->batch_window_ms - (now_ms - first_ms);
        int wait_s = left_ms >= SHORT_WAIT_S * 1000 ? SHORT_WAIT_S : 0;
        r = consumer_receive(thread, requests_for(options, ret->n), max_messages, wait_s, ret, &full, err);
        if (r != 0)
            return r;
        bytes += bytes_of(ret, before);
        if (full > 0)
            last_full_ms = time_mono_ms();
    }
    return 0;
}
