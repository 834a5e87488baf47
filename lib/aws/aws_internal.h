/* aws_internal: the structs that aws.c and aws_call.c share. Internal to lib/aws. */
#ifndef AWS_AWS_INTERNAL_H
#define AWS_AWS_INTERNAL_H

#include "aws/aws.h"
#include "aws/retry.h"

struct aws {
    struct aws_profile *profile;
    struct creds_cache *creds;
    char *region;
    struct retry_quota quota;
    _Atomic int64_t clock_offset_ms;
    _Atomic int64_t own_retries;
    _Atomic int64_t *retries; /* &own_retries, or the counter given to aws_count_retries */
};

struct aws_client {
    struct aws *aws;
    struct http *http;
    int stop_fd;
};

#endif
