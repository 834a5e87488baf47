#include "sqs/sqs.h"

#include "sqs/sqs_internal.h"

/* The length of the host name's label at `at`. */
static size_t label_len(const char *at)
{
    return strcspn(at, ".:/");
}

static bool label_is(const char *at, const char *name)
{
    return label_len(at) == strlen(name) && strncmp(at, name, strlen(name)) == 0;
}

/* At least six characters with a '-' and a digit at the end: "eu-west-1", but not "localhost" of "sqs.localhost". */
static bool looks_like_region(const char *at, size_t len)
{
    return len >= 6 && memchr(at, '-', len) && at[len - 1] >= '0' && at[len - 1] <= '9';
}

const char *sqs_region_in_url(const char *queue_url, size_t *ret_len)
{
    const char *at = strstr(queue_url, "://");
    at = at ? at + 3 : queue_url;
    const char *before = NULL;
    for (;;) {
        size_t len = label_len(at);
        const char *region = NULL;
        if (before && (label_is(before, "sqs") || label_is(before, "sqs-fips")))
            region = at;
        else if (before && label_is(at, "queue"))
            region = before;
        if (region && looks_like_region(region, label_len(region))) {
            *ret_len = label_len(region);
            return region;
        }
        if (at[len] != '.')
            return NULL;
        before = at;
        at += len + 1;
    }
}

/* Sets the URL for requests: the overridden endpoint, or the host of the queue URL. */
static int set_url(struct sqs *sqs, struct err *err)
{
    auto_buf struct buf url = BUF_INIT;
    struct aws *aws = aws_client_aws(sqs->client);
    if (aws_endpoint_is_overridden(aws, "sqs")) {
        aws_endpoint(aws, "sqs", sqs->region ? sqs->region : aws_region(aws), &url);
    } else {
        const char *host = strstr(sqs->queue_url, "://") + 3;
        buf_add(&url, sqs->queue_url, (size_t)(host - sqs->queue_url) + strcspn(host, "/"));
    }
    buf_putc(&url, '/');
    sqs->url = buf_take(&url);
    return sqs->url ? 0 : err_no_memory(err);
}

static bool is_queue_url(const char *url)
{
    const char *host = strstr(url, "://");
    bool is_http = strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
    if (!is_http || host[3 + strcspn(host + 3, "/")] != '/' || strpbrk(url, " ?#@\"\\"))
        return false;
    return strrchr(url, '/')[1] != '\0';
}

int sqs_new(struct aws_client *client, const char *queue_url, struct sqs **ret, struct err *err)
{
    if (!is_queue_url(queue_url))
        return err_never(err, "invalid_queue_url",
                         "\"%s\" is not a queue URL like https://sqs.us-west-2.amazonaws.com/123456789012/NAME",
                         queue_url);
    auto_sqs struct sqs *sqs = calloc(1, sizeof(*sqs));
    if (!sqs)
        return err_no_memory(err);
    sqs->client = client;
    sqs->queue_url = strdup(queue_url);
    size_t len = 0;
    const char *region = sqs_region_in_url(queue_url, &len);
    sqs->region = region ? strndup(region, len) : NULL;
    if (!sqs->queue_url || (region && !sqs->region))
        return err_no_memory(err);
    int r = set_url(sqs, err);
    if (r == 0)
        *ret = TAKE(sqs);
    return r;
}

void sqs_free(struct sqs *sqs)
{
    if (!sqs)
        return;
    free(sqs->queue_url);
    free(sqs->url);
    free(sqs->region);
    free(sqs);
}

const char *sqs_queue_url(const struct sqs *sqs)
{
    return sqs->queue_url;
}

void sqs_begin_body(const struct sqs *sqs, struct buf *ret)
{
    buf_puts(ret, "{\"QueueUrl\":");
    json_write_string(sqs->queue_url, ret);
}

struct aws_call sqs_make_call(const struct sqs *sqs, const char *target, const struct buf *body)
{
    return (struct aws_call){ .service = "sqs",
                              .region = sqs->region,
                              .url = sqs->url,
                              .content_type = "application/x-amz-json-1.0",
                              .target = target,
                              .body = body->data,
                              .body_len = body->len };
}

int sqs_parse_answer(const struct aws_call *call, cJSON **ret, struct err *err)
{
    struct err story = ERR_INIT;
    auto_json cJSON *json = NULL;
    int r = json_parse(buf_str(&call->response.body), call->response.body.len, &json, &story);
    if (r < 0)
        return err_no_memory(err);
    if (r != 0 || !cJSON_IsObject(json))
        return err_outage(err, "invalid_answer", "%s answered with status 200, but not with a JSON object: %s",
                          call->url, r != 0 ? story.text : json_kind(json));
    *ret = TAKE(json);
    return 0;
}

bool sqs_code_is(const char *code, const char *name)
{
    static const char prefix[] = "AWS.SimpleQueueService.";
    if (strncmp(code, prefix, sizeof(prefix) - 1) == 0)
        code += sizeof(prefix) - 1;
    return strcmp(code, name) == 0;
}

void sqs_explain(const struct sqs *sqs, const struct aws_call *call, struct err *err)
{
    if (!err ||
        (!sqs_code_is(call->error_code, "QueueDoesNotExist") && !sqs_code_is(call->error_code, "NonExistentQueue")))
        return;
    err_prefix(err, "queue %s does not exist in %s, check its URL and the region", strrchr(sqs->queue_url, '/') + 1,
               sqs->region ? sqs->region : aws_region(aws_client_aws(sqs->client)));
}

static int read_redrive_policy(const char *text, struct sqs_queue_info *ret, struct err *err)
{
    auto_json cJSON *policy = NULL;
    int64_t max_receive_count = 0;
    int r = json_parse(text, strlen(text), &policy, err);
    if (r != 0)
        return r;
    const char *arn = json_get_string(policy, "deadLetterTargetArn");
    if (!arn || !json_get_i64(policy, "maxReceiveCount", 1, 1000, &max_receive_count))
        return err_never(err, "invalid_redrive_policy",
                         "the queue's redrive policy needs a deadLetterTargetArn and a maxReceiveCount from 1 to 1000, "
                         "and is %s",
                         text);
    ret->dead_letter_arn = strdup(arn);
    ret->max_receive_count = (int)max_receive_count;
    return ret->dead_letter_arn ? 0 : err_no_memory(err);
}

static int read_info(const cJSON *attributes, struct sqs_queue_info *ret, struct err *err)
{
    int64_t visibility_s = 0;
    if (!json_get_i64(attributes, "VisibilityTimeout", 0, SQS_VISIBILITY_MAX_S, &visibility_s))
        return err_outage(err, "invalid_answer", "the answer to GetQueueAttributes has no valid VisibilityTimeout");
    ret->visibility_s = (int)visibility_s;
    if (!json_get_i64(attributes, "MaximumMessageSize", 1024, INT32_MAX, &ret->max_message_size))
        ret->max_message_size = SQS_MESSAGE_MAX;
    if (!json_get_i64(attributes, "ApproximateNumberOfMessages", 0, INT64_MAX, &ret->visible))
        ret->visible = 0;
    if (!json_get_i64(attributes, "ApproximateNumberOfMessagesNotVisible", 0, INT64_MAX, &ret->in_flight))
        ret->in_flight = 0;
    const char *policy = json_get_string(attributes, "RedrivePolicy");
    return policy && *policy ? read_redrive_policy(policy, ret, err) : 0;
}

int sqs_get_info(struct sqs *sqs, struct sqs_queue_info *ret, struct err *err)
{
    auto_buf struct buf body = BUF_INIT;
    sqs_begin_body(sqs, &body);
    buf_puts(&body, ",\"AttributeNames\":[\"VisibilityTimeout\",\"RedrivePolicy\",\"MaximumMessageSize\","
                    "\"ApproximateNumberOfMessages\",\"ApproximateNumberOfMessagesNotVisible\"]}");
    if (buf_failed(&body))
        return err_no_memory(err);
    auto_aws_call struct aws_call call = sqs_make_call(sqs, "AmazonSQS.GetQueueAttributes", &body);
    int r = aws_call(sqs->client, &call, err);
    if (r != 0) {
        sqs_explain(sqs, &call, err);
        return r;
    }
    auto_json cJSON *json = NULL;
    r = sqs_parse_answer(&call, &json, err);
    if (r != 0)
        return r;
    struct sqs_queue_info info = { .dead_letter_arn = NULL };
    r = read_info(json_get(json, "Attributes"), &info, err);
    if (r != 0)
        sqs_queue_info_clear(&info);
    else
        *ret = info;
    return r;
}

void sqs_queue_info_clear(struct sqs_queue_info *info)
{
    free(info->dead_letter_arn);
    *info = (struct sqs_queue_info){ .dead_letter_arn = NULL };
}

/* The parts of arn:PARTITION:sqs:REGION:ACCOUNT:NAME. */
enum { ARN_SERVICE = 2, ARN_REGION, ARN_ACCOUNT, ARN_NAME, ARN_PARTS };

/* Splits `arn` in place at its colons. */
static bool split_queue_arn(char *arn, const char *parts[ARN_PARTS])
{
    for (size_t i = 0; i < ARN_PARTS; i++) {
        parts[i] = strsep(&arn, ":");
        if (!parts[i] || !*parts[i])
            return false;
    }
    return !arn && strcmp(parts[0], "arn") == 0 && strcmp(parts[ARN_SERVICE], "sqs") == 0;
}

int sqs_url_from_arn(struct aws_client *client, const char *queue_arn, char **ret_url, struct err *err)
{
    auto_free char *arn = strdup(queue_arn);
    const char *parts[ARN_PARTS] = { NULL };
    if (!arn)
        return err_no_memory(err);
    if (!split_queue_arn(arn, parts))
        return err_never(err, "invalid_queue_arn",
                         "\"%s\" is not a queue ARN like arn:aws:sqs:us-west-2:123456789012:NAME", queue_arn);

    auto_buf struct buf url = BUF_INIT, body = BUF_INIT;
    aws_endpoint(aws_client_aws(client), "sqs", parts[ARN_REGION], &url);
    buf_putc(&url, '/');
    buf_puts(&body, "{\"QueueName\":");
    json_write_string(parts[ARN_NAME], &body);
    buf_puts(&body, ",\"QueueOwnerAWSAccountId\":");
    json_write_string(parts[ARN_ACCOUNT], &body);
    buf_putc(&body, '}');
    if (buf_failed(&url) || buf_failed(&body))
        return err_no_memory(err);
    auto_aws_call struct aws_call call = { .service = "sqs",
                                           .region = parts[ARN_REGION],
                                           .url = buf_str(&url),
                                           .content_type = "application/x-amz-json-1.0",
                                           .target = "AmazonSQS.GetQueueUrl",
                                           .body = body.data,
                                           .body_len = body.len };
    int r = aws_call(client, &call, err);
    if (r != 0)
        return r;
    auto_json cJSON *json = NULL;
    r = sqs_parse_answer(&call, &json, err);
    if (r != 0)
        return r;
    const char *queue_url = json_get_string(json, "QueueUrl");
    if (!queue_url)
        return err_outage(err, "invalid_answer", "the answer to GetQueueUrl for %s has no QueueUrl", queue_arn);
    *ret_url = strdup(queue_url);
    return *ret_url ? 0 : err_no_memory(err);
}
