/* s3: Amazon S3, GetObject. */
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
 * The object's bytes appended to `ret`, at most `max_len`. NEVER: "no_such_key" (object, version or bucket not there,
 * or gone), "access_denied", "object_too_large". A bucket that lies in another region is asked for there.
 * Virtual-hosted addressing, path style where the endpoint is overridden.
 */
int s3_get_object(struct aws_client *client, const struct s3_object *object, size_t max_len, struct buf *ret,
                  struct err *err) must_check;

#endif
