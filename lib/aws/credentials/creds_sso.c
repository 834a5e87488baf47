#include <errno.h>

#include "aws/credentials/creds_source.h"
#include "base/user.h"
#include "base/hash.h"

enum { ATTEMPTS = 3, TIMEOUT_MS = 10000, TOKEN_FILE_MAX = 64 * 1024 };

/* The SSO settings of a profile and its [sso-session]. */
struct sso {
    const char *session; /* NULL: the older form, with all settings in the profile */
    const char *start_url, *region, *role_name, *account_id;
};

static int sso_error(const struct creds_lookup *lookup, struct err *err, const char *what, const char *detail)
{
    return err_never(err, "bad_credentials", "SSO of profile \"%s\": %s%.200s", lookup->profile_name, what, detail);
}

static int login_needed(const struct creds_lookup *lookup, struct err *err, const char *what)
{
    auto_buf struct buf next = BUF_INIT;
    buf_printf(&next, "; run `aws sso login --profile %s`", lookup->profile_name);
    return sso_error(lookup, err, what, buf_str(&next));
}

static int read_sso_settings(const struct creds_lookup *lookup, struct sso *ret, struct err *err)
{
    *ret = (struct sso){
        .session = creds_setting(lookup, "sso_session"),
        .start_url = creds_setting(lookup, "sso_start_url"),
        .region = creds_setting(lookup, "sso_region"),
        .role_name = creds_setting(lookup, "sso_role_name"),
        .account_id = creds_setting(lookup, "sso_account_id"),
    };
    if (ret->session) {
        bool exists = false;
        const char *start_url = aws_profile_sso_session(lookup->profile, ret->session, "sso_start_url", &exists);
        const char *region = aws_profile_sso_session(lookup->profile, ret->session, "sso_region", &exists);
        if (!exists)
            return sso_error(lookup, err, "no section [sso-session] exists for its sso_session ", ret->session);
        if (ret->start_url && start_url && strcmp(ret->start_url, start_url) != 0)
            return sso_error(lookup, err, "its sso_start_url differs from that of sso_session ", ret->session);
        if (ret->region && region && strcmp(ret->region, region) != 0)
            return sso_error(lookup, err, "its sso_region differs from that of sso_session ", ret->session);
        ret->start_url = start_url ? start_url : ret->start_url;
        ret->region = region ? region : ret->region;
    }
    if (!ret->role_name || !ret->account_id || !ret->start_url || !ret->region)
        return sso_error(lookup, err, "it needs sso_role_name, sso_account_id, sso_start_url and sso_region", "");
    return aws_is_region(ret->region) ? 0
                                      : sso_error(lookup, err, "its sso_region is not an AWS region: ", ret->region);
}

static int token_path(const struct sso *sso, struct buf *ret, struct err *err)
{
    const char *name = sso->session ? sso->session : sso->start_url;
    unsigned char digest[SHA1_SIZE];
    if (!hash_sha1(name, strlen(name), digest))
        return err_no_memory(err);
    int r = user_path("~/.aws/sso/cache/", ret, err);
    if (r != 0)
        return r;
    buf_add_hex(ret, digest, sizeof(digest));
    buf_puts(ret, ".json");
    return buf_failed(ret) ? err_no_memory(err) : 0;
}

/* Reads the token that `aws sso login` stored. */
static int read_sso_token(const struct creds_lookup *lookup, const struct sso *sso, struct buf *ret, struct err *err)
{
    auto_buf struct buf path = BUF_INIT, text = BUF_INIT;
    int error_number = 0;
    int r = token_path(sso, &path, err);
    if (r == 0)
        r = user_read_file(buf_str(&path), TOKEN_FILE_MAX, &text, &error_number, err);
    if (r == NEVER && error_number == ENOENT)
        return login_needed(lookup, err, "not signed in");
    if (r != 0)
        return r;
    auto_creds_json cJSON *json = NULL;
    r = creds_json_parse(&text, buf_str(&path), &json, err);
    if (r != 0)
        return r;
    const char *token = json_get_string(json, "accessToken");
    const char *expires_at = json_get_string(json, "expiresAt");
    int64_t expires_at_ms = 0;
    if (!token || !*token || !expires_at || !creds_parse_expiration(expires_at, &expires_at_ms))
        return login_needed(lookup, err, "the cached sign-in is incomplete");
    if (expires_at_ms <= lookup->now_ms)
        return login_needed(lookup, err, "the sign-in has expired");
    buf_puts(ret, token);
    return buf_failed(ret) ? err_no_memory(err) : 0;
}

static int make_url(const struct creds_lookup *lookup, const struct sso *sso, struct buf *ret, struct err *err)
{
    aws_profile_service_url(lookup->profile, "sso", "portal.sso", sso->region, ret);
    buf_puts(ret, "/federation/credentials?role_name=");
    http_percent_encode(sso->role_name, strlen(sso->role_name), "", ret);
    buf_puts(ret, "&account_id=");
    http_percent_encode(sso->account_id, strlen(sso->account_id), "", ret);
    return buf_failed(ret) ? err_no_memory(err) : 0;
}

static int read_role_credentials(const struct creds_lookup *lookup, const struct http_response *response,
                                 struct creds *ret, struct err *err)
{
    if (response->status == 401)
        return login_needed(lookup, err, "the sign-in is not valid any more");
    auto_creds_json cJSON *json = NULL;
    int r = creds_json_parse(&response->body, "the answer of SSO", &json, err);
    if (response->status != 200) {
        const char *message = json_get_string(json, "message");
        auto_buf struct buf status = BUF_INIT;
        buf_printf(&status, "status %d%s%.200s", response->status, message ? ", " : "", message ? message : "");
        return sso_error(lookup, err, "access denied: ", buf_str(&status));
    }
    if (r != 0)
        return r;
    const cJSON *role = json_get(json, "roleCredentials");
    int64_t expires_at_ms = 0;
    if (!json_get_i64(role, "expiration", 0, INT64_MAX / 2, &expires_at_ms))
        return sso_error(lookup, err, "the answer has no roleCredentials.expiration", "");
    const struct creds_parts parts = {
        .access_key_id = json_get_string(role, "accessKeyId"),
        .secret_access_key = json_get_string(role, "secretAccessKey"),
        .session_token = json_get_string(role, "sessionToken"),
        .source = "SSO",
        .place = "the answer of SSO",
    };
    r = creds_fill(&parts, ret, err);
    if (r == 0)
        ret->expires_at_ms = expires_at_ms;
    return r;
}

int creds_from_sso(const struct creds_lookup *lookup, struct creds *ret, struct err *err)
{
    if (!creds_setting(lookup, "sso_role_name") && !creds_setting(lookup, "sso_account_id"))
        return 0;
    struct sso sso;
    auto_buf struct buf token = BUF_INIT, url = BUF_INIT;
    auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
    int r = read_sso_settings(lookup, &sso, err);
    if (r == 0)
        r = read_sso_token(lookup, &sso, &token, err);
    if (r == 0)
        r = make_url(lookup, &sso, &url, err);
    if (r != 0)
        return r;
    const struct http_header header = { "x-amz-sso_bearer_token", buf_str(&token) };
    const struct http_request request = { .method = "GET", .url = buf_str(&url), .headers = &header, .n_headers = 1 };
    const struct creds_tries tries = { .attempts = ATTEMPTS, .timeout_ms = TIMEOUT_MS };
    r = creds_request(lookup, &request, &tries, &response, err);
    if (r != 0) {
        err_prefix(err, "SSO of profile \"%s\"", lookup->profile_name);
        return r;
    }
    return read_role_credentials(lookup, &response, ret, err);
}
