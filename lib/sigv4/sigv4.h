/*
 * sigv4: AWS Signature Version 4. It uses no clock, no environment and no network.
 *
 * Follows "Create a signed AWS API request" (AWS Identity and Access Management User Guide). Its three stages can be
 * called and tested alone: canonical request, string to sign, signature.
 */
#ifndef SIGV4_SIGV4_H
#define SIGV4_SIGV4_H

#include "base/buf.h"
#include "base/err.h"
#include "http/http.h"

struct sigv4_credentials {
    const char *access_key_id;
    const char *secret_access_key;
    const char *session_token; /* NULL: none */
};

struct sigv4_scope {
    const char *region;
    const char *service;
    int64_t now_s; /* seconds since 1970 */
};

struct sigv4_request {
    const char *method;
    const char *path;                  /* as sent, from the first '/'; "" means "/" */
    const char *query;                 /* as sent, without '?'; '+' is a plus; "" or NULL: no query */
    const struct http_header *headers; /* with Host; names may repeat, values may be folded */
    size_t n_headers;
    const void *body;
    size_t body_len;
    bool keep_path;          /* for S3: keep "." and "..", because keys are not paths */
    bool encode_once;        /* for S3: sign the path as sent, not encoded a second time */
    bool sign_body;          /* for S3: add x-amz-content-sha256 */
    bool omit_session_token; /* send the token but do not sign it */
};

/*
 * Stage 1. Appends the canonical request and the list of signed headers ("host;x-amz-date").
 * - `request->headers`: all headers, also those that signing adds (X-Amz-Date, ...).
 * - Headers that a proxy may change are not signed, as in AWS's own signers: connection, expect, transfer-encoding,
 *   upgrade, user-agent, x-amzn-trace-id.
 * - A header x-amz-content-sha256 replaces the hash of the body.
 * - NEVER: "bad_query", a '%' that two hex digits do not follow.
 */
int sigv4_canonical_request(const struct sigv4_request *request, struct buf *ret, struct buf *ret_signed_headers,
                            struct err *err) must_check;

/* Stage 2. */
int sigv4_string_to_sign(const struct sigv4_scope *scope, const char *canonical_request, struct buf *ret,
                         struct err *err) must_check;

/*
 * Stage 3: 64 lower-case hex digits. Keys are not cached: deriving one takes about one of the six microseconds of
 * signing a request of 4 KB, which is too little to keep keys in memory for.
 */
int sigv4_signature(const struct sigv4_credentials *credentials, const struct sigv4_scope *scope,
                    const char *string_to_sign, struct buf *ret, struct err *err) must_check;

/*
 * The result of all three stages: headers to add to the request. Their texts live as long as the struct;
 * sigv4_signed_clear wipes them.
 */
struct sigv4_signed {
    struct http_header headers[4]; /* X-Amz-Security-Token?, X-Amz-Date, x-amz-content-sha256?, Authorization */
    size_t n_headers;
    struct buf canonical_request, string_to_sign, signature; /* the stages, for diagnosis and tests */
    struct buf storage[4];
};
#define SIGV4_SIGNED_INIT \
    {                     \
        .n_headers = 0    \
    }

/*
 * - `ret`: SIGV4_SIGNED_INIT, or an earlier signature, which is replaced. Empty after a failure.
 * - NEVER: "bad_query"; "bad_request": the request already has one of the four headers.
 */
int sigv4_sign(const struct sigv4_request *request, const struct sigv4_credentials *credentials,
               const struct sigv4_scope *scope, struct sigv4_signed *ret, struct err *err) must_check;
void sigv4_signed_clear(struct sigv4_signed *signed_headers);
#define auto_sigv4_signed cleanup(sigv4_signed_clear)

#endif
