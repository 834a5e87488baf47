#include <arpa/inet.h>
#include <curl/curl.h>

#include "aws/credentials/creds_source.h"
#include "base/user.h"

/*
 * "Container credential provider" in the AWS SDKs and Tools Reference Guide. On ECS the endpoint's path is a secret:
 * messages name only the host, and do not quote lib/http's messages.
 */

enum { ATTEMPTS = 3, TIMEOUT_MS = 2000, TOKEN_MAX = 16 * 1024 };

static bool is_allowed_ipv4(const char *host)
{
    static const char *const allowed[] = { "169.254.170.2", "169.254.170.23" };
    struct in_addr address, other;
    if (inet_pton(AF_INET, host, &address) != 1)
        return false;
    for (size_t i = 0; i < N_ELEMENTS(allowed); i++)
        if (inet_pton(AF_INET, allowed[i], &other) == 1 && other.s_addr == address.s_addr)
            return true;
    return ntohl(address.s_addr) >> 24 == 127;
}

/* `host`: with its brackets, as in a URL. */
static bool is_allowed_ipv6(const char *host)
{
    char plain[INET6_ADDRSTRLEN];
    size_t len = strlen(host);
    struct in6_addr address, eks;
    if (len < 3 || len - 2 >= sizeof(plain) || host[0] != '[' || host[len - 1] != ']')
        return false;
    memcpy(plain, host + 1, len - 2);
    plain[len - 2] = '\0';
    if (inet_pton(AF_INET6, plain, &address) != 1 || inet_pton(AF_INET6, "fd00:ec2::23", &eks) != 1)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&address) || memcmp(&address, &eks, sizeof(address)) == 0;
}

static void free_url(CURLU *const *url)
{
    curl_url_cleanup(*url);
}

static void free_part(char *const *part)
{
    curl_free(*part);
}

/* Checks that keys may be fetched from this URL. libcurl parses it here too, so the host is the one it connects to. */
static int check_full_uri(const char *uri, struct err *err)
{
    cleanup(free_url) CURLU *url = curl_url();
    cleanup(free_part) char *scheme = NULL;
    cleanup(free_part) char *host = NULL;
    cleanup(free_part) char *user = NULL;
    if (!url)
        return err_no_memory(err);
    if (curl_url_set(url, CURLUPART_URL, uri, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_USER, &user, 0) != CURLUE_NO_USER)
        return err_never(err, "bad_credentials",
                         "container: AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URL, or has a user name in it");
    if (strcmp(scheme, "https") == 0)
        return 0;
    if (strcmp(scheme, "http") == 0 &&
        (strcmp(host, "localhost") == 0 || is_allowed_ipv4(host) || is_allowed_ipv6(host)))
        return 0;
    return err_never(err, "bad_credentials",
                     "container: AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http to this host or to the "
                     "endpoints of ECS and EKS; its host is %.100s",
                     host);
}

int creds_container_url(const char *relative_uri, const char *full_uri, struct buf *ret, struct err *err)
{
    if (relative_uri) {
        /* Other text would extend the host's name. */
        if (relative_uri[0] != '/')
            return err_never(err, "bad_credentials",
                             "container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must begin with /");
        buf_puts(ret, "http://169.254.170.2");
        buf_puts(ret, relative_uri);
    } else {
        int r = check_full_uri(full_uri, err);
        if (r != 0)
            return r;
        buf_puts(ret, full_uri);
    }
    return buf_failed(ret) ? err_no_memory(err) : 0;
}

/* Reads the file each time, because EKS renews it in place. */
static int read_authorization(struct buf *ret, struct err *err)
{
    const char *path = user_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    if (path) {
        int error_number = 0;
        int r = user_read_file(path, TOKEN_MAX, ret, &error_number, err);
        if (r != 0) {
            err_prefix(err, "container: AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
            return r;
        }
    } else if (user_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN")) {
        buf_puts(ret, user_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
    }
    if (buf_failed(ret))
        return err_no_memory(err);
    while (ret->len > 0 && (ret->data[ret->len - 1] == '\n' || ret->data[ret->len - 1] == '\r'))
        ret->data[--ret->len] = '\0';
    if (strpbrk(buf_str(ret), "\r\n") || strlen(buf_str(ret)) != ret->len)
        return err_never(err, "bad_credentials",
                         "container: the authorization token has line breaks or NULs, which a header cannot have");
    return 0;
}

/* Replaces lib/http's message, which may name the URL. */
static int endpoint_error(int result, const struct http_response *response, struct err *err)
{
    if (result < 0 || err_is(err, "interrupted"))
        return result;
    if (result != 0)
        return err_later(err, "bad_credentials", "container: the credentials endpoint did not answer (%s)", err->code);
    auto_creds_json cJSON *json = NULL;
    if (creds_json_parse(&response->body, "container", &json, NULL) < 0)
        return err_no_memory(err);
    const char *code = json_get_string(json, "code");
    return err_never(err, "bad_credentials", "container: the credentials endpoint answered with status %d%s%.60s",
                     response->status, code ? ", " : "", code ? code : "");
}

static int read_endpoint_answer(const struct http_response *response, struct creds *ret, struct err *err)
{
    auto_creds_json cJSON *json = NULL;
    int r = creds_json_parse(&response->body, "container", &json, err);
    if (r != 0)
        return r;
    struct creds_parts parts = creds_parts_in(json, "Token");
    parts.source = "container";
    parts.place = "container";
    return creds_fill(&parts, ret, err);
}

int creds_from_container(const struct creds_lookup *lookup, struct creds *ret, struct err *err)
{
    const char *relative_uri = user_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full_uri = user_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (!relative_uri && !full_uri) {
        creds_note(lookup, "container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not set");
        return 0;
    }
    auto_buf struct buf url = BUF_INIT, token = BUF_INIT;
    auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
    int r = creds_container_url(relative_uri, full_uri, &url, err);
    if (r == 0)
        r = read_authorization(&token, err);
    if (r != 0)
        return r;
    const struct http_header headers[] = { { "Accept", "application/json" }, { "Authorization", buf_str(&token) } };
    const struct http_request request = {
        .method = "GET",
        .url = buf_str(&url),
        .headers = headers,
        .n_headers = token.len > 0 ? 2 : 1,
    };
    const struct creds_tries tries = { .attempts = ATTEMPTS, .timeout_ms = TIMEOUT_MS, .no_proxy = true };
    r = creds_request(lookup, &request, &tries, &response, err);
    if (r != 0 || response.status != 200)
        return endpoint_error(r, &response, err);
    return read_endpoint_answer(&response, ret, err);
}
