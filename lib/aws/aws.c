#include "aws/aws.h"

#include <errno.h>
#include <stdatomic.h>

#include "aws/aws_internal.h"
#include "base/time.h"

static int choose_region(const struct aws_profile *profile, const char *given, char **ret, struct err *err)
{
    const char *region = given ? given : aws_profile_region(profile);
    if (!region)
        return err_never(err, "no_region",
                         "no AWS region is set; set it in the configuration, in AWS_REGION, or as region of the "
                         "profile \"%s\"",
                         aws_profile_name(profile));
    if (!aws_is_region(region))
        return err_never(err, "no_region", "\"%s\" is not an AWS region like eu-central-1", region);
    *ret = strdup(region);
    return *ret ? 0 : err_no_memory(err);
}

static void free_aws_pointer(struct aws **aws)
{
    aws_free(*aws);
}

int aws_new(const char *region, struct aws **ret, struct err *err)
{
    cleanup(free_aws_pointer) struct aws *aws = calloc(1, sizeof(*aws));
    if (!aws)
        return err_no_memory(err);
    retry_quota_init(&aws->quota);
    aws->retries = &aws->own_retries;
    int r = aws_profile_load(&aws->profile, err);
    if (r != 0)
        return r;
    r = choose_region(aws->profile, region, &aws->region, err);
    if (r != 0)
        return r;
    r = creds_cache_new(aws->profile, aws->region, &aws->creds, err);
    if (r != 0)
        return r;
    *ret = TAKE(aws);
    return 0;
}

void aws_free(struct aws *aws)
{
    if (!aws)
        return;
    creds_cache_free(aws->creds);
    aws_profile_free(aws->profile);
    free(aws->region);
    free(aws);
}

int aws_role_new(struct aws *aws, const struct creds_role *role, struct creds_cache **ret, struct err *err)
{
    return creds_cache_new_role(aws->creds, role, ret, err);
}

const char *aws_region(const struct aws *aws)
{
    return aws->region;
}

bool aws_endpoint_is_overridden(const struct aws *aws, const char *service)
{
    return aws_profile_endpoint(aws->profile, service) != NULL;
}

void aws_endpoint(const struct aws *aws, const char *service, const char *region, struct buf *ret)
{
    aws_profile_service_url(aws->profile, service, service, region, ret);
}

int64_t aws_now_ms(struct aws *aws)
{
    return time_now_ms() + atomic_load(&aws->clock_offset_ms);
}

int64_t aws_retries(const struct aws *aws)
{
    return atomic_load(aws->retries);
}

void aws_count_retries(struct aws *aws, _Atomic int64_t *counter)
{
    aws->retries = counter;
}

int aws_client_new(struct aws *aws, int stop_fd, struct aws_client **ret, struct err *err)
{
    auto_aws_client struct aws_client *client = calloc(1, sizeof(*client));
    if (!client)
        return err_no_memory(err);
    client->aws = aws;
    client->stop_fd = stop_fd;
    int r = http_new(stop_fd, &client->http, err);
    if (r != 0)
        return r;
    *ret = TAKE(client);
    return 0;
}

void aws_client_free(struct aws_client *client)
{
    if (!client)
        return;
    http_free(client->http);
    free(client);
}

struct aws *aws_client_aws(struct aws_client *client)
{
    return client->aws;
}

struct http *aws_client_http(struct aws_client *client)
{
    return client->http;
}

bool aws_client_back_off(struct aws_client *client, int failures, bool throttled)
{
    enum retry_kind kind = throttled ? RETRY_THROTTLED : RETRY_TRANSIENT;
    if (failures >= RETRY_ATTEMPTS_MAX || retry_quota_take(&client->aws->quota, kind) == 0)
        return false;
    int64_t until_ms = time_mono_ms() + retry_delay_ms(kind, failures, random_unit(), -1);
    if (wait_fd(-1, 0, client->stop_fd, until_ms) == WAIT_STOPPED)
        return false;
    atomic_fetch_add(client->aws->retries, 1);
    return true;
}
