#include "aws/aws_error.h"
#include "aws/credentials/creds_source.h"
#include "base/time.h"

enum { PAUSE_MS = 1000 };

/* True if the same request may succeed in a moment. */
static bool may_retry(int result, const struct http_response *response, const struct err *err)
{
    if (result != 0)
        return err_is(err, "connection_failed") || err_is(err, "timeout");
    auto_aws_error struct aws_error error = AWS_ERROR_INIT;
    if (response->status < 400 || aws_error_parse(response, &error, NULL) != 0)
        return false;
    /* IDPCommunicationError: STS could not reach the identity provider. */
    return aws_error_retry(response->status, error.code) != RETRY_NONE ||
           strcmp(error.code, "IDPCommunicationError") == 0;
}

int creds_request(const struct creds_lookup *lookup, const struct http_request *request,
                  const struct creds_tries *tries, struct http_response *ret, struct err *err)
{
    struct http_request bounded = *request;
    bounded.timeout_ms = tries->timeout_ms;
    bounded.max_response = CREDS_RESPONSE_MAX;
    bounded.no_proxy = tries->no_proxy;
    for (int attempt = 1;; attempt++) {
        http_response_clear(ret);
        int r = http_do(lookup->http, &bounded, ret, err);
        if (r < 0 || attempt == tries->attempts || !may_retry(r, ret, err))
            return r;
        /* Random, so that many processes that lost the same service do not come back together. */
        int64_t until_ms = time_mono_ms() + PAUSE_MS / 2 + (int64_t)(random_unit() * PAUSE_MS / 2);
        if (wait_fd(-1, 0, http_stop_fd(lookup->http), until_ms) == WAIT_STOPPED)
            return err_later(err, "interrupted", "stopped while waiting for credentials");
    }
}
