/* s3: Amazon S3, GetObject and PutObject. */
#ifndef AWS_S3_H
#define AWS_S3_H

#include "aws/aws.h"

struct s3_object {
    const char *bucket;
    const char *key;        /* not encoded */
    const char *version_id; /* NULL: the current one */
    const char *region;     /* NULL: aws_region() */
};

/*
 * Appends the object's bytes to `ret`, at most `max_len`.
 * - NEVER: "no_such_key" (object or version does not exist), "no_such_bucket", "object_too_large", "access_denied"
 * (also for a missing key, if we may not list the bucket).
 * - If the bucket is in another region, the request is sent again there.
 * - Addressing is virtual-hosted; path style if the endpoint is overridden or the bucket's name has dots.
 */
int s3_get_object(struct aws_client *client, const struct s3_object *object, size_t max_len, struct buf *ret,
                  struct err *err) must_check;

/* One of many objects. `result` and `err` are those of s3_get_object, but the text does not name the object. */
struct s3_get {
    struct s3_object object;
    size_t max_len;
    int result;
    struct err err;
    struct buf body; /* the object, if result is 0; the caller clears it */
};
/* Gets all at once. Returns 0, or < 0: the process cannot go on. */
int s3_get_many(struct aws_client *client, struct s3_get *gets, size_t n, struct err *err) must_check;

/*
 * Creates or replaces the object. `object` has no version_id. Errors and addressing are those of s3_get_object.
 * If the answer is lost, the object is written again.
 */
int s3_put_object(struct aws_client *client, const struct s3_object *object, const char *content_type,
                  const struct buf *data, struct err *err) must_check;

#endif
