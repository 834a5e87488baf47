/*
 * aws_error: reads the error answers of AWS's protocols. No network, no clock.
 *
 * - JSON: `__type` without its prefix up to '#', and `message` or `Message`; otherwise the headers x-amzn-query-error
 *   and X-Amzn-ErrorType.
 * - Query: <ErrorResponse><Error>, sometimes with <Errors> around <Error>. REST: <Error>.
 * - A proxy may answer in the service's place, with a page or with nothing.
 */
#ifndef AWS_AWS_ERROR_H
#define AWS_AWS_ERROR_H

#include "aws/retry.h"
#include "http/http.h"

enum { AWS_ERROR_CODE_SIZE = 96 };

struct aws_error {
    char code[AWS_ERROR_CODE_SIZE]; /* "": the answer has none */
    struct buf message;             /* one line; empty: the answer has none */
};
#define AWS_ERROR_INIT                     \
    {                                      \
        .code = { 0 }, .message = BUF_INIT \
    }
void aws_error_clear(struct aws_error *error);
#define auto_aws_error cleanup(aws_error_clear)

/* Reads an error answer. Returns 0 for any content; < 0: no memory. */
int aws_error_parse(const struct http_response *response, struct aws_error *ret, struct err *err) must_check;

/*
 * How to retry: the codes of the standard mode (botocore's retries/standard.py), and those with which SQS and SNS
 * throttle. `code` may be "".
 */
enum retry_kind aws_error_retry(int status, const char *code);
/* True if the code means that the credentials have expired. */
bool aws_error_is_expired(const char *code);
/* True if a wrong clock on this host may be the cause. */
bool aws_error_is_skew(const char *code);

/*
 * The result for a call that was answered with this error. `name`: the call, for the text ("sqs SendMessage").
 * - LATER: "throttled".
 * - LATER with outage: "service_unavailable" (also for an answer without a code, which is a proxy's);
 *   "credentials_refused" (no call would succeed with these credentials).
 * - NEVER: "access_denied" (not permitted with these credentials); "aws_error".
 */
int aws_error_result(const struct aws_error *error, int status, const char *name, struct err *err) must_check;

/* True if SQS or SNS rejected the content of one message, so that another message could succeed. */
bool aws_error_is_content(const char *code);

#endif
