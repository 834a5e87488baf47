#include "sigv4/sigv4.h"

#include <errno.h>
#include <strings.h>

#include "base/hash.h"
#include "base/time.h"

enum { DATE_LEN = 8 }; /* 20150830 of 20150830T123600Z */

static int hash_failed(struct err *err)
{
    return err_fatal(err, EIO, "cannot compute an HMAC-SHA-256");
}

static void add_scope(const struct sigv4_scope *scope, struct buf *ret)
{
    char time[TIME_TEXT_SIZE];
    time_format_basic(scope->now_s, time);
    buf_add(ret, time, DATE_LEN);
    buf_putc(ret, '/');
    buf_puts(ret, scope->region);
    buf_putc(ret, '/');
    buf_puts(ret, scope->service);
    buf_puts(ret, "/aws4_request");
}

int sigv4_string_to_sign(const struct sigv4_scope *scope, const char *canonical_request, struct buf *ret,
                         struct err *err)
{
    char time[TIME_TEXT_SIZE];
    unsigned char hash[SHA256_SIZE];
    time_format_basic(scope->now_s, time);
    if (!hash_sha256(canonical_request, strlen(canonical_request), hash))
        return hash_failed(err);
    buf_printf(ret, "AWS4-HMAC-SHA256\n%s\n", time);
    add_scope(scope, ret);
    buf_putc(ret, '\n');
    buf_add_hex(ret, hash, sizeof(hash));
    return buf_failed(ret) ? err_no_memory(err) : 0;
}

/* The chain of HMACs: "AWS4" and the secret, then date, region, service and "aws4_request". */
static bool derive_key(const struct buf *secret, const struct sigv4_scope *scope, unsigned char ret[SHA256_SIZE])
{
    char time[TIME_TEXT_SIZE];
    unsigned char other[SHA256_SIZE];
    time_format_basic(scope->now_s, time);
    bool ok = hash_hmac_sha256(secret->data, secret->len, time, DATE_LEN, ret) &&
              hash_hmac_sha256(ret, SHA256_SIZE, scope->region, strlen(scope->region), other) &&
              hash_hmac_sha256(other, SHA256_SIZE, scope->service, strlen(scope->service), ret) &&
              hash_hmac_sha256(ret, SHA256_SIZE, "aws4_request", strlen("aws4_request"), other);
    memcpy(ret, other, SHA256_SIZE);
    explicit_bzero(other, sizeof(other));
    return ok;
}

int sigv4_signature(const struct sigv4_credentials *credentials, const struct sigv4_scope *scope,
                    const char *string_to_sign, struct buf *ret, struct err *err)
{
    auto_buf struct buf secret = BUF_INIT;
    buf_puts(&secret, "AWS4");
    buf_puts(&secret, credentials->secret_access_key);
    if (buf_failed(&secret))
        return err_no_memory(err);

    unsigned char key[SHA256_SIZE] = { 0 }, signature[SHA256_SIZE];
    bool ok = derive_key(&secret, scope, key) &&
              hash_hmac_sha256(key, sizeof(key), string_to_sign, strlen(string_to_sign), signature);
    explicit_bzero(key, sizeof(key));
    if (!ok)
        return hash_failed(err);
    buf_add_hex(ret, signature, sizeof(signature));
    return buf_failed(ret) ? err_no_memory(err) : 0;
}

void sigv4_signed_clear(struct sigv4_signed *signed_headers)
{
    buf_clear(&signed_headers->canonical_request);
    buf_clear(&signed_headers->string_to_sign);
    buf_clear(&signed_headers->signature);
    for (size_t i = 0; i < N_ELEMENTS(signed_headers->storage); i++)
        buf_clear(&signed_headers->storage[i]);
    signed_headers->n_headers = 0;
}

/* Adds a header and returns the buf for its value. set_values points the header at it when all bufs are final. */
static struct buf *next_header(struct sigv4_signed *ret, const char *name)
{
    ret->headers[ret->n_headers].name = name;
    return &ret->storage[ret->n_headers++];
}

static bool set_values(struct sigv4_signed *ret)
{
    for (size_t i = 0; i < ret->n_headers; i++) {
        if (buf_failed(&ret->storage[i]))
            return false;
        ret->headers[i].value = buf_str(&ret->storage[i]);
    }
    return true;
}

static const char token_name[] = "X-Amz-Security-Token";

/* The headers that signing adds before Authorization, in the order of AWS's published test suite. */
static int add_headers_to_sign(const struct sigv4_request *request, const struct sigv4_credentials *credentials,
                               const struct sigv4_scope *scope, struct sigv4_signed *ret, struct err *err)
{
    if (credentials->session_token && *credentials->session_token)
        buf_puts(next_header(ret, token_name), credentials->session_token);
    char time[TIME_TEXT_SIZE];
    time_format_basic(scope->now_s, time);
    buf_puts(next_header(ret, "X-Amz-Date"), time);
    if (request->sign_body) {
        unsigned char hash[SHA256_SIZE];
        if (!hash_sha256(request->body, request->body_len, hash))
            return hash_failed(err);
        buf_add_hex(next_header(ret, "x-amz-content-sha256"), hash, sizeof(hash));
    }
    return set_values(ret) ? 0 : err_no_memory(err);
}

static int check_headers(const struct sigv4_request *request, struct err *err)
{
    static const char *const ours[] = { token_name, "X-Amz-Date", "x-amz-content-sha256", "Authorization" };
    for (size_t i = 0; i < request->n_headers; i++)
        for (size_t j = 0; j < N_ELEMENTS(ours); j++)
            if (strcasecmp(request->headers[i].name, ours[j]) == 0)
                return err_never(err, "bad_request", "the request to sign already has a header %s", ours[j]);
    return 0;
}

/* Stage 1 with the request's headers and those in `ret`. */
static int make_canonical_request(const struct sigv4_request *request, struct sigv4_signed *ret, struct buf *ret_names,
                                  struct err *err)
{
    auto_free struct http_header *all = calloc(request->n_headers + ret->n_headers + 1, sizeof(*all));
    if (!all)
        return err_no_memory(err);
    size_t n = 0;
    for (size_t i = 0; i < request->n_headers; i++)
        all[n++] = request->headers[i];
    for (size_t i = 0; i < ret->n_headers; i++)
        if (!request->omit_session_token || ret->headers[i].name != token_name)
            all[n++] = ret->headers[i];
    struct sigv4_request complete = *request;
    complete.headers = all;
    complete.n_headers = n;
    return sigv4_canonical_request(&complete, &ret->canonical_request, ret_names, err);
}

static int sign(const struct sigv4_request *request, const struct sigv4_credentials *credentials,
                const struct sigv4_scope *scope, struct sigv4_signed *ret, struct err *err)
{
    auto_buf struct buf names = BUF_INIT;
    int result = check_headers(request, err);
    if (!result)
        result = add_headers_to_sign(request, credentials, scope, ret, err);
    if (!result)
        result = make_canonical_request(request, ret, &names, err);
    if (!result)
        result = sigv4_string_to_sign(scope, buf_str(&ret->canonical_request), &ret->string_to_sign, err);
    if (!result)
        result = sigv4_signature(credentials, scope, buf_str(&ret->string_to_sign), &ret->signature, err);
    if (result)
        return result;

    struct buf *authorization = next_header(ret, "Authorization");
    buf_printf(authorization, "AWS4-HMAC-SHA256 Credential=%s/", credentials->access_key_id);
    add_scope(scope, authorization);
    buf_printf(authorization, ", SignedHeaders=%s, Signature=%s", buf_str(&names), buf_str(&ret->signature));
    return set_values(ret) ? 0 : err_no_memory(err);
}

int sigv4_sign(const struct sigv4_request *request, const struct sigv4_credentials *credentials,
               const struct sigv4_scope *scope, struct sigv4_signed *ret, struct err *err)
{
    sigv4_signed_clear(ret);
    int result = sign(request, credentials, scope, ret, err);
    if (result)
        sigv4_signed_clear(ret);
    return result;
}
