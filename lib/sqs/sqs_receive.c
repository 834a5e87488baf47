#include "sqs/sqs_internal.h"

#include "base/time.h"

enum {
    RESPONSE_MAX = 32 * 1024 * 1024, /* ten bodies of 1 MiB, with characters written as "\u00e9" */
    TIMEOUT_EXTRA_MS = 10000,        /* beyond the long poll */
};

static void write_request(const struct sqs *sqs, const struct sqs_receive *options, struct buf *ret)
{
    sqs_begin_body(sqs, ret);
    buf_printf(ret, ",\"MaxNumberOfMessages\":%d,\"WaitTimeSeconds\":%d", options->max_messages, options->wait_s);
    if (options->visibility_s > 0)
        buf_printf(ret, ",\"VisibilityTimeout\":%d", options->visibility_s);
    buf_puts(ret, ",\"MessageSystemAttributeNames\":[\"ApproximateReceiveCount\",\"SentTimestamp\","
                  "\"ApproximateFirstReceiveTimestamp\"],\"MessageAttributeNames\":[\"All\"]}");
}

struct calls {
    struct aws_call *list;
    size_t n;
};

static void calls_clear(struct calls *calls)
{
    for (size_t i = 0; calls->list && i < calls->n; i++)
        aws_call_clear(&calls->list[i]);
    free(calls->list);
}

int sqs_receive(struct sqs *sqs, const struct sqs_receive *options, struct sqs_messages *ret, size_t *ret_full,
                struct err *err)
{
    auto_buf struct buf body = BUF_INIT;
    write_request(sqs, options, &body);
    cleanup(calls_clear) struct calls calls = { .list = calloc(options->n_requests, sizeof(*calls.list)),
                                                .n = options->n_requests };
    if (!calls.list || buf_failed(&body))
        return err_no_memory(err);
    for (size_t i = 0; i < calls.n; i++) {
        calls.list[i] = sqs_make_call(sqs, "AmazonSQS.ReceiveMessage", &body);
        calls.list[i].no_retry = true;
        calls.list[i].timeout_ms = options->wait_s * 1000 + TIMEOUT_EXTRA_MS;
        calls.list[i].max_response = RESPONSE_MAX;
    }
    int64_t sent_at_ms = time_mono_ms();
    int r = aws_call_many(sqs->client, calls.list, calls.n, err);
    if (r != 0)
        return r;

    size_t n_answered = 0;
    *ret_full = 0;
    struct aws_call *failed = NULL;
    for (size_t i = 0; i < calls.n; i++) {
        struct aws_call *call = &calls.list[i];
        auto_json cJSON *json = NULL;
        size_t n = 0;
        if (call->result == 0)
            call->result = sqs_parse_answer(call, &json, &call->err);
        http_response_clear(&call->response); /* saves memory: the tree has all of it */
        if (call->result == 0)
            call->result = sqs_take_messages(json, sent_at_ms, ret, &n, &call->err);
        if (call->result == 0)
            n_answered++;
        else if (!failed || call->result < 0)
            failed = call;
        if (call->result == 0 && n >= (size_t)options->max_messages)
            (*ret_full)++;
    }
    if (failed && (n_answered == 0 || failed->result < 0)) {
        if (err)
            *err = failed->err;
        sqs_explain(sqs, failed, err);
        return failed->result;
    }
    return 0;
}
