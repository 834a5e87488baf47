#include <strings.h>

#include "aws/credentials/creds_source.h"
#include "base/user.h"
#include "base/num.h"

/* "Instance metadata service" (EC2 User Guide). Only version 2, because forged requests can reach version 1. */

enum { ROLE_NAME_MAX = 256 };

struct imds {
    const struct creds_lookup *lookup;
    struct creds_tries tries;
    struct buf base; /* without a '/' at its end */
    struct buf token;
};

static void imds_clear(struct imds *imds)
{
    buf_clear(&imds->base);
    buf_clear(&imds->token);
}

static const char *imds_setting(const struct creds_lookup *lookup, const char *variable, const char *key)
{
    const char *value = user_variable(variable);
    return value ? value : creds_setting(lookup, key);
}

static int read_number(const struct creds_lookup *lookup, const char *variable, const char *key, int max, int *ret,
                       struct err *err)
{
    const char *text = imds_setting(lookup, variable, key);
    int64_t value = 1; /* botocore's default for both settings */
    int r = text ? num_parse_i64(text, 1, max, &value, err) : 0;
    if (r != 0)
        err_prefix(err, "%s (%s)", variable, key);
    *ret = (int)value;
    return r;
}

static int read_settings(struct imds *imds, struct err *err)
{
    const struct creds_lookup *lookup = imds->lookup;
    const char *endpoint = imds_setting(lookup, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint");
    const char *mode =
        imds_setting(lookup, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode");
    if (!endpoint)
        endpoint = mode && strcasecmp(mode, "ipv6") == 0 ? "http://[fd00:ec2::254]" : "http://169.254.169.254";
    buf_puts(&imds->base, endpoint);
    while (imds->base.len > 0 && imds->base.data[imds->base.len - 1] == '/')
        imds->base.data[--imds->base.len] = '\0';
    int timeout_s = 1;
    int r = read_number(lookup, "AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout", 60, &timeout_s, err);
    if (r == 0)
        r = read_number(lookup, "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "metadata_service_num_attempts", 10,
                        &imds->tries.attempts, err);
    imds->tries.timeout_ms = timeout_s * 1000;
    imds->tries.no_proxy = true;
    return r;
}

static int imds_request(const struct imds *imds, const char *method, const char *path, struct http_response *ret,
                        struct err *err)
{
    const bool is_put = strcmp(method, "PUT") == 0;
    const struct http_header header = {
        is_put ? "x-aws-ec2-metadata-token-ttl-seconds" : "x-aws-ec2-metadata-token",
        is_put ? "21600" : buf_str(&imds->token),
    };
    auto_buf struct buf url = BUF_INIT;
    buf_add(&url, imds->base.data, imds->base.len);
    buf_puts(&url, path);
    if (buf_failed(&url) || buf_failed(&imds->token))
        return err_no_memory(err);
    const struct http_request request = { .method = method, .url = buf_str(&url), .headers = &header, .n_headers = 1 };
    int r = creds_request(imds->lookup, &request, &imds->tries, ret, err);
    if (r == 0 && ret->status != 200)
        return err_never(err, "bad_status", "status %d", ret->status);
    return r;
}

static int fetch_token(struct imds *imds, struct err *err)
{
    auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
    int r = imds_request(imds, "PUT", "/latest/api/token", &response, err);
    if (r == 0)
        buf_add(&imds->token, response.body.data, response.body.len);
    else if (err_is(err, "timeout"))
        /* The token's answer may travel as many hops as the instance allows, by default one. A container is a second.
         */
        return err_later(err, "timeout",
                         "the token request was not answered in time; for containers on EC2 set the instance's "
                         "metadata hop limit to 2");
    return r;
}

/* The answer is the role's name; it ends at a blank or a line break. */
static int fetch_role_name(const struct imds *imds, struct buf *ret, struct err *err)
{
    auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
    int r = imds_request(imds, "GET", "/latest/meta-data/iam/security-credentials/", &response, err);
    if (r == NEVER && response.status == 404)
        return err_never(err, "bad_status", "the instance has no role");
    if (r != 0)
        return r;
    size_t len = strcspn(buf_str(&response.body), " \t\r\n");
    if (len == 0 || len > ROLE_NAME_MAX)
        return err_never(err, "bad_status", "the instance has no role");
    buf_puts(ret, "/latest/meta-data/iam/security-credentials/");
    http_percent_encode(buf_str(&response.body), len, "+=,@", ret);
    return buf_failed(ret) ? err_no_memory(err) : 0;
}

/*
 * If the service cannot renew credentials, it returns them near or after their expiry, and AWS continues to accept
 * them. So we keep using them and ask again in some minutes, as botocore does.
 */
static void extend(struct creds *creds, int64_t now_ms)
{
    enum { AHEAD_MS = 15 * 60 * 1000, JITTER_MIN_MS = 2 * 60 * 1000, JITTER_MAX_MS = 10 * 60 * 1000 };
    int64_t window_ms = AHEAD_MS + JITTER_MIN_MS + (int64_t)(random_unit() * (JITTER_MAX_MS - JITTER_MIN_MS));
    if (creds->expires_at_ms != INT64_MAX && now_ms >= creds->expires_at_ms - window_ms)
        creds->expires_at_ms = now_ms + window_ms;
}

static int fetch_keys(const struct imds *imds, const char *path, struct creds *ret, struct err *err)
{
    auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
    auto_creds_json cJSON *json = NULL;
    int r = imds_request(imds, "GET", path, &response, err);
    if (r == 0)
        r = creds_json_parse(&response.body, "instance metadata", &json, err);
    if (r != 0)
        return r;
    /* An error may come with status 200, for example if EC2 may not assume the role. */
    const char *code = json_get_string(json, "Code"), *message = json_get_string(json, "Message");
    if (!json_get(json, "AccessKeyId") && code)
        return err_never(err, "bad_credentials", "%.60s: %.200s", code, message ? message : "");
    struct creds_parts parts = creds_parts_in(json, "Token");
    parts.source = "instance metadata";
    parts.place = "instance metadata";
    r = creds_fill(&parts, ret, err);
    if (r == 0)
        extend(ret, imds->lookup->now_ms);
    return r;
}

/* The last source, which nobody has to configure. So its failures go to the trail. */
int creds_from_imds(const struct creds_lookup *lookup, struct creds *ret, struct err *err)
{
    const char *disabled = user_variable("AWS_EC2_METADATA_DISABLED");
    if (disabled && strcasecmp(disabled, "true") == 0) {
        creds_note(lookup, "instance metadata: AWS_EC2_METADATA_DISABLED is true");
        return 0;
    }
    cleanup(imds_clear) struct imds imds = { .lookup = lookup };
    auto_buf struct buf path = BUF_INIT;
    int r = read_settings(&imds, err);
    if (r == 0)
        r = fetch_token(&imds, err);
    if (r == 0)
        r = fetch_role_name(&imds, &path, err);
    if (r == 0)
        r = fetch_keys(&imds, buf_str(&path), ret, err);
    if (r <= 0 || err_is(err, "interrupted"))
        return r;
    creds_note(lookup, "instance metadata at %.100s: %.300s", buf_str(&imds.base), err->text);
    return 0;
}
