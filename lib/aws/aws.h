/*
 * aws: one signed and retried call, or many at once.
 *
 * struct aws is the process's: region, endpoints, credentials, the retry quota and the clock's
 * offset, safe for many threads. struct aws_client is one thread's: it holds the connections.
 *
 * Retries follow the AWS standard mode (SDKs and Tools Reference Guide, "Retry behavior"): three
 * attempts, full jitter, a token bucket shared by the process. A refusal that a wrong clock
 * explains is answered by an offset taken from the Date header, and tried once more.
 */
#ifndef AWS_AWS_H
#define AWS_AWS_H

#include "aws/credentials/creds.h"
#include "http/http.h"

struct aws;

/* Reads environment and shared files. `region` NULL: the standard places. NEVER: no region anywhere, a bad file. */
int aws_new(const char *region, struct aws **ret, struct err *err) must_check;
void aws_free(struct aws *aws);

const char *aws_region(const struct aws *aws);
/* The service's base URL without a trailing '/': an override, or https://SERVICE.REGION.amazonaws.com (.cn where the
 * region is). */
void aws_endpoint(const struct aws *aws, const char *service, const char *region, struct buf *ret);
bool aws_endpoint_is_overridden(const struct aws *aws, const char *service);
/* Wall clock corrected by the offset that the services' Date headers showed. */
int64_t aws_now_ms(struct aws *aws);
/* Retried attempts since start, for the counters. */
int64_t aws_retries(const struct aws *aws);
/* Has them counted there, which outlives `aws`. Before there are clients. */
void aws_count_retries(struct aws *aws, _Atomic int64_t *counter);

/* A cache of the role's credentials, assumed with the process's own. `aws` outlives it. */
int aws_role_new(struct aws *aws, const struct creds_role *role, struct creds_cache **ret, struct err *err) must_check;

struct aws_client;
/* `stop_fd`: as in http_new. `aws` outlives the client. */
int aws_client_new(struct aws *aws, int stop_fd, struct aws_client **ret, struct err *err) must_check;
void aws_client_free(struct aws_client *client);
static inline void aws_client_free_pointer(struct aws_client **client)
{
    aws_client_free(*client);
}
#define auto_aws_client cleanup(aws_client_free_pointer)
struct aws *aws_client_aws(struct aws_client *client);
struct http *aws_client_http(struct aws_client *client);

/*
 * For entries that a 200 answer gave back as failed: pays for a repetition and waits its back-off.
 * `failures`: how often they have failed, from 1. False: they are not to be tried again (often
 * enough, quota spent, stop).
 */
bool aws_client_back_off(struct aws_client *client, int failures, bool throttled) must_check;

struct aws_call {
    const char *service;      /* the signing name: "sqs" */
    const char *region;       /* NULL: aws_region() */
    const char *method;       /* NULL: POST */
    const char *url;          /* scheme, host, path and query, encoded */
    const char *content_type; /* NULL: no body */
    const char *target;       /* X-Amz-Target; NULL: not sent */
    const void *body;
    size_t body_len;
    int timeout_ms;      /* of one attempt; 0: 30000 */
    size_t max_response; /* 0: 1 MiB */
    bool s3;             /* S3's way of signing */
    bool unsigned_call;  /* STS AssumeRoleWithWebIdentity */
    /*
     * A receive. Not repeated when no answer came, because its messages may be on their way; nor
     * when another call of the array succeeded, because what that one brought must not wait.
     */
    bool once;
    /* Results. response is cleared by aws_call_clear. */
    int result;
    struct err err;      /* its code: see aws_call_many */
    char error_code[96]; /* the service's, "#" and all before it cut; "" where it named none */
    struct http_response response;
};

/*
 * Performs all at once. Each `result` is 0 (status 2xx, the answer in response.body), LATER
 * (throttled, 5xx, no answer: after the attempts that the mode allows) or NEVER (the service
 * refused the request; err->text holds its code and message). LATER with err.outage: the service
 * or the credentials cannot be had at all. Returns < 0 only where nothing could be tried.
 *
 * Codes. LATER: "throttled"; with outage "service_unavailable", "credentials_refused", "tls_failed" and those of
 * http_do and creds_get. NEVER: "access_denied" (these credentials may not do this), "aws_error" (any
 * other refusal: see error_code).
 */
int aws_call_many(struct aws_client *client, struct aws_call *calls, size_t n, struct err *err) must_check;
/* The same for one: its result and err. */
int aws_call(struct aws_client *client, struct aws_call *call, struct err *err) must_check;
void aws_call_clear(struct aws_call *call);
#define auto_aws_call cleanup(aws_call_clear)

#endif
