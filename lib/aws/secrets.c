#include "aws/secrets.h"

#include "base/hash.h"
#include "base/json.h"

/* The region in arn:PARTITION:secretsmanager:REGION:...; NULL: `secret_id` is a name. */
static const char *region_of(const char *secret_id, struct buf *storage)
{
    static const char service[] = ":secretsmanager:";
    const char *at = strncmp(secret_id, "arn:", 4) == 0 ? strstr(secret_id, service) : NULL;
    if (!at)
        return NULL;
    at += sizeof(service) - 1;
    buf_add(storage, at, strcspn(at, ":"));
    return storage->len > 0 ? buf_str(storage) : NULL;
}

static void wipe_member(cJSON *json, const char *key)
{
    cJSON *member = json_get(json, key);
    if (cJSON_IsString(member) && member->valuestring)
        explicit_bzero(member->valuestring, strlen(member->valuestring));
}

static void wipe_answer(cJSON **json)
{
    wipe_member(*json, "SecretString");
    wipe_member(*json, "SecretBinary");
    cJSON_Delete(*json);
}

static int read_answer(const struct aws_call *call, const char *secret_id, struct buf *ret, struct err *err)
{
    cleanup(wipe_answer) cJSON *json = NULL;
    /* Without an err, whose text could quote the answer. */
    int r = json_parse(buf_str(&call->response.body), call->response.body.len, &json, NULL);
    if (r < 0)
        return err_no_memory(err);
    const char *text = json_get_string(json, "SecretString");
    const char *binary = json_get_string(json, "SecretBinary");
    if (text)
        buf_puts(ret, text);
    else if (!binary || (!base64_decode(binary, ret) && !buf_failed(ret)))
        return err_outage(err, "invalid_answer", "secret %s: the answer has neither SecretString nor SecretBinary",
                          secret_id);
    return buf_failed(ret) ? err_no_memory(err) : 0;
}

int secrets_get(struct aws_client *client, const char *secret_id, struct buf *ret, struct err *err)
{
    auto_buf struct buf region = BUF_INIT, url = BUF_INIT, body = BUF_INIT;
    const char *secret_region = region_of(secret_id, &region);
    if (!secret_region)
        secret_region = aws_region(aws_client_aws(client));
    aws_endpoint(aws_client_aws(client), "secretsmanager", secret_region, &url);
    buf_putc(&url, '/');
    buf_puts(&body, "{\"SecretId\":");
    json_write_string(secret_id, &body);
    buf_puts(&body, ",\"VersionStage\":\"AWSCURRENT\"}");
    if (buf_failed(&region) || buf_failed(&url) || buf_failed(&body))
        return err_no_memory(err);

    auto_aws_call struct aws_call call = { .service = "secretsmanager",
                                           .region = secret_region,
                                           .url = buf_str(&url),
                                           .content_type = "application/x-amz-json-1.1",
                                           .target = "secretsmanager.GetSecretValue",
                                           .body = body.data,
                                           .body_len = body.len };
    int r = aws_call(client, &call, err);
    if (r != 0) {
        err_prefix(err, "secret %s", secret_id);
        return r;
    }
    return read_answer(&call, secret_id, ret, err);
}
