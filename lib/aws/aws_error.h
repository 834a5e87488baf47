/*
 * aws_error: what a service's refusal says, in whichever of AWS's protocols it says it. Pure.
 *
 * JSON protocols: `__type` (all before '#' cut) and message or Message, else the headers
 * x-amzn-query-error and X-Amzn-ErrorType. Query: <ErrorResponse><Error> (some wrap it in <Errors>). REST: <Error>. A
 * proxy may answer in the service's place: with a page, or with nothing.
 */
#ifndef AWS_AWS_ERROR_H
#define AWS_AWS_ERROR_H

#include "aws/retry.h"
#include "http/http.h"

enum { AWS_ERROR_CODE_SIZE = 96 };

struct aws_error {
    char code[AWS_ERROR_CODE_SIZE]; /* "" where the answer names none */
    struct buf message;             /* one line; empty where there is none */
};
#define AWS_ERROR_INIT                     \
    {                                      \
        .code = { 0 }, .message = BUF_INIT \
    }
void aws_error_clear(struct aws_error *error);
#define auto_aws_error cleanup(aws_error_clear)

/* Reads a refusal. 0 whatever it looks like; < 0: no memory. */
int aws_error_parse(const struct http_response *response, struct aws_error *ret, struct err *err) must_check;

/*
 * What the refusal asks for: the standard mode's codes (botocore's retries/standard.py), and SQS's
 * and SNS's own ways to say "later". `code` is "" where the service named none.
 */
enum retry_kind aws_error_retry(int status, const char *code);
/* Whether the code says that the credentials were good but no longer are. */
bool aws_error_is_expired(const char *code);
/* Whether a wrong clock here can be what it is about. */
bool aws_error_is_skew(const char *code);

/*
 * The result that a refusal of the call `name` ("sqs SendMessage") makes, with its story: LATER "throttled",
 * "service_unavailable" (outage; also where an answer without a code shows that somebody else gave it),
 * "credentials_refused" (outage: nobody would be let in with them); NEVER "access_denied" (they may
 * not do this), "aws_error".
 */
int aws_error_result(const struct aws_error *error, int status, const char *name, struct err *err) must_check;

/* Whether the code is about what a message holds: another message could pass. SQS's and SNS's. */
bool aws_error_is_content(const char *code);

#endif
