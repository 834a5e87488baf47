#include "aws/credentials/sts.h"

#include <inttypes.h>

#include "aws/aws_error.h"
#include "aws/xml.h"
#include "base/num.h"
#include "sigv4/sigv4.h"

enum { ATTEMPTS = 3, TIMEOUT_MS = 10000, OWN_HEADERS = 2, HEADERS_MAX = 8 };

static const char form_type[] = "application/x-www-form-urlencoded; charset=utf-8";

static void add_parameter(struct buf *form, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(form, "&%s=", name);
    http_percent_encode(value, strlen(value), "", form);
}

static int make_form(const struct creds_lookup *lookup, const struct sts_role *role, struct buf *ret, struct err *err)
{
    int64_t duration_s = 0;
    if (role->duration_s) {
        int r = num_parse_i64(role->duration_s, 900, 43200, &duration_s, err);
        if (r != 0) {
            err_prefix(err, "duration_seconds for %s", role->role_arn);
            return r;
        }
    }
    auto_buf struct buf session_name = BUF_INIT;
    if (role->session_name)
        buf_puts(&session_name, role->session_name);
    else
        buf_printf(&session_name, "stactools-ingest-%" PRId64, lookup->now_ms / 1000);
    buf_printf(ret, "Action=AssumeRole%s&Version=2011-06-15", role->web_identity_token ? "WithWebIdentity" : "");
    add_parameter(ret, "RoleArn", role->role_arn);
    add_parameter(ret, "RoleSessionName", buf_str(&session_name));
    add_parameter(ret, "ExternalId", role->external_id);
    add_parameter(ret, "DurationSeconds", role->duration_s);
    add_parameter(ret, "WebIdentityToken", role->web_identity_token);
    return buf_failed(ret) || buf_failed(&session_name) ? err_no_memory(err) : 0;
}

/* The region of the STS endpoint: the process's, otherwise a region that every account of the role's partition has. */
static const char *sts_region(const struct creds_lookup *lookup, const char *role_arn)
{
    const char *region = lookup->region ? lookup->region : aws_profile_region(lookup->profile);
    if (region)
        return region;
    if (strncmp(role_arn, "arn:aws-cn:", 11) == 0)
        return "cn-north-1";
    return strncmp(role_arn, "arn:aws-us-gov:", 15) == 0 ? "us-gov-west-1" : "us-east-1";
}

/* The parts of a request. */
struct exchange {
    const struct creds_lookup *lookup;
    const char *region;
    struct buf url, form, host, path;
};

static void exchange_clear(struct exchange *exchange)
{
    buf_clear(&exchange->url);
    buf_clear(&exchange->form);
    buf_clear(&exchange->host);
    buf_clear(&exchange->path);
}

static int make_url(struct exchange *exchange, struct err *err)
{
    aws_profile_service_url(exchange->lookup->profile, "sts", "sts", exchange->region, &exchange->url);
    buf_putc(&exchange->url, '/');
    const char *host = strstr(buf_str(&exchange->url), "://");
    size_t len = host ? strcspn(host + 3, "/?#") : 0;
    if (buf_failed(&exchange->url))
        return err_no_memory(err);
    if (len == 0)
        return err_never(err, "bad_url", "the STS endpoint \"%s\" is not a URL", buf_str(&exchange->url));
    buf_add(&exchange->host, host + 3, len);
    buf_puts(&exchange->path, host + 3 + len);
    return buf_failed(&exchange->host) || buf_failed(&exchange->path) ? err_no_memory(err) : 0;
}

/* Sends the form. Signs it with `with` as of `now_ms`, unless `with` is NULL. */
static int send_form(const struct exchange *exchange, const struct creds *with, int64_t now_ms,
                     struct http_response *ret, struct err *err)
{
    struct http_header headers[HEADERS_MAX] = {
        { "Host", buf_str(&exchange->host) },
        { "Content-Type", form_type },
    };
    size_t n = OWN_HEADERS;
    auto_sigv4_signed struct sigv4_signed signature = { .n_headers = 0 };
    if (with) {
        const struct sigv4_request request = {
            .method = "POST",
            .path = buf_str(&exchange->path),
            .headers = headers,
            .n_headers = n,
            .body = exchange->form.data,
            .body_len = exchange->form.len,
        };
        const struct sigv4_credentials key = { with->access_key_id, with->secret_access_key, with->session_token };
        const struct sigv4_scope scope = { .region = exchange->region, .service = "sts", .now_s = now_ms / 1000 };
        int r = sigv4_sign(&request, &key, &scope, &signature, err);
        if (r != 0)
            return r;
        for (size_t i = 0; i < signature.n_headers; i++)
            headers[n++] = signature.headers[i];
    }
    const struct http_request request = {
        .method = "POST",
        .url = buf_str(&exchange->url),
        .headers = headers,
        .n_headers = n,
        .body = exchange->form.data,
        .body_len = exchange->form.len,
    };
    const struct creds_tries tries = { .attempts = ATTEMPTS, .timeout_ms = TIMEOUT_MS };
    return creds_request(exchange->lookup, &request, &tries, ret, err);
}

/* True if STS may have rejected the request because our clock is wrong. *ret_now_ms: STS's time. */
static bool is_skewed(const struct http_response *response, int64_t now_ms, int64_t *ret_now_ms)
{
    auto_buf struct buf date = BUF_INIT;
    int64_t offset_ms = 0;
    if (response->status < 400 || response->status >= 500 || !http_response_header(response, "Date", &date) ||
        !retry_clock_offset(buf_str(&date), now_ms, &offset_ms))
        return false;
    *ret_now_ms = now_ms + offset_ms;
    return offset_ms > RETRY_SKEW_MAX_MS || offset_ms < -RETRY_SKEW_MAX_MS;
}

static int read_sts_answer(const struct http_response *response, const struct sts_role *role, const char *source,
                           struct creds *ret, struct err *err)
{
    static const char *const fields[] = { "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", NULL };
    auto_xml_rows struct xml_rows rows = XML_ROWS_INIT;
    if (response->status != 200) {
        auto_aws_error struct aws_error error = AWS_ERROR_INIT;
        int result = aws_error_parse(response, &error, err);
        return result != 0 ? result
                           : err_never(err, "sts_refused", "STS refused role %s with status %d: %s%s%.300s",
                                       role->role_arn, response->status, error.code[0] ? error.code : "no reason given",
                                       error.message.len > 0 ? ": " : "", buf_str(&error.message));
    }
    int r = xml_rows(buf_str(&response->body), response->body.len, "*/*/Credentials", fields, &rows, NULL);
    if (r < 0)
        return err_no_memory(err);
    const struct creds_parts parts = {
        .access_key_id = xml_field(&rows, 0, 0),
        .secret_access_key = xml_field(&rows, 0, 1),
        .session_token = xml_field(&rows, 0, 2),
        .expiration = xml_field(&rows, 0, 3),
        .source = source,
        .place = "the answer of STS",
    };
    return creds_fill(&parts, ret, err);
}

int sts_assume_role(const struct creds_lookup *lookup, const struct sts_role *role, const struct creds *with,
                    const char *source, struct creds *ret, struct err *err)
{
    cleanup(exchange_clear) struct exchange exchange = { .lookup = lookup,
                                                         .region = sts_region(lookup, role->role_arn) };
    auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
    if (!aws_is_region(exchange.region))
        return err_never(err, "no_region", "\"%.64s\" is not an AWS region like eu-central-1", exchange.region);
    int r = make_form(lookup, role, &exchange.form, err);
    if (r == 0)
        r = make_url(&exchange, err);
    if (r == 0)
        r = send_form(&exchange, with, lookup->now_ms, &response, err);
    int64_t now_ms = 0;
    if (r == 0 && with && is_skewed(&response, lookup->now_ms, &now_ms))
        r = send_form(&exchange, with, now_ms, &response, err);
    if (r != 0) {
        err_prefix(err, "asking STS for role %s", role->role_arn);
        return r;
    }
    return read_sts_answer(&response, role, source, ret, err);
}
