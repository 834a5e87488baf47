#include "aws/s3.h"

#include "aws/aws_internal.h"
#include "base/utf8.h"

/* A bucket's name becomes part of a host name. */
static bool is_bucket_name(const char *bucket)
{
    size_t len = strlen(bucket);
    return len >= 3 && len <= 63 && strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len;
}

static void write_url(struct aws *aws, const struct s3_object *object, const char *region, struct buf *ret)
{
    auto_buf struct buf endpoint = BUF_INIT;
    aws_endpoint(aws, "s3", region, &endpoint);
    /* A certificate for *.s3.REGION.amazonaws.com is none for a.b.s3...: such buckets go into the path. */
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

/* What says that the object is not there. */
static bool is_absence(const char *code)
{
    return strncmp(code, "NoSuch", 6) == 0 || strcmp(code, "MethodNotAllowed") == 0 /* a delete marker's version */;
}

static int refuse(const struct s3_object *object, const struct aws_call *call, struct err *err)
{
    if (is_absence(call->error_code))
        return err_never(err, "no_such_key", "s3://%s/%s: %s", object->bucket, object->key, call->err.text);
    if (err_is(&call->err, "response_too_large"))
        return err_never(err, "object_too_large", "s3://%s/%s: %s", object->bucket, object->key, call->err.text);
    err_prefix(err, "s3://%s/%s", object->bucket, object->key);
    return call->result;
}

/* One GET. Where the bucket lies in another region, *ret_region is that; the result is then NEVER. */
static int get(struct aws_client *client, const struct s3_object *object, const char *region, size_t max_len,
               struct buf *ret, struct buf *ret_region, struct err *err)
{
    auto_buf struct buf url = BUF_INIT;
    write_url(aws_client_aws(client), object, region, &url);
    if (buf_failed(&url))
        return err_no_memory(err);
    auto_aws_call struct aws_call call = {
        .service = "s3", .region = region, .method = "GET", .url = buf_str(&url), .max_response = max_len, .s3 = true
    };
    int r = aws_call(client, &call, err);
    if (r < 0)
        return r;
    if (r != 0) {
        if (r == NEVER)
            (void)http_response_header(&call.response, "x-amz-bucket-region", ret_region);
        return refuse(object, &call, err);
    }
    if (ret->len == 0 && !buf_failed(ret)) { /* nothing to append to: handed over, not copied */
        buf_clear(ret);
        *ret = call.response.body;
        call.response.body = (struct buf)BUF_INIT;
        return 0;
    }
    buf_add(ret, call.response.body.data, call.response.body.len);
    return buf_failed(ret) ? err_no_memory(err) : 0;
}

int s3_get_object(struct aws_client *client, const struct s3_object *object, size_t max_len, struct buf *ret,
                  struct err *err)
{
    if (!is_bucket_name(object->bucket))
        return err_never(err, "no_such_key", "\"%s\" is no name of an S3 bucket", object->bucket);
    if (!*object->key || utf8_valid_prefix(object->key, strlen(object->key)) < strlen(object->key))
        return err_never(err, "no_such_key", "s3://%s: the key is empty or no UTF-8", object->bucket);

    const char *region = object->region ? object->region : aws_region(aws_client_aws(client));
    auto_buf struct buf other = BUF_INIT;
    int r = get(client, object, region, max_len, ret, &other, err);
    if (r != NEVER || !aws_is_region(buf_str(&other)) || strcmp(buf_str(&other), region) == 0)
        return r;
    auto_buf struct buf ignored = BUF_INIT;
    return get(client, object, buf_str(&other), max_len, ret, &ignored, err);
}
