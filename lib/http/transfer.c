#include "http/transfer.h"

#include <errno.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/time.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    HEADERS_MAX = 64 * 1024, /* of an answer; AWS sends about 1 KiB */
    KEEPALIVE_IDLE_S = 30,   /* below the 350 s after which AWS's NAT gateways forget a connection */
    KEEPALIVE_INTERVAL_S = 10,
};

/* "https://host:port" of a URL, for messages: a path or query may hold secrets. */
struct origin {
    int len;
    const char *text;
};
#define ORIGIN_ARGS(origin) (origin).len, (origin).text

static struct origin origin_of(const char *url)
{
    const char *authority = strstr(url, "://");
    size_t scheme_len = authority ? (size_t)(authority - url) + 3 : 0;
    return (struct origin){ (int)(scheme_len + strcspn(url + scheme_len, "/?#")), url };
}

static int check_url(const char *url, struct err *err)
{
    if (!url || (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0))
        return err_never(err, "bad_url", "a URL must begin with http:// or https://");
    struct origin origin = origin_of(url);
    if (memchr(url, '@', (size_t)origin.len))
        return err_never(err, "bad_url", "a URL must not contain a user name or password");
    /* libcurl drops fragments and encodes non-ASCII bytes, so it would send another URL than the signed one. */
    for (const char *c = url; *c; c++)
        if (*c == '#' || *c & 0x80)
            return err_never(err, "bad_url", "the URL at %.*s has a '#' or a byte that is not ASCII; percent-encode it",
                             ORIGIN_ARGS(origin));
    return 0;
}

/* RFC 9110's token: the form of methods and header names. */
static bool is_token(const char *text)
{
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    return text && *text && strspn(text, allowed) == strlen(text);
}

static bool is_field_value(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

static int check_request(const struct http_request *request, struct err *err)
{
    if (request->timeout_ms <= 0 || request->max_response == 0)
        return err_fatal(err, EINVAL, "an HTTP request without a time limit or a size limit for its answer");
    int result = check_url(request->url, err);
    if (result)
        return result;
    if (!is_token(request->method))
        return err_never(err, "bad_request", "\"%.20s\" is not an HTTP method", request->method ? request->method : "");
    for (size_t i = 0; i < request->n_headers; i++) {
        const struct http_header *header = &request->headers[i];
        if (!is_token(header->name) || !header->value || !is_field_value(header->value))
            return err_never(err, "bad_request", "header %zu of the request to %.*s has characters that HTTP forbids",
                             i + 1, ORIGIN_ARGS(origin_of(request->url)));
    }
    return 0;
}

static bool add_header_line(struct transfer *transfer, const char *line)
{
    struct curl_slist *list = curl_slist_append(transfer->headers, line);
    if (!list)
        return false;
    transfer->headers = list;
    return true;
}

static bool add_headers(struct transfer *transfer, const struct http_request *request)
{
    for (size_t i = 0; i < request->n_headers; i++) {
        const struct http_header *header = &request->headers[i];
        auto_buf struct buf line = BUF_INIT;
        /* In libcurl's syntax "name:" removes a header, and "name;" sends one without a value. */
        if (*header->value)
            buf_printf(&line, "%s: %s", header->name, header->value);
        else
            buf_printf(&line, "%s;", header->name);
        if (buf_failed(&line) || !add_header_line(transfer, buf_str(&line)))
            return false;
    }
    /* Removes the headers that libcurl adds by itself. The caller's headers of these names come first and stay. */
    return add_header_line(transfer, "Expect:") && add_header_line(transfer, "Accept:") &&
           add_header_line(transfer, "Content-Type:");
}

static void wipe_headers(struct transfer *transfer)
{
    for (struct curl_slist *line = transfer->headers; line; line = line->next)
        explicit_bzero(line->data, strlen(line->data));
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
}

/* Returning less than `len` ends the transfer; transfer_end reports why. */
static size_t take_body(const char *data, size_t size, size_t n, void *context)
{
    struct transfer *transfer = context;
    struct buf *body = &transfer->exchange->response.body;
    size_t len = size * n;
    if (len > transfer->exchange->request.max_response - body->len) {
        transfer->too_large = true;
        return 0;
    }
    buf_add(body, data, len);
    transfer->no_memory = buf_failed(body);
    return transfer->no_memory ? 0 : len;
}

/* libcurl calls this for each line, also of interim answers (1xx). A new status line drops the lines before it. */
static size_t take_header(const char *data, size_t size, size_t n, void *context)
{
    struct transfer *transfer = context;
    struct buf *headers = &transfer->exchange->response.headers;
    size_t len = size * n;
    transfer->header_len += len;
    if (transfer->header_len > HEADERS_MAX) {
        transfer->too_large = true;
        return 0;
    }
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
        buf_reset(headers);
    else if (len > 2 || (len > 0 && data[0] != '\r' && data[0] != '\n'))
        buf_add(headers, data, len);
    transfer->no_memory = buf_failed(headers);
    return transfer->no_memory ? 0 : len;
}

/* libcurl opens sockets without close-on-exec: a child started at the wrong moment would inherit them. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)context;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

#define SET(option, value) (curl_easy_setopt(easy, (option), (value)) == CURLE_OK)

static bool set_method(CURL *easy, const struct http_request *request)
{
    const char *method = request->method;
    if (strcmp(method, "HEAD") == 0)
        return SET(CURLOPT_NOBODY, 1L);
    bool ok = SET(CURLOPT_CUSTOMREQUEST, method);
    bool announces_length = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0;
    if (request->body_len > 0 || announces_length) {
        ok = ok && SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        ok = ok && SET(CURLOPT_POSTFIELDS, request->body_len > 0 ? request->body : "");
    }
    /* Rejects an answer by its Content-Length before its body is read. Not for HEAD, whose answer has no body. */
    return ok && SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)request->max_response);
}

static bool set_limits(CURL *easy, const struct http_request *request)
{
    int connect_ms = request->connect_timeout_ms > 0 ? request->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    if (connect_ms > request->timeout_ms)
        connect_ms = request->timeout_ms;
    return SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms) && SET(CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
}

static bool set_tls(CURL *easy, const char *ca_bundle)
{
    bool ok = SET(CURLOPT_SSL_VERIFYPEER, 1L) && SET(CURLOPT_SSL_VERIFYHOST, 2L) &&
              SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (!ca_bundle)
        return ok;
    /* A named bundle replaces the system's certificates, so the system's folder must not be trusted either. */
    return ok && SET(CURLOPT_CAINFO, ca_bundle) && SET(CURLOPT_CAPATH, NULL) && SET(CURLOPT_PROXY_CAINFO, ca_bundle) &&
           SET(CURLOPT_PROXY_CAPATH, NULL);
}

static bool set_connection(CURL *easy, const struct http_request *request)
{
    bool ok = SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_PATH_AS_IS, 1L) &&
              SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) && SET(CURLOPT_FOLLOWLOCATION, 0L) &&
              SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) && SET(CURLOPT_USERAGENT, "stactools-ingest/" VERSION);
    ok = ok && SET(CURLOPT_OPENSOCKETFUNCTION, open_socket) && SET(CURLOPT_TCP_NODELAY, 1L) &&
         SET(CURLOPT_TCP_KEEPALIVE, 1L) && SET(CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S) &&
         SET(CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_INTERVAL_S);
    /* NOSIGNAL: required with threads. QUICK_EXIT: do not wait for a slow name server beyond the deadline; libcurl's
     * resolver thread ends by itself. */
    ok = ok && SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_QUICK_EXIT, 1L);
    return ok && (!request->no_proxy || SET(CURLOPT_PROXY, ""));
}

static bool set_up(struct transfer *transfer, const char *ca_bundle)
{
    CURL *easy = transfer->easy;
    const struct http_request *request = &transfer->exchange->request;
    bool ok =
        SET(CURLOPT_PRIVATE, transfer) && SET(CURLOPT_ERRORBUFFER, transfer->error) && SET(CURLOPT_URL, request->url);
    ok = ok && SET(CURLOPT_WRITEFUNCTION, take_body) && SET(CURLOPT_WRITEDATA, transfer);
    ok = ok && SET(CURLOPT_HEADERFUNCTION, take_header) && SET(CURLOPT_HEADERDATA, transfer);
    ok = ok && set_method(easy, request) && set_limits(easy, request) && set_tls(easy, ca_bundle) &&
         set_connection(easy, request);
    return ok && add_headers(transfer, request) && SET(CURLOPT_HTTPHEADER, transfer->headers);
}

/* Forgets the exchange and keeps the easy handle. */
static void release(struct transfer *transfer)
{
    curl_easy_reset(transfer->easy);
    wipe_headers(transfer);
    transfer->exchange = NULL;
}

int transfer_begin(struct transfer *transfer, struct http_exchange *exchange, const char *ca_bundle)
{
    exchange->result = check_request(&exchange->request, &exchange->err);
    if (exchange->result)
        return exchange->result;
    if (!transfer->easy)
        transfer->easy = curl_easy_init();
    if (!transfer->easy)
        return exchange->result = err_no_memory(&exchange->err);

    transfer->exchange = exchange;
    transfer->header_len = 0;
    transfer->deadline_ms = time_mono_ms() + exchange->request.timeout_ms;
    transfer->again = transfer->too_large = transfer->no_memory = false;
    transfer->error[0] = '\0';
    if (set_up(transfer, ca_bundle))
        return 0;
    release(transfer);
    return exchange->result = err_no_memory(&exchange->err);
}

/*
 * libcurl retries a dead connection on the next kept one, which may be dead too: it gives up after five, and a
 * restarted server leaves more. It does not retry at all if sending the body failed.
 */
bool transfer_begin_again(struct transfer *transfer, CURLcode code)
{
    bool hung_up = code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING;
    if (!hung_up || transfer->again || transfer->header_len > 0)
        return false;
    CURL *easy = transfer->easy;
    long n_connections_made = 1;
    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &n_connections_made);
    int64_t left_ms = transfer->deadline_ms - time_mono_ms();
    if (n_connections_made > 0 || left_ms <= 0)
        return false;
    transfer->again = true;
    transfer->error[0] = '\0';
    return SET(CURLOPT_FRESH_CONNECT, 1L) && SET(CURLOPT_TIMEOUT_MS, (long)left_ms);
}

static int explain_failure(const struct transfer *transfer, CURLcode code, struct err *err)
{
    const struct http_request *request = &transfer->exchange->request;
    struct origin origin = origin_of(request->url);
    const char *why = transfer->error[0] ? transfer->error : curl_easy_strerror(code);

    if (transfer->no_memory)
        return err_no_memory(err);
    if (transfer->too_large || code == CURLE_FILESIZE_EXCEEDED)
        return err_later(err, "response_too_large",
                         "the answer of %.*s has more than %zu bytes, or more than %d bytes of headers",
                         ORIGIN_ARGS(origin), request->max_response, HEADERS_MAX);
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        /* LATER, not fatal: libcurl also returns this for a header line over 100 KiB. */
        return err_later(err, "response_too_large", "libcurl could not allocate memory for the answer of %.*s",
                         ORIGIN_ARGS(origin));
    case CURLE_URL_MALFORMAT:
        return err_never(err, "bad_url", "the URL at %.*s is not valid: %s", ORIGIN_ARGS(origin), why);
    case CURLE_OPERATION_TIMEDOUT:
        return err_outage(err, "timeout", "no answer from %.*s: %s", ORIGIN_ARGS(origin), why);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return err_outage(err, "tls_failed", "the certificate of %.*s is not trusted: %s", ORIGIN_ARGS(origin), why);
    default:
        return err_outage(err, "connection_failed", "no answer from %.*s: %s", ORIGIN_ARGS(origin), why);
    }
}

void transfer_end(struct transfer *transfer, CURLcode code)
{
    struct http_exchange *exchange = transfer->exchange;
    long status = 0;
    if (code == CURLE_OK)
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    exchange->result = code == CURLE_OK ? 0 : explain_failure(transfer, code, &exchange->err);
    if (exchange->result)
        http_response_clear(&exchange->response);
    exchange->response.status = (int)status;
    release(transfer);
}

void transfer_interrupt(struct transfer *transfer)
{
    struct http_exchange *exchange = transfer->exchange;
    exchange->result = err_later(&exchange->err, "interrupted", "stopped while waiting for %.*s",
                                 ORIGIN_ARGS(origin_of(exchange->request.url)));
    http_response_clear(&exchange->response);
    release(transfer);
}

void transfer_clear(struct transfer *transfer)
{
    if (transfer->easy)
        curl_easy_cleanup(transfer->easy);
    wipe_headers(transfer);
    *transfer = (struct transfer){ .easy = NULL };
}
