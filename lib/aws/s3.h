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
 * The object's bytes appended to `ret`, at most `max_len`. NEVER: "no_such_key" (object or version not there, or gone),
 * "no_such_bucket", "access_denied" (also what S3 says of a key that is not there to who may not list the bucket),
 * "object_too_large". A bucket that lies in another region is asked for there. Virtual-hosted addressing, path style
 * where the endpoint is overridden or the bucket's name has dots.
 */
int s3_get_object(struct aws_client *client, const struct s3_object *object, size_t max_len, struct buf *ret,
                  struct err *err) must_check;

/* One object of many. Result, and text without the object's name, else as of s3_get_object. */
struct s3_get {
    struct s3_object object;
    size_t max_len;
    int result;
    struct err err;
    struct buf body; /* where result is 0: the object; the caller clears it */
};
/* Gets all at once. < 0 only. */
int s3_get_many(struct aws_client *client, struct s3_get *gets, size_t n, struct err *err) must_check;

/*
 * Writes the object, in the place of one that is there; `object` has no version_id. NEVER and addressing as of
 * s3_get_object. At least once: a put whose answer is lost is repeated.
 */
int s3_put_object(struct aws_client *client, const struct s3_object *object, const char *content_type,
                  const struct buf *data, struct err *err) must_check;

#endif
