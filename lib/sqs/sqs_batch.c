#include "sqs/sqs_internal.h"

#include <stdio.h>

#include "aws/aws_error.h"
#include "aws/message_check.h"

static const char *target_of(enum sqs_batch_op op)
{
    switch (op) {
    case SQS_BATCH_DELETE:
        return "AmazonSQS.DeleteMessageBatch";
    case SQS_BATCH_VISIBILITY:
        return "AmazonSQS.ChangeMessageVisibilityBatch";
    default:
        return "AmazonSQS.SendMessageBatch";
    }
}

static void write_attributes(const struct sqs_send *send, struct buf *ret)
{
    buf_puts(ret, ",\"MessageAttributes\":{");
    for (size_t i = 0; i < send->n_attributes; i++) {
        const struct sqs_attribute *attribute = &send->attributes[i];
        if (i > 0)
            buf_putc(ret, ',');
        json_write_string(attribute->name, ret);
        buf_puts(ret, ":{\"DataType\":");
        json_write_string(attribute->type, ret);
        buf_puts(ret, message_check_is_binary(attribute->type) ? ",\"BinaryValue\":" : ",\"StringValue\":");
        json_write_string(attribute->value, ret);
        buf_putc(ret, '}');
    }
    buf_putc(ret, '}');
}

static void write_entry(const struct sqs_batch *what, size_t index, struct buf *ret)
{
    if (what->op == SQS_BATCH_SEND) {
        buf_puts(ret, ",\"MessageBody\":");
        json_write_string(what->sends[index].body, ret);
        if (what->sends[index].n_attributes > 0)
            write_attributes(&what->sends[index], ret);
        return;
    }
    buf_puts(ret, ",\"ReceiptHandle\":");
    json_write_string(what->entries[index].receipt_handle, ret);
    if (what->op == SQS_BATCH_VISIBILITY)
        buf_printf(ret, ",\"VisibilityTimeout\":%d", what->entries[index].visibility_s);
}

static void write_request(const struct sqs *sqs, const struct sqs_batch *what, const struct aws_batch_group *group,
                          struct buf *ret)
{
    sqs_begin_body(sqs, ret);
    buf_puts(ret, ",\"Entries\":[");
    for (size_t i = 0; i < group->n; i++) {
        buf_printf(ret, "%s{\"Id\":\"%zu\"", i > 0 ? "," : "", i);
        write_entry(what, group->items[i]->index, ret);
        buf_putc(ret, '}');
    }
    buf_puts(ret, "]}");
}

static bool is_about_handle(const char *code)
{
    return sqs_code_is(code, "ReceiptHandleIsInvalid") || sqs_code_is(code, "MessageNotInflight") ||
           sqs_code_is(code, "InvalidParameterValue");
}

/* True if the code is about the content of one entry, so that the others of the request could succeed. */
static bool is_about_entry(enum sqs_batch_op op, const char *code)
{
    return op == SQS_BATCH_SEND ? aws_error_is_content(code) : is_about_handle(code);
}

/* SQS rejected this entry, for the reason in `text`. */
static void settle_rejected(enum sqs_batch_op op, struct aws_batch_item *item, const char *code, const char *text)
{
    struct err *err = item->err;
    if (!is_about_entry(op, code))
        *item->result = err_outage(err, "aws_error", "%s", text);
    else if (op != SQS_BATCH_SEND)
        *item->result = err_never(err, "not_in_flight", "%s", text);
    else if (sqs_code_is(code, "BatchRequestTooLong") || strstr(text, "must be shorter"))
        *item->result = err_never(err, "message_too_large", "%s", text);
    else
        *item->result = err_never(err, "invalid_message", "%s", text);
    aws_batch_settled(item);
}

static void judge_entry(const struct sqs_batch *what, struct aws_batch *batch, struct aws_batch_item *item,
                        const cJSON *failed)
{
    const char *code = json_get_string(failed, "Code");
    const char *message = json_get_string(failed, "Message");
    if (!code)
        code = "";
    if (!message)
        message = "";
    if (cJSON_IsTrue(json_get(failed, "SenderFault")) || is_about_entry(what->op, code)) {
        char text[ERR_TEXT_SIZE];
        snprintf(text, sizeof(text), "%s: %s", code, message);
        settle_rejected(what->op, item, code, text);
    } else {
        aws_batch_failed(batch, item, code, message);
    }
}

/* The request was rejected, or no answer came. */
static void judge_failure(const struct sqs *sqs, const struct sqs_batch *what, struct aws_batch_group *group,
                          const struct aws_call *call)
{
    bool is_rejection = call->result == NEVER && call->error_code[0];
    if (is_rejection && is_about_entry(what->op, call->error_code)) {
        if (group->n > 1)
            aws_batch_split(group);
        else
            settle_rejected(what->op, group->items[0], call->error_code, call->err.text);
        return;
    }
    /* Other rejections fail every entry: no such queue, no permission. */
    struct err err = call->err;
    err.outage = err.outage || call->result == NEVER;
    sqs_explain(sqs, call, &err);
    aws_batch_request_failed(group, LATER, &err);
}

static int judge_answer(const struct sqs *sqs, const struct sqs_batch *what, struct aws_batch *batch,
                        struct aws_batch_group *group, struct aws_call *call)
{
    auto_json cJSON *json = NULL;
    if (call->result == 0)
        call->result = sqs_parse_answer(call, &json, &call->err);
    if (call->result < 0)
        return call->result;
    if (call->result != 0) {
        judge_failure(sqs, what, group, call);
        return 0;
    }
    const cJSON *entry;
    cJSON_ArrayForEach(entry, json_get(json, "Successful"))
    {
        struct aws_batch_item *item = aws_batch_find(group, json_get_string(entry, "Id"));
        if (item)
            aws_batch_done(item);
    }
    cJSON_ArrayForEach(entry, json_get(json, "Failed"))
    {
        struct aws_batch_item *item = aws_batch_find(group, json_get_string(entry, "Id"));
        if (item)
            judge_entry(what, batch, item, entry);
    }
    aws_batch_unanswered(batch, group);
    return 0;
}

static int run_round(struct sqs *sqs, const struct sqs_batch *what, struct aws_batch *batch, struct err *err)
{
    auto_aws_batch_round struct aws_batch_round round = { .bodies = { BUF_INIT } };
    for (size_t i = 0; i < batch->n_groups; i++) {
        write_request(sqs, what, &batch->groups[i], &round.bodies[i]);
        if (buf_failed(&round.bodies[i]))
            return err_no_memory(err);
        round.calls[i] = sqs_make_call(sqs, target_of(what->op), &round.bodies[i]);
    }
    int r = aws_call_many(sqs->client, round.calls, batch->n_groups, err);
    for (size_t i = 0; r == 0 && i < batch->n_groups; i++) {
        r = judge_answer(sqs, what, batch, &batch->groups[i], &round.calls[i]);
        if (r < 0 && err)
            *err = round.calls[i].err;
    }
    return r;
}

int sqs_batch_run(struct sqs *sqs, const struct sqs_batch *what, struct aws_batch_item *items, size_t n,
                  struct err *err)
{
    struct aws_batch batch = { .items = items, .n = n, .size_max = SQS_MESSAGE_MAX };
    while (aws_batch_next(&batch, sqs->client)) {
        int r = run_round(sqs, what, &batch, err);
        if (r != 0)
            return r;
    }
    return 0;
}
