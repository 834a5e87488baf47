#include "aws/s3.h"

#include "aws/aws_internal.h"
#include "base/utf8.h"

/* Checked because the name becomes part of a host name. */
static bool is_bucket_name(const char *bucket)
{
    size_t len = strlen(bucket);
    return len >= 3 && len <= 63 && strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len;
}

static void write_url(struct aws *aws, const struct s3_object *object, const char *region, struct buf *ret)
{
    auto_buf struct buf endpoint = BUF_INIT;
    aws_endpoint(aws, "s3", region, &endpoint);
    /* The certificate for *.s3.REGION.amazonaws.com does not cover a.b.s3...: buckets with dots go into the path. */
    if (aws_endpoint_is_overridden(aws, "s3") || strchr(object->bucket, '.'))
        buf_printf(ret, "%s/%s/", buf_str(&endpoint), object->bucket);
    else
        buf_printf(ret, "https://%s.%s/", object->bucket, buf_str(&endpoint) + strlen("https://"));
    http_percent_encode(object->key, strlen(object->key), "/", ret);
    if (object->version_id) {
        buf_puts(ret, "?versionId=");
        http_percent_encode(object->version_id, strlen(object->version_id), "", ret);
    }
    ret->failed = ret->failed || endpoint.failed;
}

/* Turns S3's codes into those of s3.h. */
static int failure_result(const struct s3_object *object, const struct aws_call *call, struct err *err)
{
    const char *code = call->error_code;
    if (strcmp(code, "NoSuchKey") == 0 || strcmp(code, "NoSuchVersion") == 0 ||
        strcmp(code, "MethodNotAllowed") == 0 /* the version is a delete marker */)
        return err_never(err, "no_such_key", "%s", call->err.text);
    if (strcmp(code, "NoSuchBucket") == 0)
        return err_never(err, "no_such_bucket", "bucket %s does not exist: %s", object->bucket, call->err.text);
    if (err_is(&call->err, "response_too_large"))
        return err_never(err, "object_too_large", "%s", call->err.text);
    *err = call->err;
    return call->result;
}

static int check_object(const struct s3_object *object, struct err *err)
{
    if (!is_bucket_name(object->bucket))
        return err_never(err, "no_such_bucket", "\"%s\" is not a valid name of an S3 bucket", object->bucket);
    if (!*object->key || utf8_valid_prefix(object->key, strlen(object->key)) < strlen(object->key))
        return err_never(err, "no_such_key", "s3://%s: the key is empty or not UTF-8", object->bucket);
    return 0;
}

/* A get in the region to try now: first the object's, then the one in which S3 says the bucket is. */
struct request {
    struct s3_get *get;
    struct buf url, region;
};

struct wave {
    struct request *requests;
    struct aws_call *calls;
    size_t n, cap; /* n: the unfinished requests, at the front */
};

static void wave_clear(struct wave *wave)
{
    for (size_t i = 0; wave->calls && i < wave->cap; i++)
        aws_call_clear(&wave->calls[i]);
    for (size_t i = 0; wave->requests && i < wave->cap; i++) {
        buf_clear(&wave->requests[i].url);
        buf_clear(&wave->requests[i].region);
    }
    free(wave->calls);
    free(wave->requests);
}

/* 30 s, plus the transfer time at 4 Mbit/s. */
static int timeout_ms(size_t max_len)
{
    size_t extra_s = max_len / (512 * 1024);
    return 30000 + (extra_s < 3600 ? (int)extra_s : 3600) * 1000;
}

static int make_calls(struct aws_client *client, struct wave *wave, struct err *err)
{
    for (size_t i = 0; i < wave->n; i++) {
        struct request *request = &wave->requests[i];
        buf_reset(&request->url);
        write_url(aws_client_aws(client), &request->get->object, buf_str(&request->region), &request->url);
        if (buf_failed(&request->url) || buf_failed(&request->region))
            return err_no_memory(err);
        wave->calls[i] = (struct aws_call){ .service = "s3",
                                            .region = buf_str(&request->region),
                                            .method = "GET",
                                            .url = buf_str(&request->url),
                                            .timeout_ms = timeout_ms(request->get->max_len),
                                            .max_response = request->get->max_len,
                                            .s3 = true };
    }
    return 0;
}

/* True if S3 rejected the call because the bucket is in another region. Changes `region` to that region. */
static bool is_in_other_region(const struct aws_call *call, struct buf *region)
{
    auto_buf struct buf other = BUF_INIT;
    if (call->result != NEVER || !http_response_header(&call->response, "x-amz-bucket-region", &other) ||
        !aws_is_region(buf_str(&other)) || strcmp(buf_str(&other), buf_str(region)) == 0)
        return false;
    buf_reset(region);
    buf_puts(region, buf_str(&other));
    return true;
}

/* Sets the get's result. True: try again in another region, which is now the request's. */
static bool take_answer(struct aws_call *call, struct request *request)
{
    struct s3_get *get = request->get;
    get->result = call->result == 0 ? 0 : failure_result(&get->object, call, &get->err);
    if (get->result == 0) {
        buf_clear(&get->body);
        get->body = call->response.body; /* handed over, not copied */
        call->response.body = (struct buf)BUF_INIT;
        return false;
    }
    return is_in_other_region(call, &request->region);
}

/* Performs the requests, and moves those to try in another region to the front. */
static int perform_wave(struct aws_client *client, struct wave *wave, struct err *err)
{
    int r = make_calls(client, wave, err);
    if (r == 0)
        r = aws_call_many(client, wave->calls, wave->n, err);
    size_t n = wave->n;
    wave->n = 0;
    for (size_t i = 0; i < n; i++) {
        bool again = r == 0 && take_answer(&wave->calls[i], &wave->requests[i]);
        aws_call_clear(&wave->calls[i]);
        if (!again)
            continue;
        struct request moved = wave->requests[wave->n];
        wave->requests[wave->n++] = wave->requests[i];
        wave->requests[i] = moved;
    }
    return r;
}

int s3_get_many(struct aws_client *client, struct s3_get *gets, size_t n, struct err *err)
{
    cleanup(wave_clear) struct wave wave = { .cap = n };
    wave.requests = calloc(n + 1, sizeof(*wave.requests));
    wave.calls = calloc(n + 1, sizeof(*wave.calls));
    if (!wave.requests || !wave.calls)
        return err_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        gets[i].result = check_object(&gets[i].object, &gets[i].err);
        if (gets[i].result != 0)
            continue;
        struct request *request = &wave.requests[wave.n++];
        request->get = &gets[i];
        const char *region = gets[i].object.region;
        buf_puts(&request->region, region ? region : aws_region(aws_client_aws(client)));
    }
    int r = perform_wave(client, &wave, err);
    return r == 0 && wave.n > 0 ? perform_wave(client, &wave, err) : r;
}

int s3_get_object(struct aws_client *client, const struct s3_object *object, size_t max_len, struct buf *ret,
                  struct err *err)
{
    struct s3_get get = { .object = *object, .max_len = max_len };
    int r = s3_get_many(client, &get, 1, err);
    if (r == 0 && get.result == 0 && ret->len == 0 && !buf_failed(ret)) { /* handed over, not copied */
        buf_clear(ret);
        *ret = get.body;
        return 0;
    }
    if (r == 0 && get.result != 0) {
        r = get.result;
        *err = get.err;
        err_prefix(err, "s3://%s/%s", object->bucket, object->key);
    } else if (r == 0) {
        buf_add(ret, get.body.data, get.body.len);
        r = buf_failed(ret) ? err_no_memory(err) : 0;
    }
    buf_clear(&get.body);
    return r;
}

int s3_put_object(struct aws_client *client, const struct s3_object *object, const char *content_type,
                  const struct buf *data, struct err *err)
{
    auto_buf struct buf region = BUF_INIT;
    int r = check_object(object, err);
    if (r != 0)
        return r;
    buf_puts(&region, object->region ? object->region : aws_region(aws_client_aws(client)));
    bool again = true;
    for (int attempt = 1; attempt <= 2 && again; attempt++) {
        auto_buf struct buf url = BUF_INIT;
        write_url(aws_client_aws(client), object, buf_str(&region), &url);
        if (buf_failed(&url) || buf_failed(&region))
            return err_no_memory(err);
        auto_aws_call struct aws_call call = { .service = "s3",
                                               .region = buf_str(&region),
                                               .method = "PUT",
                                               .url = buf_str(&url),
                                               .content_type = content_type,
                                               .body = data->data,
                                               .body_len = data->len,
                                               .timeout_ms = timeout_ms(data->len),
                                               .s3 = true };
        r = aws_call(client, &call, err);
        if (r <= 0)
            return r;
        r = failure_result(object, &call, err);
        again = is_in_other_region(&call, &region);
    }
    err_prefix(err, "s3://%s/%s", object->bucket, object->key);
    return r;
}
