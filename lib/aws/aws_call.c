#include "aws/aws.h"

#include <stdatomic.h>

#include "aws/aws_error.h"
#include "aws/aws_internal.h"
#include "base/num.h"
#include "base/time.h"
#include "sigv4/sigv4.h"

enum {
    DEFAULT_TIMEOUT_MS = 30000,
    DEFAULT_MAX_RESPONSE = 1024 * 1024,
    OWN_HEADERS_MAX = 3, /* Host, Content-Type, X-Amz-Target */
    SIGNED_HEADERS_MAX = N_ELEMENTS(((struct sigv4_signed *)NULL)->headers),
};

/* What to do with a call after an attempt. */
enum next {
    NEXT_NOTHING, /* its result is final */
    NEXT_BACK_OFF,
    NEXT_AT_ONCE, /* with new credentials, or the corrected clock */
};

/* The state of one call between its attempts. */
struct slot {
    struct aws_call *call;
    enum next next;
    enum retry_kind kind; /* of its last failure */
    int failures;
    int cost; /* of its last retry, in tokens */
    int64_t retry_after_ms;
    int64_t clock_offset_ms;                   /* used for the last signature */
    bool credentials_renewed, clock_corrected; /* once each */
    /* The request points to these. */
    struct buf host, path;
    struct sigv4_signed signature;
    struct http_header headers[OWN_HEADERS_MAX + SIGNED_HEADERS_MAX];
};

/* All calls of one aws_call_many. `exchanges` and `under_way` have those of the current attempt, in the same order. */
struct wave {
    struct aws_client *client;
    struct slot *slots;
    size_t n;
    struct http_exchange *exchanges;
    struct slot **under_way;
    size_t n_under_way;
    struct creds creds;
    bool one_succeeded;
};

static void slot_release(struct slot *slot)
{
    sigv4_signed_clear(&slot->signature);
    buf_clear(&slot->host);
    buf_clear(&slot->path);
}

static void wave_clear(struct wave *wave)
{
    for (size_t i = 0; wave->slots && i < wave->n; i++)
        slot_release(&wave->slots[i]);
    for (size_t i = 0; i < wave->n_under_way; i++)
        http_response_clear(&wave->exchanges[i].response);
    creds_clear(&wave->creds);
    free(wave->slots);
    free(wave->exchanges);
    free(wave->under_way);
}

/* Splits the URL into the parts to sign: the value of the Host header, the path, and the query after '?'. */
static int split_url(struct slot *slot, const char **ret_query, struct err *err)
{
    const char *url = slot->call->url;
    const char *host = strstr(url, "://");
    size_t host_len = host ? strcspn(host + 3, "/?") : 0;
    if (host_len == 0)
        return err_never(err, "bad_url", "\"%s\" is not a URL", url);
    host += 3;
    const char *path = host + host_len;
    size_t path_len = strcspn(path, "?");
    buf_add(&slot->host, host, host_len);
    buf_add(&slot->path, path, path_len);
    *ret_query = path[path_len] == '?' ? path + path_len + 1 : "";
    return buf_failed(&slot->host) || buf_failed(&slot->path) ? err_no_memory(err) : 0;
}

static size_t own_headers(struct slot *slot)
{
    size_t n = 0;
    slot->headers[n++] = (struct http_header){ "Host", buf_str(&slot->host) };
    if (slot->call->content_type)
        slot->headers[n++] = (struct http_header){ "Content-Type", slot->call->content_type };
    if (slot->call->target)
        slot->headers[n++] = (struct http_header){ "X-Amz-Target", slot->call->target };
    return n;
}

/* Signs the call with the current time and fills in the request. */
static int make_request(struct wave *wave, struct slot *slot, struct http_request *ret, struct err *err)
{
    struct aws_call *call = slot->call;
    struct aws *aws = wave->client->aws;
    const char *method = call->method ? call->method : "POST";
    const char *query = "";

    slot_release(slot);
    int r = split_url(slot, &query, err);
    if (r != 0)
        return r;
    size_t n_headers = own_headers(slot);
    slot->clock_offset_ms = atomic_load(&aws->clock_offset_ms);
    if (!call->unsigned_call) {
        const struct sigv4_request request = { .method = method,
                                               .path = buf_str(&slot->path),
                                               .query = query,
                                               .headers = slot->headers,
                                               .n_headers = n_headers,
                                               .body = call->body,
                                               .body_len = call->body_len,
                                               .keep_path = call->s3,
                                               .encode_once = call->s3,
                                               .sign_body = call->s3 };
        const struct sigv4_credentials credentials = { .access_key_id = wave->creds.access_key_id,
                                                       .secret_access_key = wave->creds.secret_access_key,
                                                       .session_token = wave->creds.session_token };
        const struct sigv4_scope scope = { .region = call->region ? call->region : aws->region,
                                           .service = call->service,
                                           .now_s = (time_now_ms() + slot->clock_offset_ms) / 1000 };
        r = sigv4_sign(&request, &credentials, &scope, &slot->signature, err);
        if (r != 0)
            return r;
        for (size_t i = 0; i < slot->signature.n_headers; i++)
            slot->headers[n_headers++] = slot->signature.headers[i];
    }
    *ret = (struct http_request){ .method = method,
                                  .url = call->url,
                                  .headers = slot->headers,
                                  .n_headers = n_headers,
                                  .body = call->body,
                                  .body_len = call->body_len,
                                  .timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : DEFAULT_TIMEOUT_MS,
                                  .max_response = call->max_response > 0 ? call->max_response : DEFAULT_MAX_RESPONSE };
    return 0;
}

/* "sqs ReceiveMessage", for error messages. */
static void name_call(const struct aws_call *call, struct buf *ret)
{
    const char *dot = call->target ? strchr(call->target, '.') : NULL;
    buf_puts(ret, call->service);
    if (dot)
        buf_printf(ret, " %s", dot + 1);
}

/* No answer came. */
static void judge_silence(struct slot *slot, const struct http_exchange *exchange)
{
    struct aws_call *call = slot->call;
    auto_buf struct buf name = BUF_INIT;

    name_call(call, &name);
    call->result = exchange->result;
    call->err = exchange->err;
    err_prefix(&call->err, "%s", buf_str(&name));
    bool may_retry = err_is(&call->err, "connection_failed") || err_is(&call->err, "timeout");
    if (may_retry && !call->no_retry) {
        slot->next = NEXT_BACK_OFF;
        slot->kind = RETRY_TRANSIENT;
        slot->failures++;
        slot->retry_after_ms = -1;
    }
}

static int64_t header_number(const struct http_response *response, const char *name)
{
    auto_buf struct buf value = BUF_INIT;
    int64_t number = -1;
    if (!http_response_header(response, name, &value) ||
        num_parse_i64(buf_str(&value), 0, 60 * 60 * 1000, &number, NULL) != 0)
        return -1;
    return number;
}

/*
 * Corrects the clock offset of the process if the Date header shows that the request was signed with a wrong time.
 * True: it was wrong. Compares with the slot's own offset, because another call may have corrected it since.
 */
static bool correct_clock(struct aws *aws, const struct slot *slot, const struct http_response *response)
{
    auto_buf struct buf date = BUF_INIT;
    int64_t offset_ms = 0;
    if (!http_response_header(response, "Date", &date) ||
        !retry_clock_offset(buf_str(&date), time_now_ms(), &offset_ms))
        return false;
    int64_t off_by_ms = offset_ms - slot->clock_offset_ms;
    if (off_by_ms <= RETRY_SKEW_MAX_MS && off_by_ms >= -RETRY_SKEW_MAX_MS)
        return false;
    atomic_store(&aws->clock_offset_ms, offset_ms);
    return true;
}

static int judge_refusal(struct wave *wave, struct slot *slot, const struct http_response *response, struct err *err)
{
    struct aws_call *call = slot->call;
    struct aws *aws = wave->client->aws;
    auto_aws_error struct aws_error error = AWS_ERROR_INIT;
    int r = aws_error_parse(response, &error, err);
    if (r != 0)
        return r;

    auto_buf struct buf name = BUF_INIT;
    name_call(call, &name);
    slot->kind = aws_error_retry(response->status, error.code);
    call->result = aws_error_result(&error, response->status, buf_str(&name), &call->err);
    memcpy(call->error_code, error.code, sizeof(call->error_code));

    if (slot->kind != RETRY_NONE) {
        slot->next = NEXT_BACK_OFF;
        slot->failures++;
        slot->retry_after_ms = header_number(response, "x-amz-retry-after");
    } else if (aws_error_is_expired(error.code) && !slot->credentials_renewed) {
        creds_expire(aws->creds, wave->creds.access_key_id);
        slot->credentials_renewed = true;
        slot->next = NEXT_AT_ONCE;
    } else if (aws_error_is_skew(error.code) && !slot->clock_corrected && correct_clock(aws, slot, response)) {
        slot->clock_corrected = true;
        slot->next = NEXT_AT_ONCE;
    }
    return 0;
}

/* Turns the outcome of an attempt into the call's result, and sets slot->next. */
static int judge(struct wave *wave, struct slot *slot, struct http_exchange *exchange, struct err *err)
{
    struct aws_call *call = slot->call;
    struct http_response *response = &exchange->response;
    int r = 0;

    slot->next = NEXT_NOTHING;
    call->err.code = NULL;
    call->error_code[0] = '\0';
    if (exchange->result < 0) {
        if (err)
            *err = exchange->err;
        return exchange->result;
    }
    if (exchange->result != 0) {
        judge_silence(slot, exchange);
    } else if (response->status >= 200 && response->status < 300) {
        call->result = 0;
        wave->one_succeeded = true;
        retry_quota_refund(&wave->client->aws->quota, slot->cost);
    } else {
        r = judge_refusal(wave, slot, response, err);
    }
    http_response_clear(&call->response);
    call->response = *response;
    *response = (struct http_response)HTTP_RESPONSE_INIT;
    return r;
}

static bool needs_credentials(const struct slot *slot)
{
    return slot->next != NEXT_NOTHING && !slot->call->unsigned_call;
}

/* Gets the credentials for this attempt. If that fails, every call that needs them gets the failure as its result. */
static int fetch_credentials(struct wave *wave, struct err *err)
{
    struct aws_client *client = wave->client;
    struct err story = ERR_INIT;

    size_t first = 0;
    while (first < wave->n && !needs_credentials(&wave->slots[first]))
        first++;
    if (first == wave->n)
        return 0;
    creds_clear(&wave->creds);
    int r = creds_get(client->aws->creds, client->http, aws_now_ms(client->aws), &wave->creds, &story);
    if (r == 0)
        return 0;
    if (r < 0) {
        if (err)
            *err = story;
        return r;
    }
    for (size_t i = first; i < wave->n; i++) {
        struct slot *slot = &wave->slots[i];
        if (!needs_credentials(slot))
            continue;
        slot->next = NEXT_NOTHING;
        slot->call->result = r;
        slot->call->err = story;
    }
    return 0;
}

/* Makes one attempt of every call that is due. */
static int attempt(struct wave *wave, struct err *err)
{
    int r = fetch_credentials(wave, err);
    if (r != 0)
        return r;
    wave->n_under_way = 0;
    for (size_t i = 0; i < wave->n; i++) {
        struct slot *slot = &wave->slots[i];
        if (slot->next == NEXT_NOTHING)
            continue;
        struct http_exchange *exchange = &wave->exchanges[wave->n_under_way];
        *exchange = (struct http_exchange){ .response = HTTP_RESPONSE_INIT };
        struct aws_call *call = slot->call;
        call->result = make_request(wave, slot, &exchange->request, &call->err);
        if (call->result < 0) {
            if (err)
                *err = call->err;
            return call->result;
        }
        if (call->result != 0)
            slot->next = NEXT_NOTHING;
        else
            wave->under_way[wave->n_under_way++] = slot;
    }
    if (wave->n_under_way == 0)
        return 0;
    r = http_do_many(wave->client->http, wave->exchanges, wave->n_under_way, err);
    for (size_t i = 0; r == 0 && i < wave->n_under_way; i++)
        r = judge(wave, wave->under_way[i], &wave->exchanges[i], err);
    return r;
}

/* Chooses the calls to retry, and pays for them. Returns the longest of their delays in ms, or -1: no call is retried.
 */
static int64_t plan_retries(struct wave *wave)
{
    struct aws *aws = wave->client->aws;
    double unit = random_unit(); /* one number for all, because the calls are sent together anyway */
    int64_t longest_ms = -1;

    for (size_t i = 0; i < wave->n; i++) {
        struct slot *slot = &wave->slots[i];
        if (slot->call->no_retry && wave->one_succeeded)
            slot->next = NEXT_NOTHING;
        int64_t delay_ms = 0;
        if (slot->next == NEXT_BACK_OFF) {
            slot->cost = slot->failures < RETRY_ATTEMPTS_MAX ? retry_quota_take(&aws->quota, slot->kind) : 0;
            if (slot->cost == 0)
                slot->next = NEXT_NOTHING;
            delay_ms = retry_delay_ms(slot->kind, slot->failures, unit, slot->retry_after_ms);
        }
        if (slot->next == NEXT_NOTHING)
            continue;
        atomic_fetch_add(aws->retries, 1);
        if (delay_ms > longest_ms)
            longest_ms = delay_ms;
    }
    return longest_ms;
}

int aws_call_many(struct aws_client *client, struct aws_call *calls, size_t n, struct err *err)
{
    if (n == 0)
        return 0;
    cleanup(wave_clear) struct wave wave = { .client = client, .n = n };
    wave.slots = calloc(n, sizeof(*wave.slots));
    wave.exchanges = calloc(n, sizeof(*wave.exchanges));
    wave.under_way = calloc(n, sizeof(*wave.under_way));
    if (!wave.slots || !wave.exchanges || !wave.under_way)
        return err_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        aws_call_clear(&calls[i]);
        wave.slots[i].call = &calls[i];
        wave.slots[i].next = NEXT_AT_ONCE;
    }
    for (;;) {
        int r = attempt(&wave, err);
        if (r != 0)
            return r;
        int64_t delay_ms = plan_retries(&wave);
        if (delay_ms < 0)
            return 0;
        if (delay_ms > 0 && wait_fd(-1, 0, client->stop_fd, time_mono_ms() + delay_ms) == WAIT_STOPPED)
            return 0;
    }
}

int aws_call(struct aws_client *client, struct aws_call *call, struct err *err)
{
    int r = aws_call_many(client, call, 1, err);
    if (r != 0)
        return r;
    if (call->result != 0 && err)
        *err = call->err;
    return call->result;
}

void aws_call_clear(struct aws_call *call)
{
    http_response_clear(&call->response);
    call->result = 0;
    call->err.code = NULL;
    call->error_code[0] = '\0';
}
