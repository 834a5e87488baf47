/*
 * aws: signed calls of AWS services with retries, one or many at once.
 *
 * - struct aws belongs to the process: region, endpoints, credentials, retry quota, clock offset. Thread-safe.
 * - struct aws_client belongs to one thread: its connections.
 * - Retries follow AWS's standard mode ("Retry behavior", AWS SDKs and Tools Reference Guide): three attempts, full
 *   jitter, a token bucket for the process.
 * - If a service rejects a call because our clock is wrong, the call is signed again with the service's time.
 */
#ifndef AWS_AWS_H
#define AWS_AWS_H

#include "aws/credentials/creds.h"
#include "http/http.h"

struct aws;

/* Reads the environment and the shared files. `region` NULL: from there. NEVER: no region is set, or a file is bad. */
int aws_new(const char *region, struct aws **ret, struct err *err) must_check;
void aws_free(struct aws *aws);

const char *aws_region(const struct aws *aws);
/* Appends the service's base URL, without a '/' at the end: its override, or https://SERVICE.REGION.amazonaws.com
 * (amazonaws.com.cn in China). */
void aws_endpoint(const struct aws *aws, const char *service, const char *region, struct buf *ret);
bool aws_endpoint_is_overridden(const struct aws *aws, const char *service);
/* The wall clock, corrected by the offset found in the services' Date headers. */
int64_t aws_now_ms(struct aws *aws);
/* Retries since the start. */
int64_t aws_retries(const struct aws *aws);
/* Counts retries in `counter` from now on, which must outlive `aws`. Call it before making clients. */
void aws_count_retries(struct aws *aws, _Atomic int64_t *counter);

/* A cache of credentials of `role`, which this process assumes with its own. `aws` must outlive it. */
int aws_role_new(struct aws *aws, const struct creds_role *role, struct creds_cache **ret, struct err *err) must_check;

struct aws_client;
/* `stop_fd`: see http_new. `aws` must outlive the client. */
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
 * Pays for a retry from the quota and waits its back-off, for entries that a 200 answer reported as failed.
 * - `failures`: how often they have failed, from 1.
 * - False: do not retry (attempts or quota used up, or stopped).
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
     * For receives. Never retried after a lost answer, whose messages are invisible now; nor after another call of the
     * array succeeded, because its messages must not wait.
     */
    bool no_retry;
    /* Results. aws_call_clear frees `response`. */
    int result;
    struct err err;      /* for its codes see aws_call_many */
    char error_code[96]; /* the service's code without a prefix up to '#'; "": the answer has none */
    struct http_response response;
};

/*
 * Performs all at once, with retries. Returns 0, or < 0: the process cannot go on. Each call's result:
 * - 0: status 2xx; the answer is in response.body.
 * - LATER: "throttled", after the last attempt.
 * - LATER with outage: "service_unavailable", "credentials_refused", "tls_failed", and the codes of http_do and
 *   creds_get.
 * - NEVER: the service rejected the call; err.text has its code and message. "access_denied": not permitted;
 *   "aws_error": any other reason, see error_code.
 */
int aws_call_many(struct aws_client *client, struct aws_call *calls, size_t n, struct err *err) must_check;
/* The same for one call; returns its result. */
int aws_call(struct aws_client *client, struct aws_call *call, struct err *err) must_check;
void aws_call_clear(struct aws_call *call);
#define auto_aws_call cleanup(aws_call_clear)

#endif
