/*
 * http: bounded HTTP requests over libcurl, one or many at once.
 *
 * A client belongs to one thread and keeps its connections alive between calls. TLS is verified
 * against the system's certificates, or the bundle that AWS_CA_BUNDLE, CURL_CA_BUNDLE or
 * SSL_CERT_FILE names. Redirects are not followed: no AWS API sends one that a signed request
 * could follow. Every request has a time limit and a limit on its answer, and ends early when the
 * client's stop descriptor becomes readable.
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
    const char *url;                   /* http or https; sent as it is: no path is normalized, nothing is encoded */
    const struct http_header *headers; /* Host is added where it is missing, Content-Length always */
    size_t n_headers;
    const void *body; /* borrowed until the call returns */
    size_t body_len;
    int timeout_ms;         /* the whole exchange; required */
    int connect_timeout_ms; /* 0: 5000, or timeout_ms where that is shorter */
    size_t max_response;    /* bytes of body; required */
    bool no_proxy;          /* for link-local endpoints: never through a proxy */
};

struct http_response {
    int status;         /* 0: no answer came */
    struct buf body;    /* as received */
    struct buf headers; /* "name: value" lines as received, of the last answer */
};

#define HTTP_RESPONSE_INIT                                 \
    {                                                      \
        .status = 0, .body = BUF_INIT, .headers = BUF_INIT \
    }
#define auto_http_response cleanup(http_response_clear)
void http_response_clear(struct http_response *response);

/* A header of the answer by its name in any case, copied to `ret` without blanks around it. False: not there. */
bool http_response_header(const struct http_response *response, const char *name, struct buf *ret);

struct http;

/* Of a call's requests so many are under way at the same time; as one ends the next begins, and its time counts from
 * then. */
enum { HTTP_AT_ONCE = 64 };

/*
 * `stop_fd`: readable, or hung up, means stop now; -1: none. Borrowed. Call once per thread; http_free also takes NULL.
 * Connections are close-on-exec, but libcurl's own pair of wake-up sockets is not (7.88): a child closes what is not
 * its own (close_range).
 */
int http_new(int stop_fd, struct http **ret, struct err *err) must_check;
void http_free(struct http *http);
/* The stop descriptor it was made with, -1: none. For what waits between requests. */
int http_stop_fd(const struct http *http);
static inline void http_free_pointer(struct http **http)
{
    http_free(*http);
}
#define auto_http cleanup(http_free_pointer)

/*
 * Performs the request. 0: an answer came, whatever its status. LATER: none came; err->code is
 * "connection_failed" (name not found, refused, reset), "timeout", "tls_failed" (the certificate is not
 * trusted), all three with err->outage set; "response_too_large" (body, or 64 KiB of headers); or "interrupted" (the
 * stop descriptor; what had been sent may have been done).
 * NEVER: "bad_url", "bad_request" (a method or header that HTTP does not allow).
 * `ret` is empty or holds an earlier answer, which goes; without an answer it is empty.
 *
 * A connection kept from before that turns out to be dead is replaced and the request sent again on a new
 * one, as long as not one byte of an answer has come. Nothing else is ever repeated.
 */
int http_do(struct http *http, const struct http_request *request, struct http_response *ret, struct err *err)
    must_check;

/* One exchange of many. The result is as http_do's, and so is err. */
struct http_exchange {
    struct http_request request;
    struct http_response response; /* HTTP_RESPONSE_INIT before the first use; cleared by the caller */
    int result;
    struct err err;
};

/* Performs all at once and returns when the last has ended. < 0 only where none could be started. */
int http_do_many(struct http *http, struct http_exchange *exchanges, size_t n, struct err *err) must_check;

/* Appends `text` percent-encoded as RFC 3986 wants it (unreserved characters stay); `keep`: further ones that stay, or
 * "". */
void http_percent_encode(const char *text, size_t len, const char *keep, struct buf *ret);
/* The inverse; `plus_is_space` as forms and S3 event keys need. False: a '%' without two hex digits. */
bool http_percent_decode(const char *text, size_t len, bool plus_is_space, struct buf *ret) must_check;

#endif
