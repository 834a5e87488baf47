/*
 * http: HTTP requests over libcurl, one or many at once, bounded in time and size.
 *
 * - A client belongs to one thread and keeps its connections alive between calls.
 * - TLS is verified with the system's certificates, or with the bundle named by AWS_CA_BUNDLE, CURL_CA_BUNDLE or
 *   SSL_CERT_FILE.
 * - Redirects are not followed, because a signed request cannot follow one.
 * - Every request has a time limit and a size limit for its answer, and ends early when the client's stop descriptor
 *   becomes readable.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buf.h"
#include "base/err.h"

struct http_header {
    const char *name;
    const char *value;
};

struct http_request {
    const char *method;
    const char *url;                   /* http or https; sent as it is, neither normalised nor encoded */
    const struct http_header *headers; /* a missing Host is added, Content-Length always */
    size_t n_headers;
    const void *body; /* borrowed until the call returns */
    size_t body_len;
    int timeout_ms;         /* the whole exchange; required */
    int connect_timeout_ms; /* 0: 5000, or timeout_ms if that is shorter */
    size_t max_response;    /* bytes of body; required */
    bool no_proxy;          /* for link-local endpoints: ignore proxy settings */
};

struct http_response {
    int status;         /* 0: no answer came */
    struct buf body;    /* as received */
    struct buf headers; /* "name: value" lines of the final answer, as received */
};

#define HTTP_RESPONSE_INIT                                 \
    {                                                      \
        .status = 0, .body = BUF_INIT, .headers = BUF_INIT \
    }
#define auto_http_response cleanup(http_response_clear)
void http_response_clear(struct http_response *response);

/* Appends a header's value, without blanks around it. The case of `name` does not matter. False: no such header. */
bool http_response_header(const struct http_response *response, const char *name, struct buf *ret);

struct http;

/* The most requests of one call that run at the same time. The next begins, and its time limit starts, when one ends.
 */
enum { HTTP_AT_ONCE = 64 };

/*
 * Call once per thread.
 * - `stop_fd`: borrowed; readable or hung up means stop now; -1: none.
 * - Connections are close-on-exec, but libcurl's wake-up sockets are not (7.88). So a child must close descriptors
 *   itself (close_range).
 */
int http_new(int stop_fd, struct http **ret, struct err *err) must_check;
void http_free(struct http *http);
/* The stop descriptor, for waits between requests. -1: none. */
int http_stop_fd(const struct http *http);
static inline void http_free_pointer(struct http **http)
{
    http_free(*http);
}
#define auto_http cleanup(http_free_pointer)

/*
 * Performs one request.
 * - 0: an answer came, with any status.
 * - LATER with outage: "connection_failed" (name not found, refused, reset), "timeout", "tls_failed" (certificate not
 *   trusted).
 * - LATER: "response_too_large" (the body, or over 64 KiB of headers); "interrupted" (the stop descriptor; the server
 *   may have executed the request).
 * - NEVER: "bad_url"; "bad_request" (a method or header that HTTP does not allow).
 * - `ret`: empty, or an earlier answer, which is replaced. Empty if no answer came.
 * - If a kept connection turns out to be dead before the first byte of an answer, the request is sent again on a new
 *   one. Nothing else is ever repeated.
 */
int http_do(struct http *http, const struct http_request *request, struct http_response *ret, struct err *err)
    must_check;

/* One of many exchanges. `result` and `err` are those of http_do. */
struct http_exchange {
    struct http_request request;
    struct http_response response; /* HTTP_RESPONSE_INIT before the first use; cleared by the caller */
    int result;
    struct err err;
};

/* Performs all at once and returns when the last has ended. Returns 0, or < 0: libcurl failed as a whole. */
int http_do_many(struct http *http, struct http_exchange *exchanges, size_t n, struct err *err) must_check;

/* Appends `text` percent-encoded. RFC 3986's unreserved characters stay, and those in `keep` ("": no others). */
void http_percent_encode(const char *text, size_t len, const char *keep, struct buf *ret);
/* The inverse. `plus_is_space`: for forms and the keys in S3 events. False: two hex digits do not follow a '%'. */
bool http_percent_decode(const char *text, size_t len, bool plus_is_space, struct buf *ret) must_check;

#endif
