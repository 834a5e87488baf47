#include "aws/aws_error.h"
#include "aws/credentials/creds_source.h"
#include "base/time.h"

enum { PAUSE_MS = 1000 };

bool creds_is_region(const char *region)
{
    size_t len = strlen(region);
    return len > 0 && len <= 32 && strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

void creds_endpoint(const struct creds_lookup *lookup, const char *service, const char *host, const char *region,
                    struct buf *ret)
{
    const char *override = aws_profile_endpoint(lookup->profile, service);
    if (override) {
        size_t len = strlen(override);
        while (len > 0 && override[len - 1] == '/')
            len--;
        buf_add(ret, override, len);
        return;
    }
    const char *suffix = strncmp(region, "cn-", 3) == 0 ? ".cn" : "";
    buf_printf(ret, "https://%s.%s.amazonaws.com%s", host, region, suffix);
}

/* Whether the same request could meet a better answer in a moment. */
static bool is_worth_another(int result, const struct http_response *response, const struct err *err)
{
    if (result != 0)
        return err_is(err, "connection_failed") || err_is(err, "timeout");
    auto_aws_error struct aws_error error = AWS_ERROR_INIT;
    if (response->status < 400 || aws_error_parse(response, &error, NULL) != 0)
        return false;
    /* The last is STS's: it could not reach the identity provider. */
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
        if (r < 0 || attempt == tries->attempts || !is_worth_another(r, ret, err))
            return r;
        /* Many processes may have lost the same service: they come back spread over the pause. */
        int64_t until_ms = time_mono_ms() + PAUSE_MS / 2 + (int64_t)(random_unit() * PAUSE_MS / 2);
        if (wait_fd(-1, 0, http_stop_fd(lookup->http), until_ms) == WAIT_STOPPED)
            return err_later(err, "interrupted", "stopped while waiting for credentials");
    }
}
