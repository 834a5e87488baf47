/* creds: the helpers of its sources: times, the container endpoint's URL, checks of credentials. */
#include "aws/credentials/creds_source.h"

#include "test.h"

static const struct {
    const char *text;
    int64_t expected_ms; /* -1: not a time */
} times[] = {
    { "2023-11-14T22:13:20Z", INT64_C(1700000000000) },
    { "2023-11-14T22:13:20.25Z", INT64_C(1700000000250) },
    { "2023-11-14T22:13:20UTC", INT64_C(1700000000000) },
    { "2023-11-14T22:13:20+00:00", INT64_C(1700000000000) },
    { "2023-11-14T23:13:20+0100", INT64_C(1700000000000) },
    { "2023-11-14T22:13:20-0000", INT64_C(1700000000000) },
    { "2023-11-14T22:13:20.5+0000", INT64_C(1700000000500) },
    { "2023-11-14T22:13:20", -1 },
    { "2023-11-14", -1 },
    { "", -1 },
    { "UTC", -1 },
    { "+0000", -1 },
    { "1700000000", -1 },
    { "2023-11-14T22:13:20Z ", -1 },
    { "2023-11-14T22:13:20.00000000000000000000000000000000000000000000000000000Z", -1 },
};

static void test_times(void)
{
    for (size_t i = 0; i < N_ELEMENTS(times); i++) {
        int64_t got_ms = -1;
        bool ok = creds_parse_expiration(times[i].text, &got_ms);
        CHECK_ROW(ok == (times[i].expected_ms >= 0) && got_ms == times[i].expected_ms, "\"%s\": %lld", times[i].text,
                  (long long)got_ms);
    }
}

static const struct {
    const char *relative_uri, *full_uri;
    const char *expected; /* NULL: rejected */
} urls[] = {
    { "/v2/credentials/x?y=1", NULL, "http://169.254.170.2/v2/credentials/x?y=1" },
    { "/v2/x", "http://elsewhere.example/", "http://169.254.170.2/v2/x" },
    { "v2/x", NULL, NULL },
    { "@elsewhere.example/", NULL, NULL },
    { ".elsewhere.example/", NULL, NULL },
    { NULL, "http://localhost:1/x", "http://localhost:1/x" },
    { NULL, "http://127.0.0.1/x", "http://127.0.0.1/x" },
    { NULL, "http://127.9.9.9:80/x", "http://127.9.9.9:80/x" },
    { NULL, "http://[::1]:80/x", "http://[::1]:80/x" },
    { NULL, "http://169.254.170.2/x", "http://169.254.170.2/x" },
    { NULL, "http://169.254.170.23/v1/credentials", "http://169.254.170.23/v1/credentials" },
    { NULL, "http://[fd00:ec2::23]/v1/credentials", "http://[fd00:ec2::23]/v1/credentials" },
    { NULL, "http://[FD00:EC2:0::23]/x", "http://[FD00:EC2:0::23]/x" },
    { NULL, "https://elsewhere.example/x", "https://elsewhere.example/x" },
    { NULL, "http://elsewhere.example/x", NULL },
    { NULL, "http://169.254.169.254/x", NULL },
    { NULL, "http://128.0.0.1/x", NULL },
    { NULL, "http://[fd00:ec2::254]/x", NULL },
    { NULL, "http://127.0.0.1@elsewhere.example/x", NULL },
    { NULL, "http://127.0.0.1.elsewhere.example/x", NULL },
    { NULL, "http://localhost.elsewhere.example/x", NULL },
    { NULL, "http://elsewhere.example#@127.0.0.1/x", NULL },
    { NULL, "http://elsewhere.example\\@127.0.0.1/x", NULL },
    { NULL, "ftp://127.0.0.1/x", NULL },
    { NULL, "file:///etc/passwd", NULL },
    { NULL, "127.0.0.1/x", NULL },
    { NULL, "http://", NULL },
    { NULL, "", NULL },
};

static void test_container_urls(void)
{
    for (size_t i = 0; i < N_ELEMENTS(urls); i++) {
        auto_buf struct buf url = BUF_INIT;
        struct err err = ERR_INIT;
        int r = creds_container_url(urls[i].relative_uri, urls[i].full_uri, &url, &err);
        CHECK_ROW(r == (urls[i].expected ? 0 : NEVER), "row %zu: %d", i, r);
        CHECK_STRING(r == 0 ? buf_str(&url) : NULL, urls[i].expected);
        CHECK(r == 0 || !strstr(err.text, "/x"));
    }
}

static const struct {
    struct creds_parts parts;
    const char *expected; /* NULL: accepted */
} fills[] = {
    { { "A", "S", NULL, NULL, "s", "p" }, NULL },
    { { "A", "S", "", "", "s", "p" }, NULL },
    { { "A", "S/+=", "T/+=", "2023-11-14T22:13:20Z", "s", "p" }, NULL },
    { { NULL, "S", NULL, NULL, "s", "p" }, "p: no access key id" },
    { { "", "S", NULL, NULL, "s", "p" }, "p: no access key id" },
    { { "A", NULL, "T", NULL, "s", "p" }, "p: no secret access key" },
    { { "A\r\nX: y", "S", NULL, NULL, "s", "p" }, "p: an access key id with blanks or control characters" },
    { { "A", "S", "T\nX: y", NULL, "s", "p" }, "p: a session token with blanks or control characters" },
    { { "A", "S", NULL, "soon", "s", "p" }, "p: the expiration \"soon\" is not an RFC 3339 time" },
};

static void test_fill(void)
{
    for (size_t i = 0; i < N_ELEMENTS(fills); i++) {
        auto_creds struct creds creds = CREDS_INIT;
        struct err err = ERR_INIT;
        int r = creds_fill(&fills[i].parts, &creds, &err);
        CHECK(r == (fills[i].expected ? NEVER : 0));
        CHECK_STRING(err.code ? err.text : NULL, fills[i].expected);
        CHECK((r == 0) == (creds.access_key_id != NULL));
        if (r == 0 && !fills[i].parts.expiration)
            CHECK(creds.expires_at_ms == INT64_MAX && !creds.session_token);
    }
}

int main(void)
{
    test_times();
    test_container_urls();
    test_fill();
    return test_end();
}
