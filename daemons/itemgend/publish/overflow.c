#include "itemgend/publish/overflow.h"

#include <inttypes.h>

#include "aws/s3.h"
#include "base/hash.h"
#include "base/json.h"

enum { NAME_MAX_LEN = 480 }; /* of S3's 1024 bytes for a key */

static void add_digest(const char *name, struct buf *ret)
{
    unsigned char digest[SHA256_SIZE];
    if (hash_sha256(name, strlen(name), digest)) {
        buf_puts(ret, "sha256:"); /* an encoded name has no ':' */
        buf_add_hex(ret, digest, sizeof(digest));
    } else {
        ret->failed = true;
    }
}

static void add_name(const char *name, struct buf *ret)
{
    auto_buf struct buf encoded = BUF_INIT;
    if (*name == '.') /* so that it is not "..", which not every tool can handle */
        buf_puts(&encoded, "%2E");
    http_percent_encode(name + (*name == '.'), strlen(name) - (*name == '.'), "", &encoded);
    if (encoded.len > NAME_MAX_LEN)
        add_digest(name, ret);
    else
        buf_puts(ret, buf_str(&encoded));
    ret->failed = ret->failed || encoded.failed;
}

void overflow_key(const struct publication *publication, struct buf *ret)
{
    add_name(publication->collection, ret);
    buf_putc(ret, '/');
    add_name(publication->item_id, ret);
    buf_printf(ret, "/%" PRId64 ".json", publication->published_at_ms);
}

int overflow_put(struct aws_client *client, const char *bucket, const struct publication *publication, struct buf *ret,
                 struct err *err)
{
    auto_buf struct buf key = BUF_INIT;
    overflow_key(publication, &key);
    if (buf_failed(&key))
        return err_no_memory(err);
    const struct s3_object object = { .bucket = bucket, .key = buf_str(&key) };
    int r = s3_put_object(client, &object, "application/geo+json", publication->text, err);
    if (r == NEVER) { /* the bucket is the cause, and it is the same for every item */
        err->outage = true;
        r = LATER;
    }
    if (r != 0)
        return r;
    buf_puts(ret, "[\"software.amazon.payloadoffloading.PayloadS3Pointer\",{\"s3BucketName\":");
    json_write_string(bucket, ret);
    buf_puts(ret, ",\"s3Key\":");
    json_write_string(buf_str(&key), ret);
    buf_puts(ret, "}]");
    return buf_failed(ret) ? err_no_memory(err) : 0;
}
