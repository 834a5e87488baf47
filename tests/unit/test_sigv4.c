/* sigv4: each stage alone, rejected requests, and the cases in tests/unit/sigv4 (signed by botocore). */
#include "sigv4/sigv4.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "sigv4_case.h"
#include "test.h"

static const struct http_header host = { "Host", "example.com" };
static const struct sigv4_credentials credentials = { "AKIDTEST", "not/a+secret", NULL };
static const struct sigv4_scope scope = { "eu-central-1", "sqs", 1709251199 };

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_canonical_request(void)
{
    static const struct http_header several[] = { { "b", " 2 " }, { "Host", "h" }, { "A", "x" }, { "a", "w" } };
    static const struct http_header hashed[] = { { "X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD" }, { "Host", "h" } };
    static const struct {
        struct sigv4_request request;
        const char *expected, *signed_headers;
    } rows[] = {
        { { .method = "GET", .path = "", .headers = &host, .n_headers = 1 },
          "GET\n/\n\nhost:example.com\n\nhost\n" EMPTY_SHA256,
          "host" },
        { { .method = "GET", .path = "", .keep_path = true, .headers = &host, .n_headers = 1 },
          "GET\n/\n\nhost:example.com\n\nhost\n" EMPTY_SHA256,
          "host" },
        { { .method = "PUT", .path = "/a%2F/..", .query = "", .keep_path = true, .headers = several, .n_headers = 4 },
          "PUT\n/a%252F/..\n\na:x,w\nb:2\nhost:h\n\na;b;host\n" EMPTY_SHA256,
          "a;b;host" },
        { { .method = "PUT",
            .path = "/a%2F b/..",
            .encode_once = true,
            .keep_path = true,
            .headers = hashed,
            .n_headers = 2,
            .body = "{}",
            .body_len = 2 },
          "PUT\n/a%2F b/..\n\nhost:h\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n\nhost;x-amz-content-sha256\n"
          "UNSIGNED-PAYLOAD",
          "host;x-amz-content-sha256" },
        { { .method = "POST",
            .path = "/",
            .query = "&b=1&&a&",
            .headers = &host,
            .n_headers = 1,
            .body = "{}",
            .body_len = 2 },
          "POST\n/\na=&b=1\nhost:example.com\n\nhost\n"
          "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
          "host" },
        { { .method = "POST", .path = "/", .query = "a+b=c+d", .headers = &host, .n_headers = 1 },
          "POST\n/\na%2Bb=c%2Bd\nhost:example.com\n\nhost\n" EMPTY_SHA256,
          "host" },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        auto_buf struct buf got = BUF_INIT, names = BUF_INIT;
        struct err err = ERR_INIT;
        CHECK_ROW(sigv4_canonical_request(&rows[i].request, &got, &names, &err) == 0, "row %zu: %s", i, err.text);
        CHECK_STRING(buf_str(&got), rows[i].expected);
        CHECK_STRING(buf_str(&names), rows[i].signed_headers);
    }
}

static void test_paths(void)
{
    static const struct {
        const char *path, *expected;
    } rows[] = { { "/", "/" },           { "//", "/" },          { "/.", "/" },         { "/..", "/" },
                 { "/a/", "/a/" },       { "/a/..", "/" },       { "/a/../", "/" },     { "/a/b/..", "/a" },
                 { "/a/b/../", "/a/" },  { "/a/./b", "/a/b" },   { "/a//b", "/a/b" },   { "/../a", "/a" },
                 { "/a/../../b", "/b" }, { "/...", "/..." },     { "/.a", "/.a" },      { "/..a/b", "/..a/b" },
                 { "/%2E/", "/%252E/" }, { "/~a b", "/~a%20b" }, { "/a/..b", "/a/..b" } };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        auto_buf struct buf got = BUF_INIT, names = BUF_INIT, expected = BUF_INIT;
        const struct sigv4_request request = { .method = "GET", .path = rows[i].path };
        CHECK(sigv4_canonical_request(&request, &got, &names, NULL) == 0);
        buf_printf(&expected, "GET\n%s\n\n\n\n\n" EMPTY_SHA256, rows[i].expected);
        CHECK_STRING(buf_str(&got), buf_str(&expected));
    }
}

static void test_string_to_sign(void)
{
    auto_buf struct buf got = BUF_INIT;
    CHECK(sigv4_string_to_sign(&scope, "GET\n/\n", &got, NULL) == 0);
    CHECK_STRING(buf_str(&got), "AWS4-HMAC-SHA256\n20240229T235959Z\n20240229/eu-central-1/sqs/aws4_request\n"
                                "139fb16fdd19069e75f6f3dd0e619a89fb157dab65e8722c66e6b3fd43f7900c");
}

static void test_signature(void)
{
    auto_buf struct buf got = BUF_INIT;
    CHECK(sigv4_signature(&credentials, &scope, "AWS4-HMAC-SHA256\nany text", &got, NULL) == 0);
    CHECK_STRING(buf_str(&got), "305d16284cd8ce089002209b343a88873538c1d387a6bd3892db35b4d3619d1a");
}

static const struct sigv4_request plain = { .method = "GET", .path = "/", .headers = &host, .n_headers = 1 };

static void test_added_headers(void)
{
    auto_sigv4_signed struct sigv4_signed made = SIGV4_SIGNED_INIT;
    const struct sigv4_credentials temporary = { "AKIDTEST", "not/a+secret", "token" };
    struct sigv4_request s3 = plain;
    s3.sign_body = true;
    CHECK(sigv4_sign(&s3, &temporary, &scope, &made, NULL) == 0);
    CHECK(made.n_headers == 4);
    CHECK_STRING(made.headers[0].name, "X-Amz-Security-Token");
    CHECK_STRING(made.headers[0].value, "token");
    CHECK_STRING(made.headers[1].name, "X-Amz-Date");
    CHECK_STRING(made.headers[1].value, "20240229T235959Z");
    CHECK_STRING(made.headers[2].name, "x-amz-content-sha256");
    CHECK_STRING(made.headers[2].value, EMPTY_SHA256);
    CHECK_STRING(made.headers[3].name, "Authorization");
    CHECK(strstr(made.headers[3].value, "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, "));

    /* The same struct again, for a second attempt. An empty token counts as no token. */
    const struct sigv4_credentials no_token = { "AKIDTEST", "not/a+secret", "" };
    CHECK(sigv4_sign(&plain, &no_token, &scope, &made, NULL) == 0);
    CHECK(made.n_headers == 2);
    CHECK_STRING(made.headers[0].name, "X-Amz-Date");
    CHECK(strstr(made.headers[1].value, "SignedHeaders=host;x-amz-date, Signature="));
}

static void test_refusals(void)
{
    static const char *const ours[] = { "x-amz-date", "X-AMZ-SECURITY-TOKEN", "X-Amz-Content-Sha256", "authorization" };
    auto_sigv4_signed struct sigv4_signed made = SIGV4_SIGNED_INIT;
    struct err err = ERR_INIT;
    for (size_t i = 0; i < N_ELEMENTS(ours); i++) {
        const struct http_header headers[] = { host, { ours[i], "x" } };
        const struct sigv4_request request = { .method = "GET", .path = "/", .headers = headers, .n_headers = 2 };
        CHECK_ROW(sigv4_sign(&request, &credentials, &scope, &made, &err) == NEVER, "%s", ours[i]);
        CHECK(err_is(&err, "bad_request") && made.n_headers == 0);
    }
    static const char *const queries[] = { "a=%", "a=%2", "%zz=1", "a&b=%e2%8" };
    for (size_t i = 0; i < N_ELEMENTS(queries); i++) {
        struct sigv4_request request = plain;
        request.query = queries[i];
        CHECK_ROW(sigv4_sign(&request, &credentials, &scope, &made, &err) == NEVER, "%s", queries[i]);
        CHECK(err_is(&err, "bad_query") && made.n_headers == 0 && made.canonical_request.len == 0);
    }
}

static int is_case(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && !strchr(entry->d_name, '_') && !strchr(entry->d_name, '.');
}

static void test_cases(const char *folder)
{
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, is_case, alphasort);
    CHECK_ROW(n >= 19, "%d cases in %s", n, folder);
    for (int i = 0; i < n; i++) {
        auto_buf struct buf path = BUF_INIT, story = BUF_INIT;
        buf_printf(&path, "%s/%s", folder, entries[i]->d_name);
        bool passed = sigv4_case_run(buf_str(&path), &story) == SIGV4_CASE_PASSED;
        CHECK_ROW(passed, "%s: %s", entries[i]->d_name, buf_str(&story));
        free(entries[i]);
    }
    free(entries);
}

/* Every part is long enough to make its buffer grow. */
static bool sign_something_long(void *context)
{
    const struct sigv4_request *request = context;
    const struct sigv4_credentials temporary = { "AKIDTEST", "not/a+secret", "token" };
    auto_sigv4_signed struct sigv4_signed made = SIGV4_SIGNED_INIT;
    struct err err = ERR_INIT;
    int result = sigv4_sign(request, &temporary, &scope, &made, &err);
    CHECK(result == 0 || (result == -ENOMEM && made.n_headers == 0));
    if (result != 0)
        return false;
    /* botocore's signature of the same request. */
    CHECK_STRING(buf_str(&made.signature), "d49ff5c93dc5109cc39d1a281d7e275d5ef241233dfd44f12bfac717da791bdc");
    return true;
}

static void test_allocations(void)
{
    char path[300], query[300], value[300];
    memset(path, 'p', sizeof(path));
    memset(query, '/', sizeof(query));
    memset(value, 'v', sizeof(value));
    path[0] = path[20] = '/';
    query[10] = '&';
    path[299] = query[299] = value[299] = '\0';
    const struct http_header headers[] = { host, { "X-Long", value } };
    struct sigv4_request request = {
        .method = "GET", .path = path, .query = query, .headers = headers, .n_headers = 2, .sign_body = true
    };
    test_failing_allocations(sign_something_long, &request);
    request.keep_path = true;
    test_failing_allocations(sign_something_long, &request);
}

int main(int argc, char **argv)
{
    test_canonical_request();
    test_paths();
    test_string_to_sign();
    test_signature();
    test_added_headers();
    test_refusals();
    test_cases(argc > 1 ? argv[1] : "tests/unit/sigv4");
    test_allocations();
    return test_end();
}
