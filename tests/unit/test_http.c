/* http.h without a network: encoding, the headers of an answer, requests that are rejected. */
#include "http/http.h"

#include <errno.h>
#include <pthread.h>

#include "test.h"

static void test_percent_encode(void)
{
    static const struct {
        const char *text, *keep, *expected;
    } rows[] = {
        { "", "", "" },
        { "AZaz09-._~", "", "AZaz09-._~" },
        { " +/%&=", "", "%20%2B%2F%25%26%3D" },
        { "a/b c", "/", "a/b%20c" },
        { "sch\xc3\xb6n\x7f\n", "", "sch%C3%B6n%7F%0A" },
        { "a/b:c", "/:", "a/b:c" },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        auto_buf struct buf got = BUF_INIT;
        http_percent_encode(rows[i].text, strlen(rows[i].text), rows[i].keep, &got);
        CHECK_STRING(buf_str(&got), rows[i].expected);
    }
    /* A NUL is a byte like any other, also where `keep` ends with one. */
    auto_buf struct buf got = BUF_INIT;
    http_percent_encode("a\0b", 3, "/", &got);
    CHECK_STRING(buf_str(&got), "a%00b");
}

static void test_percent_decode(void)
{
    static const struct {
        const char *text;
        bool plus_is_space;
        const char *expected; /* NULL: rejected */
    } rows[] = {
        { "", false, "" },
        { "a%20b%2f%2F", false, "a b//" },
        { "a+b", false, "a+b" },
        { "a+b%2B", true, "a b+" },
        { "%C3%b6", false, "\xc3\xb6" },
        { "%", false, NULL },
        { "a%2", false, NULL },
        { "%g0", false, NULL },
        { "%0g", false, NULL },
        { "%%20", false, NULL },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        auto_buf struct buf got = BUF_INIT;
        bool ok = http_percent_decode(rows[i].text, strlen(rows[i].text), rows[i].plus_is_space, &got);
        CHECK_ROW(ok == (rows[i].expected != NULL), "row %zu: %s", i, rows[i].text);
        if (ok)
            CHECK_STRING(buf_str(&got), rows[i].expected);
    }
    /* The bytes after the length do not count. */
    auto_buf struct buf got = BUF_INIT;
    CHECK(!http_percent_decode("%20", 2, false, &got));
}

static void test_response_header(void)
{
    auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
    buf_puts(&response.headers, "Content-Type:application/json\r\nX-Two:  a b \t\r\nx-two: second\r\n"
                                "Contents: no\r\nEmpty:\r\nLast: end");
    static const struct {
        const char *name, *expected; /* NULL: no such header */
    } rows[] = {
        { "content-type", "application/json" },
        { "X-TWO", "a b" },
        { "Content", NULL },
        { "Contents", "no" },
        { "empty", "" },
        { "last", "end" },
        { "end", NULL },
        { "", NULL },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        auto_buf struct buf got = BUF_INIT;
        bool found = http_response_header(&response, rows[i].name, &got);
        CHECK_ROW(found == (rows[i].expected != NULL), "%s", rows[i].name);
        if (found)
            CHECK_STRING(buf_str(&got), rows[i].expected);
    }
    http_response_clear(&response);
    auto_buf struct buf got = BUF_INIT;
    CHECK(!http_response_header(&response, "last", &got));
}

/* Requests that are rejected before anything is sent. Missing limits are a bug of the program. */
static void test_refusals(void)
{
    static const struct {
        struct http_request request;
        int result;
        const char *code;
    } rows[] = {
        { { .method = "GET", .url = "http://127.0.0.1/", .max_response = 1 }, -EINVAL, "fatal" },
        { { .method = "GET", .url = "http://127.0.0.1/", .timeout_ms = 1 }, -EINVAL, "fatal" },
        { { .method = "GET", .url = NULL, .timeout_ms = 1, .max_response = 1 }, NEVER, "bad_url" },
        { { .method = "GET", .url = "gopher://a/", .timeout_ms = 1, .max_response = 1 }, NEVER, "bad_url" },
        { { .method = "GET /", .url = "http://a/", .timeout_ms = 1, .max_response = 1 }, NEVER, "bad_request" },
        { { .method = "", .url = "http://a/", .timeout_ms = 1, .max_response = 1 }, NEVER, "bad_request" },
    };
    auto_http struct http *http = NULL;
    struct err err = ERR_INIT;
    int result = http_new(-1, &http, &err);
    CHECK(result == 0);
    for (size_t i = 0; result == 0 && i < N_ELEMENTS(rows); i++) {
        auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
        int got = http_do(http, &rows[i].request, &response, &err);
        CHECK_ROW(got == rows[i].result, "row %zu: %d", i, got);
        CHECK_STRING(err.code, rows[i].code);
        got = http_do(http, &rows[i].request, &response, NULL);
        CHECK_ROW(got == rows[i].result, "row %zu without err: %d", i, got);
    }
    http_free(NULL);
}

static bool encode_and_decode(void *context)
{
    (void)context;
    auto_buf struct buf encoded = BUF_INIT, decoded = BUF_INIT;
    char text[300];
    memset(text, ' ', sizeof(text));
    http_percent_encode(text, sizeof(text), "", &encoded);
    bool ok = http_percent_decode(buf_str(&encoded), encoded.len, false, &decoded);
    if (buf_failed(&encoded) || buf_failed(&decoded))
        return false;
    return ok && decoded.len == sizeof(text);
}

static bool make_client_and_fail_to_connect(void *context)
{
    (void)context;
    auto_http struct http *http = NULL;
    struct err err = ERR_INIT;
    if (http_new(-1, &http, &err) != 0)
        return false;
    const struct http_header header = { "X-Name", "value" };
    const struct http_request request = { .method = "GET",
                                          .url = "http://127.0.0.1:1/",
                                          .headers = &header,
                                          .n_headers = 1,
                                          .timeout_ms = 1000,
                                          .max_response = 1000 };
    auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
    int result = http_do(http, &request, &response, &err);
    return result == LATER && err_is(&err, "connection_failed");
}

static void *use_a_client(void *context)
{
    bool *ret_ok = context;
    *ret_ok = make_client_and_fail_to_connect(NULL);
    return NULL;
}

/* Each thread has its own client; they share only libcurl's initialisation. */
static void test_threads(void)
{
    pthread_t threads[8];
    bool ok[N_ELEMENTS(threads)] = { false };
    size_t n = 0;
    while (n < N_ELEMENTS(threads) && pthread_create(&threads[n], NULL, use_a_client, &ok[n]) == 0)
        n++;
    for (size_t i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        CHECK_ROW(ok[i], "thread %zu", i);
    }
    CHECK(n == N_ELEMENTS(threads));
}

int main(void)
{
    test_threads(); /* must be first: libcurl is not initialised yet */
    test_percent_encode();
    test_percent_decode();
    test_response_header();
    test_refusals();
    test_failing_allocations(encode_and_decode, NULL);
    test_failing_allocations(make_client_and_fail_to_connect, NULL);
    return test_end();
}
