#include "aws/sns.h"

#include <stdio.h>

#include "aws/aws_error.h"
#include "aws/aws_batch.h"
#include "aws/message_check.h"
#include "aws/xml.h"

/* A topic, and the endpoint of its region. */
struct destination {
    const char *topic_arn;
    const char *region;
    struct buf region_text, url;
};

static void destination_clear(struct destination *destination)
{
    buf_clear(&destination->region_text);
    buf_clear(&destination->url);
}
#define auto_destination cleanup(destination_clear)

const char *sns_topic_region(const char *topic_arn, struct buf *ret)
{
    /* arn:PARTITION:sns:REGION:ACCOUNT:NAME */
    const char *at = strncmp(topic_arn, "arn:", 4) == 0 ? strchr(topic_arn + 4, ':') : NULL;
    if (!at || strncmp(at, ":sns:", 5) != 0)
        return NULL;
    at += 5;
    size_t len = strcspn(at, ":");
    if (len == 0 || at[len] != ':' || strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return NULL;
    buf_add(ret, at, len);
    return buf_failed(ret) ? NULL : buf_str(ret);
}

size_t sns_message_size(const struct sns_message *message)
{
    size_t size = strlen(message->body);
    for (size_t i = 0; i < message->n_attributes; i++) {
        const struct sns_attribute *attribute = &message->attributes[i];
        size += message_check_attribute_size(attribute->name, attribute->type, attribute->value);
    }
    return size;
}

static int check_message(const struct sns_message *message, size_t size, struct err *err)
{
    int r = message_check_body(message->body, err);
    if (r == 0)
        r = message_check_size(size, SNS_MESSAGE_MAX, err);
    if (r == 0)
        r = message_check_count(message->n_attributes, err);
    for (size_t i = 0; r == 0 && i < message->n_attributes; i++) {
        const struct sns_attribute *attribute = &message->attributes[i];
        r = message_check_attribute(attribute->name, attribute->type, attribute->value, err);
    }
    return r;
}

/* Encodes a blank as '+', as HTML forms and botocore do. A server may decode and encode the form again before it checks
 * the signature; "%20" would not match then. */
static void write_value(const char *value, struct buf *ret)
{
    size_t start = ret->len;
    http_percent_encode(value, strlen(value), " ", ret);
    for (size_t i = start; i < ret->len; i++)
        if (ret->data[i] == ' ')
            ret->data[i] = '+';
}

/* `prefix`: the message's place in the request, "" or "PublishBatchRequestEntries.member.N." */
static void write_message(const char *prefix, const struct sns_message *message, struct buf *ret)
{
    buf_printf(ret, "&%sMessage=", prefix);
    write_value(message->body, ret);
    for (size_t i = 0; i < message->n_attributes; i++) {
        const struct sns_attribute *attribute = &message->attributes[i];
        bool is_binary = message_check_is_binary(attribute->type);
        buf_printf(ret, "&%sMessageAttributes.entry.%zu.Name=", prefix, i + 1);
        write_value(attribute->name, ret);
        buf_printf(ret, "&%sMessageAttributes.entry.%zu.Value.DataType=", prefix, i + 1);
        write_value(attribute->type, ret);
        buf_printf(ret, "&%sMessageAttributes.entry.%zu.Value.%sValue=", prefix, i + 1,
                   is_binary ? "Binary" : "String");
        write_value(attribute->value, ret);
    }
}

static void write_action(const char *action, const char *topic_arn, struct buf *ret)
{
    buf_printf(ret, "Action=%s&Version=2010-03-31&TopicArn=", action);
    write_value(topic_arn, ret);
}

static void write_request(const char *topic_arn, const struct sns_message *messages,
                          const struct aws_batch_group *group, struct buf *ret)
{
    write_action("PublishBatch", topic_arn, ret);
    for (size_t i = 0; i < group->n; i++) {
        auto_buf struct buf prefix = BUF_INIT;
        buf_printf(&prefix, "PublishBatchRequestEntries.member.%zu.", i + 1);
        buf_printf(ret, "&%sId=%zu", buf_str(&prefix), i);
        write_message(buf_str(&prefix), &messages[group->items[i]->index], ret);
        ret->failed = ret->failed || prefix.failed;
    }
}

/* "InvalidParameter" may also be about the topic's ARN, which fails every message. */
static bool is_about_message(const char *code, const char *text)
{
    return aws_error_is_content(code) && !strstr(text, "TopicArn");
}

/* The result for a message that SNS rejected. */
static int rejection_result(const char *code, const char *text, struct err *err)
{
    if (!is_about_message(code, text))
        return err_outage(err, "aws_error", "%s", text);
    if (strcmp(code, "BatchRequestTooLong") == 0 || strstr(text, "too long"))
        return err_never(err, "message_too_large", "%s", text);
    return err_never(err, "invalid_message", "%s", text);
}

/* The result for a message whose call failed. */
static int failure_result(const struct destination *destination, const struct aws_call *call, struct err *err)
{
    if (call->result == NEVER && is_about_message(call->error_code, call->err.text))
        return rejection_result(call->error_code, call->err.text, err);
    *err = call->err;
    err->outage = err->outage || call->result == NEVER; /* no topic or no permission: every message fails */
    if (strcmp(call->error_code, "NotFound") == 0)
        err_prefix(err, "topic %s does not exist in %s, check its ARN", destination->topic_arn, destination->region);
    return LATER;
}

static void judge_failure(const struct destination *destination, struct aws_batch_group *group,
                          const struct aws_call *call)
{
    bool is_one_message = call->result == NEVER && is_about_message(call->error_code, call->err.text);
    if (is_one_message && group->n > 1) {
        aws_batch_split(group);
        return;
    }
    struct err story = ERR_INIT;
    int result = failure_result(destination, call, &story);
    aws_batch_request_failed(group, result, &story);
}

static void judge_entry(struct aws_batch *batch, struct aws_batch_item *item, const struct xml_rows *failed, size_t row)
{
    enum { ID, CODE, MESSAGE, SENDER_FAULT };
    const char *code = xml_field(failed, row, CODE);
    const char *message = xml_field(failed, row, MESSAGE);
    const char *sender_fault = xml_field(failed, row, SENDER_FAULT);
    if (!code)
        code = "";
    if (!message)
        message = "";
    if (!sender_fault || strcmp(sender_fault, "true") != 0) {
        aws_batch_failed(batch, item, code, message);
        return;
    }
    char text[ERR_TEXT_SIZE];
    snprintf(text, sizeof(text), "sns PublishBatch: %s: %s", code, message);
    *item->result = rejection_result(code, text, item->err);
    aws_batch_settled(item);
}

static int invalid_answer(int r, const struct err *story, struct err *err)
{
    if (r < 0) {
        *err = *story;
        return r;
    }
    return err_outage(err, "invalid_answer", "sns answered with status 200, but not with its XML: %s", story->text);
}

/* Reads the answer to a PublishBatch and sets the ids of the published messages. */
static int read_batch_answer(struct aws_batch *batch, struct aws_batch_group *group, struct aws_call *call,
                             struct sns_message *messages)
{
    static const char *const done_fields[] = { "Id", "MessageId", NULL };
    static const char *const failed_fields[] = { "Id", "Code", "Message", "SenderFault", NULL };
    auto_xml_rows struct xml_rows done = XML_ROWS_INIT, failed = XML_ROWS_INIT;
    const char *xml = buf_str(&call->response.body);
    size_t len = call->response.body.len;
    struct err story = ERR_INIT;

    int r = xml_rows(xml, len, "PublishBatchResponse/PublishBatchResult/Successful/member", done_fields, &done, &story);
    if (r == 0)
        r = xml_rows(xml, len, "PublishBatchResponse/PublishBatchResult/Failed/member", failed_fields, &failed, &story);
    if (r != 0)
        return invalid_answer(r, &story, &call->err);
    for (size_t i = 0; i < done.n; i++) {
        struct aws_batch_item *item = aws_batch_find(group, xml_field(&done, i, 0));
        const char *id = xml_field(&done, i, 1);
        if (!item)
            continue;
        snprintf(messages[item->index].message_id, sizeof(messages->message_id), "%s", id ? id : "");
        aws_batch_done(item);
    }
    for (size_t i = 0; i < failed.n; i++) {
        struct aws_batch_item *item = aws_batch_find(group, xml_field(&failed, i, 0));
        if (item)
            judge_entry(batch, item, &failed, i);
    }
    aws_batch_unanswered(batch, group);
    return 0;
}

static int find_destination(struct aws_client *client, const char *topic_arn, struct destination *ret, struct err *err)
{
    ret->topic_arn = topic_arn;
    ret->region = sns_topic_region(topic_arn, &ret->region_text);
    if (buf_failed(&ret->region_text))
        return err_no_memory(err);
    if (!ret->region) /* an outage: every message fails */
        return err_outage(err, "invalid_topic_arn",
                          "\"%s\" is not a topic ARN like arn:aws:sns:us-west-2:123456789012:NAME", topic_arn);
    aws_endpoint(aws_client_aws(client), "sns", ret->region, &ret->url);
    buf_putc(&ret->url, '/');
    return buf_failed(&ret->url) ? err_no_memory(err) : 0;
}

static struct aws_call make_call(const struct destination *destination, const struct buf *body)
{
    return (struct aws_call){ .service = "sns",
                              .region = destination->region,
                              .url = buf_str(&destination->url),
                              .content_type = "application/x-www-form-urlencoded; charset=utf-8",
                              .body = body->data,
                              .body_len = body->len };
}

static int publish_one(struct aws_client *client, const struct destination *destination, struct sns_message *message,
                       struct err *err)
{
    auto_buf struct buf body = BUF_INIT;
    write_action("Publish", destination->topic_arn, &body);
    write_message("", message, &body);
    if (buf_failed(&body))
        return err_no_memory(err);

    auto_aws_call struct aws_call call = make_call(destination, &body);
    int r = aws_call(client, &call, err);
    if (r < 0)
        return r;
    if (r != 0)
        return failure_result(destination, &call, err);
    auto_buf struct buf id = BUF_INIT;
    struct err story = ERR_INIT;
    r = xml_text(buf_str(&call.response.body), call.response.body.len, "PublishResponse/PublishResult/MessageId", &id,
                 &story);
    if (r != 0)
        return invalid_answer(r, &story, err);
    snprintf(message->message_id, sizeof(message->message_id), "%s", buf_str(&id));
    return 0;
}

int sns_publish(struct aws_client *client, const char *topic_arn, struct sns_message *message, struct err *err)
{
    auto_destination struct destination destination = { .topic_arn = topic_arn };
    message->message_id[0] = '\0';
    message->err.code = NULL;
    int r = check_message(message, sns_message_size(message), &message->err);
    if (r == 0)
        r = find_destination(client, topic_arn, &destination, &message->err);
    if (r == 0)
        r = publish_one(client, &destination, message, &message->err);
    message->result = r;
    if (r != 0 && err)
        *err = message->err;
    return r;
}

static int run_round(struct aws_client *client, const struct destination *destination, struct aws_batch *batch,
                     struct sns_message *messages, struct err *err)
{
    auto_aws_batch_round struct aws_batch_round round = { .bodies = { BUF_INIT } };
    for (size_t i = 0; i < batch->n_groups; i++) {
        write_request(destination->topic_arn, messages, &batch->groups[i], &round.bodies[i]);
        if (buf_failed(&round.bodies[i]))
            return err_no_memory(err);
        round.calls[i] = make_call(destination, &round.bodies[i]);
    }
    int r = aws_call_many(client, round.calls, batch->n_groups, err);
    for (size_t i = 0; r == 0 && i < batch->n_groups; i++) {
        struct aws_call *call = &round.calls[i];
        if (call->result == 0)
            call->result = read_batch_answer(batch, &batch->groups[i], call, messages);
        if (call->result > 0)
            judge_failure(destination, &batch->groups[i], call);
        if (call->result < 0) {
            r = call->result;
            if (err)
                *err = call->err;
        }
    }
    return r;
}

int sns_publish_many(struct aws_client *client, const char *topic_arn, struct sns_message *messages, size_t n,
                     struct err *err)
{
    if (n == 0)
        return 0;
    auto_free struct aws_batch_item *items = calloc(n, sizeof(*items));
    if (!items)
        return err_no_memory(err);
    struct aws_batch batch = { .items = items, .size_max = SNS_MESSAGE_MAX };
    for (size_t i = 0; i < n; i++) {
        size_t size = sns_message_size(&messages[i]);
        messages[i].message_id[0] = '\0';
        messages[i].result = check_message(&messages[i], size, &messages[i].err);
        if (messages[i].result == 0)
            items[batch.n++] = (struct aws_batch_item){
                .index = i, .size = size, .result = &messages[i].result, .err = &messages[i].err
            };
    }
    auto_destination struct destination destination = { .topic_arn = topic_arn };
    struct err story = ERR_INIT;
    int r = find_destination(client, topic_arn, &destination, &story);
    if (r < 0) {
        if (err)
            *err = story;
        return r;
    }
    for (size_t i = 0; r != 0 && i < batch.n; i++) {
        *items[i].result = r;
        *items[i].err = story;
        aws_batch_settled(&items[i]);
    }
    while (aws_batch_next(&batch, client)) {
        r = run_round(client, &destination, &batch, messages, err);
        if (r != 0)
            return r;
    }
    return 0;
}
