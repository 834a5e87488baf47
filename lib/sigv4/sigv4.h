/*
 * sigv4: AWS Signature Version 4. Pure: no clock, no environment, no network.
 *
 * The rules are those of "Create a signed AWS API request" (AWS Identity and Access Management
 * User Guide), in its three stages, each of which can be called and tested alone:
 * canonical request, string to sign, signature.
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
    const char *path;                  /* as it will be sent, from the first '/'; "" is "/" */
    const char *query;                 /* as it will be sent, without '?' ('+' is a plus); "" or NULL: none */
    const struct http_header *headers; /* Host among them; a name may repeat, a value may be folded */
    size_t n_headers;
    const void *body;
    size_t body_len;
    bool keep_path;          /* no removal of "." and "..", as S3 wants it (its keys are not paths) */
    bool encode_once;        /* the path stands as it will be sent, not encoded a second time, as S3 wants it */
    bool sign_body;          /* adds x-amz-content-sha256, as S3 wants it */
    bool omit_session_token; /* the token is sent but not signed */
};

/*
 * Stage 1. `headers` are those of the request plus what signing adds (X-Amz-Date, ...). Appends the canonical
 * request and the list of signed headers ("host;x-amz-date"). All headers are signed but those that a proxy may
 * change and AWS's own signers leave out: connection, expect, transfer-encoding, upgrade, user-agent, x-amzn-trace-id.
 * An x-amz-content-sha256 among them stands for the body's hash. NEVER: "bad_query", a '%' without two hex digits.
 */
int sigv4_canonical_request(const struct sigv4_request *request, struct buf *ret, struct buf *ret_signed_headers,
                            struct err *err) must_check;

/* Stage 2. */
int sigv4_string_to_sign(const struct sigv4_scope *scope, const char *canonical_request, struct buf *ret,
                         struct err *err) must_check;

/*
 * Stage 3: 64 lower-case hex digits. The key is derived anew each time: four HMACs, little more than one of the six
 * microseconds that signing a request of 4 KB takes, which is too little to keep keys in memory for.
 */
int sigv4_signature(const struct sigv4_credentials *credentials, const struct sigv4_scope *scope,
                    const char *string_to_sign, struct buf *ret, struct err *err) must_check;

/*
 * All three: the headers to add to the request. The texts live as long as the struct; sigv4_signed_clear
 * wipes them.
 */
struct sigv4_signed {
    struct http_header headers[4]; /* X-Amz-Security-Token?, X-Amz-Date, x-amz-content-sha256?, Authorization */
    size_t n_headers;
    struct buf canonical_request, string_to_sign, signature; /* what they were made from, for diagnosis and tests */
    struct buf storage[4];
};
#define SIGV4_SIGNED_INIT \
    {                     \
        .n_headers = 0    \
    }

/*
 * `ret` is SIGV4_SIGNED_INIT or holds an earlier signature, which goes; it is empty after a failure. NEVER:
 * "bad_query"; "bad_request": the request has a header of these four names already.
 */
int sigv4_sign(const struct sigv4_request *request, const struct sigv4_credentials *credentials,
               const struct sigv4_scope *scope, struct sigv4_signed *ret, struct err *err) must_check;
void sigv4_signed_clear(struct sigv4_signed *signed_headers);
#define auto_sigv4_signed cleanup(sigv4_signed_clear)

#endif
