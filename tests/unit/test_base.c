/* Buffers, errors, numbers, digests, waiting. */
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/num.h"
#include "base/time.h"
#include "base/utf8.h"
#include "test.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void test_buf(void)
{
    auto_buf struct buf buf = BUF_INIT;
    CHECK_STRING(buf_str(&buf), "");
    for (int i = 0; i < 1000; i++)
        buf_printf(&buf, "%d,", i);
    CHECK(!buf_failed(&buf) && buf.len == 3890 && strlen(buf.data) == buf.len);
    buf_reset(&buf);
    buf_add_hex(&buf, "\x00\xfa\x10", 3);
    CHECK_STRING(buf_str(&buf), "00fa10");
    char *reserved = buf_reserve(&buf, 4);
    CHECK(reserved == buf.data + 6);
    char *taken = buf_take(&buf);
    CHECK_STRING(taken, "00fa10");
    free(taken);
    CHECK(buf.len == 0 && !buf.data);
    buf_reserve(&buf, SIZE_MAX / 2);
    CHECK(buf_failed(&buf));
    buf_puts(&buf, "nothing is added after a failure");
    CHECK(buf.len == 0);
    CHECK(buf_take(&buf) == NULL);
    taken = buf_take(&buf);
    CHECK_STRING(taken, "");
    free(taken);
}

static void test_err(void)
{
    struct err err = ERR_INIT;
    CHECK(!err_is(&err, "x"));
    CHECK(err_never(&err, "x", "%s is %d", "a", 1) == NEVER && err_is(&err, "x") && !err.outage);
    CHECK_STRING(err.text, "a is 1");
    err_prefix(&err, "message %s", "m1");
    CHECK_STRING(err.text, "message m1: a is 1");
    CHECK(err_outage(&err, "down", "again: %s", err.text) == LATER && err.outage);
    CHECK_STRING(err.text, "again: message m1: a is 1");
    CHECK(err_fatal(&err, ENOENT, "open") == -ENOENT);
    CHECK_STRING(err.text, "open: No such file or directory");
    CHECK(err_later(NULL, "x", "nobody listens") == LATER);

    char long_text[3000];
    memset(long_text, 'x', sizeof(long_text));
    long_text[sizeof(long_text) - 1] = '\0';
    CHECK(err_never(&err, "x", "%s", long_text) == NEVER && strlen(err.text) == ERR_TEXT_SIZE - 1);
    err_prefix(&err, "p");
    CHECK(strlen(err.text) == ERR_TEXT_SIZE - 1 && strncmp(err.text, "p: xxx", 6) == 0);

    static const struct {
        const char *text, *printable;
    } rows[] = {
        { "a\x01\x7f\xff z", "a??? z" }, { "\xc3\xa9\xf0\x9f\x98\x80", "\xc3\xa9\xf0\x9f\x98\x80" },
        { "cut \xf0\x9f\x98", "cut " },  { "\xc2\x9b", "?" },
        { "\xef\xbf\xbe", "?" },         { "tab\tline\n", "tab\tline\n" },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        char text[32];
        strcpy(text, rows[i].text);
        err_make_printable(text);
        CHECK_STRING(text, rows[i].printable);
    }
}

static void test_numbers(void)
{
    int64_t value = 0;
    struct err err = ERR_INIT;
    CHECK(num_parse_i64("-12", -20, 20, &value, &err) == 0 && value == -12);
    CHECK(num_parse_i64("9223372036854775807", 0, INT64_MAX, &value, &err) == 0 && value == INT64_MAX);
    static const char *const bad[] = { "",   " 1", "1 ", "+1", "1x", "0x10", "1.0", "9223372036854775808",
                                       "-1", "21", "--1" };
    for (size_t i = 0; i < N_ELEMENTS(bad); i++)
        CHECK_ROW(num_parse_i64(bad[i], 0, 20, &value, &err) == NEVER, "\"%s\"", bad[i]);

    static const struct {
        const char *text;
        int64_t ms;
        const char *printed;
    } durations[] = { { "250ms", 250, "250ms" }, { "60s", 60000, "1m" },
                      { "90", 90000, "90s" },    { "5m", 300000, "5m" },
                      { "0", 0, "0s" },          { "2h", 7200000, "2h" },
                      { "7d", 604800000, "7d" }, { "1s", 1000, "1s" },
                      { "1.5s", -1, NULL },      { "5 s", -1, NULL },
                      { "s", -1, NULL },         { "-5s", -1, NULL },
                      { "5S", -1, NULL },        { "99999999999999999d", -1, NULL } };
    for (size_t i = 0; i < N_ELEMENTS(durations); i++) {
        int r = num_parse_duration(durations[i].text, 0, INT64_MAX, &value, &err);
        CHECK_ROW(durations[i].printed ? r == 0 && value == durations[i].ms : r == NEVER, "%s", durations[i].text);
        auto_buf struct buf printed = BUF_INIT;
        if (r == 0) {
            num_print_duration(value, &printed);
            CHECK_STRING(buf_str(&printed), durations[i].printed);
        }
    }
    CHECK(num_parse_duration("61s", 0, 60000, &value, &err) == NEVER);
    CHECK_STRING(err.text, "61s is not in the range 0s to 1m");
    CHECK(num_parse_size("6MiB", 0, INT64_MAX, &value, &err) == 0 && value == 6 << 20);
    CHECK(num_parse_size("2TiB", 0, INT64_MAX, &value, &err) == 0 && value == INT64_C(2) << 40);
    CHECK(num_parse_size("100", 0, INT64_MAX, &value, &err) == 0 && value == 100);
    CHECK(num_parse_size("6MB", 0, INT64_MAX, &value, &err) == NEVER);
    auto_buf struct buf size = BUF_INIT;
    num_print_size(1536 << 10, &size);
    CHECK_STRING(buf_str(&size), "1536KiB");
}

/* A pseudo-random number (xorshift); each run has the same sequence. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void check_double(const char *text)
{
    const char *end = NULL;
    char *expected_end = NULL;
    double got = num_nearest_double(text, &end), expected = strtod(text, &expected_end);
    CHECK_ROW(memcmp(&got, &expected, sizeof(got)) == 0, "%s: %a, not %a", text, got, expected);
    CHECK_ROW(end == expected_end, "%s: ends at %s", text, end);
}

/* Exactly strtod's doubles: edge cases, random decimals, and midpoints between two doubles with their neighbours. */
static void test_doubles(void)
{
    static const char *const edges[] = { "0",
                                         "-0",
                                         "0.0]",
                                         "-0.000,",
                                         "9007199254740991",
                                         "9007199254740992",
                                         "9007199254740993",
                                         "9999999999999999999",
                                         "18446744073709551615",
                                         "18446744073709551616",
                                         "0.000000000000000001",
                                         "0.0000000000000000001",
                                         "9.999999999999999999",
                                         "1.7976931348623157e308",
                                         "2.2250738585072014e-308",
                                         "5e-324",
                                         "-1e400",
                                         "1e23]",
                                         "8.5E22",
                                         "7205759403792793.5",
                                         "-122.41941550000001, 37" };
    for (size_t i = 0; i < N_ELEMENTS(edges); i++)
        check_double(edges[i]);
    uint64_t state = 88172645463325252;
    char text[64], digits[32];
    for (int i = 0; i < 50000; i++) {
        int n = snprintf(digits, sizeof(digits), "%" PRIu64, next_random(&state) >> next_random(&state) % 64);
        int point = 1 + (int)(next_random(&state) % (unsigned)n);
        snprintf(text, sizeof(text), "%s%.*s%s%s", i % 2 ? "-" : "", point, digits, point < n ? "." : "",
                 digits + point);
        check_double(text);
        snprintf(text, sizeof(text), "%.17g", (double)(int64_t)next_random(&state) / 5e16); /* degrees */
        check_double(text);
        /* An odd number of 54 bits over a power of two is the midpoint between two doubles. */
        uint64_t middle = (UINT64_C(1) << 53) + (next_random(&state) >> 11 | 1);
        int places = (int)(next_random(&state) % 4);
        for (int k = 0; k < places; k++)
            middle *= 5;
        for (uint64_t k = 0; k < 3; k++) {
            n = snprintf(digits, sizeof(digits), "%" PRIu64, middle - 1 + k);
            snprintf(text, sizeof(text), "%.*s.%s0", n - places, digits, digits + n - places);
            check_double(text);
        }
    }
}

static void test_time(void)
{
    static const struct {
        const char *text;
        enum time_reading reading;
        int64_t us;
        const char *part;
    } rows[] = {
        { "1970-01-01T00:00:00Z", TIME_READ, 0, NULL },
        { "2021-01-01T00:00:00Z", TIME_READ, 1609459200000000, NULL },
        { "2021-01-01t00:00:00z", TIME_READ, 1609459200000000, NULL },
        { "2021-01-01 00:00:00Z", TIME_READ, 1609459200000000, NULL },
        { "2021-01-01T00:00:00.725Z", TIME_READ, 1609459200725000, NULL },
        { "2021-01-01T00:00:00.1234564Z", TIME_READ, 1609459200123456, NULL },
        { "2021-01-01T00:00:00.1234565Z", TIME_READ, 1609459200123457, NULL },
        { "2021-01-01T00:00:00.12345649999Z", TIME_READ, 1609459200123456, NULL },
        { "2021-01-01T00:00:00.9999999Z", TIME_READ, 1609459201000000, NULL },
        { "2021-01-01T02:00:00+02:00", TIME_READ, 1609459200000000, NULL },
        { "2020-12-31T18:30:00-05:30", TIME_READ, 1609459200000000, NULL },
        { "2020-12-31T23:59:60Z", TIME_READ, 1609459200000000, NULL },
        { "2020-02-29T00:00:00Z", TIME_READ, 1582934400000000, NULL },
        { "2000-02-29T00:00:00Z", TIME_READ, 951782400000000, NULL },
        { "1969-12-31T23:59:59.5Z", TIME_READ, -500000, NULL },
        { "0001-01-01T00:00:00Z", TIME_READ, -62135596800000000, NULL },
        { "9999-12-31T23:59:59Z", TIME_READ, 253402300799000000, NULL },
        { "9999-12-31T23:59:59-01:00", TIME_OUT_OF_RANGE, 0, NULL },
        { "0001-01-01T00:00:00+01:00", TIME_OUT_OF_RANGE, 0, NULL },
        { "0000-01-01T00:00:00Z", TIME_OUT_OF_RANGE, 0, NULL },
        { "1900-02-29T00:00:00Z", TIME_IMPOSSIBLE, 0, "day" },
        { "2021-02-29T00:00:00Z", TIME_IMPOSSIBLE, 0, "day" },
        { "2021-04-31T00:00:00Z", TIME_IMPOSSIBLE, 0, "day" },
        { "2021-13-01T00:00:00Z", TIME_IMPOSSIBLE, 0, "month" },
        { "2021-01-01T24:00:00Z", TIME_IMPOSSIBLE, 0, "hour" },
        { "2021-01-01T00:60:00Z", TIME_IMPOSSIBLE, 0, "minute" },
        { "2021-01-01T00:00:61Z", TIME_IMPOSSIBLE, 0, "second" },
        { "2021-01-01T00:00:00", TIME_MALFORMED, 0, NULL },
        { "2021-01-01T00:00:00.Z", TIME_MALFORMED, 0, NULL },
        { "2021-01-01T00:00:00+2:00", TIME_MALFORMED, 0, NULL },
        { "2021-01-01T00:00:00+0200", TIME_MALFORMED, 0, NULL },
        { "2021-01-01T00:00:00Z ", TIME_MALFORMED, 0, NULL },
        { " 2021-01-01T00:00:00Z", TIME_MALFORMED, 0, NULL },
        { "2021-01-01", TIME_MALFORMED, 0, NULL },
        { "2021-1-1T00:00:00Z", TIME_MALFORMED, 0, NULL },
        { "yesterday", TIME_MALFORMED, 0, NULL },
        { "", TIME_MALFORMED, 0, NULL },
        { "9999-12-31T23:59:59.9999994Z", TIME_READ, 253402300799999999, NULL },
        { "9999-12-31T23:59:59.9999999Z", TIME_OUT_OF_RANGE, 0, NULL },
        { "9999-12-31T23:59:59.9999995Z", TIME_OUT_OF_RANGE, 0, NULL },
        { "9999-12-31T23:59:60Z", TIME_OUT_OF_RANGE, 0, NULL },
        { "9999-12-31T23:59:59.9999999+00:01", TIME_READ, 253402300740000000, NULL },
        { "0001-01-01T00:00:00-00:01", TIME_READ, -62135596740000000, NULL },
        { "0001-01-01T00:00:00+00:01", TIME_OUT_OF_RANGE, 0, NULL },
        { "0000-12-31T23:00:00-01:00", TIME_OUT_OF_RANGE, 0, NULL },
        { "0000-02-29T00:00:00Z", TIME_OUT_OF_RANGE, 0, NULL },
        { "10000-01-01T00:00:00Z", TIME_OUT_OF_RANGE, 0, NULL },
        { "10000-01-01T00:00:00+01:00", TIME_OUT_OF_RANGE, 0, NULL },
        { "+294277-01-01T00:00:00Z", TIME_OUT_OF_RANGE, 0, NULL },
        { "-0001-01-01T00:00:00Z", TIME_OUT_OF_RANGE, 0, NULL },
        { "10000-13-01T00:00:00Z", TIME_IMPOSSIBLE, 0, "month" },
        { "10000-01-01", TIME_MALFORMED, 0, NULL },
        { "-001-01-01T00:00:00Z", TIME_MALFORMED, 0, NULL },
        { "--0001-01-01T00:00:00Z", TIME_MALFORMED, 0, NULL },
        { "+2021-01-01T00:00:00Z", TIME_MALFORMED, 0, NULL },
        { "-", TIME_MALFORMED, 0, NULL },
        { "2021-00-01T00:00:00Z", TIME_IMPOSSIBLE, 0, "month" },
        { "2021-01-00T00:00:00Z", TIME_IMPOSSIBLE, 0, "day" },
        { "2021-02-29T24:00:00Z", TIME_IMPOSSIBLE, 0, "day" },
        { "2021-01-01T99:00:00Z", TIME_IMPOSSIBLE, 0, "hour" },
        { "2021-06-15T12:30:60.5Z", TIME_READ, 1623760260500000, NULL },
        { "2021-01-01T00:00:00+24:00", TIME_IMPOSSIBLE, 0, "offset" },
        { "2021-01-01T00:00:00-01:60", TIME_IMPOSSIBLE, 0, "offset" },
        { "2021-01-01T00:00:00+23:59", TIME_READ, 1609372860000000, NULL },
        { "2021-02-29T00:00:00", TIME_MALFORMED, 0, NULL },
        { "2021-02-29", TIME_MALFORMED, 0, NULL },
        { "infinity", TIME_MALFORMED, 0, NULL },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        int64_t us = 0, same_us = 0;
        const char *part = NULL;
        CHECK_ROW(time_read_rfc3339(rows[i].text, &us, &part) == rows[i].reading, "%s", rows[i].text);
        CHECK_ROW(us == rows[i].us, "%s: %ld", rows[i].text, (long)us);
        CHECK_STRING(part, rows[i].part);
        CHECK_ROW(time_parse_rfc3339(rows[i].text, &same_us) == (rows[i].reading == TIME_READ), "%s", rows[i].text);
        CHECK_ROW(same_us == us, "%s: %ld", rows[i].text, (long)same_us);
    }
    char text[TIME_TEXT_SIZE];
    time_format_basic(1440938160, text);
    CHECK_STRING(text, "20150830T123600Z");
    time_format_rfc3339(1440938160007, text);
    CHECK_STRING(text, "2015-08-30T12:36:00.007Z");
    time_format_rfc3339(-1, text);
    CHECK_STRING(text, "1969-12-31T23:59:59.999Z");

    /* The days of 1600 to 2400 follow each other, and their months and years equal gmtime's. */
    for (int64_t day = -135140; day < 157000; day += 1) {
        time_t s = day * 86400 + 86399;
        struct tm tm;
        gmtime_r(&s, &tm);
        int year = 0, month = 0;
        time_year_month((int64_t)s * 1000000 + 999999, &year, &month);
        if (year != tm.tm_year + 1900 || month != tm.tm_mon + 1) {
            CHECK_ROW(false, "day %ld", (long)day);
            break;
        }
    }
}

static void test_digests(void)
{
    unsigned char digest[SHA256_SIZE];
    auto_buf struct buf hex = BUF_INIT;
    CHECK(hash_sha256("", 0, digest));
    buf_add_hex(&hex, digest, sizeof(digest));
    CHECK_STRING(buf_str(&hex), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hash_hmac_sha256("key", 3, "The quick brown fox jumps over the lazy dog", 43, digest));
    buf_reset(&hex);
    buf_add_hex(&hex, digest, sizeof(digest));
    CHECK_STRING(buf_str(&hex), "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
    CHECK(hash_md5("abc", 3, digest));
    buf_reset(&hex);
    buf_add_hex(&hex, digest, MD5_SIZE);
    CHECK_STRING(buf_str(&hex), "900150983cd24fb0d6963f7d28e17f72");

    static const struct {
        const char *text, *decoded;
    } rows[] = { { "", "" }, { "YQ==", "a" }, { "YWI=", "ab" }, { "YWJj", "abc" }, { "YWJ", NULL }, { "Y!==", NULL } };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        auto_buf struct buf out = BUF_INIT;
        bool ok = base64_decode(rows[i].text, &out);
        CHECK_STRING(ok ? buf_str(&out) : NULL, rows[i].decoded);
    }
}

static void test_wait(void)
{
    int work[2], stop[2];
    CHECK(pipe(work) == 0 && pipe(stop) == 0);
    int64_t start = time_mono_ms();
    CHECK(wait_fd(work[0], POLLIN, stop[0], start + 50) == WAIT_TIMEOUT);
    CHECK(time_mono_ms() - start >= 50);
    CHECK(write(work[1], "x", 1) == 1);
    CHECK(wait_fd(work[0], POLLIN, stop[0], INT64_MAX) == WAIT_READY);
    CHECK(write(stop[1], "x", 1) == 1);
    CHECK(wait_fd(work[0], POLLIN, stop[0], INT64_MAX) == WAIT_STOPPED);
    CHECK(wait_fd(-1, 0, stop[0], INT64_MAX) == WAIT_STOPPED);
    CHECK(wait_fd(-1, 0, -1, time_mono_ms() + 10) == WAIT_TIMEOUT);
    for (int i = 0; i < 2; i++) {
        close(work[i]);
        close(stop[i]);
    }
    for (int i = 0; i < 1000; i++) {
        double r = random_unit();
        if (r < 0 || r >= 1)
            CHECK(false);
    }
}

int main(void)
{
    test_buf();
    test_err();
    test_numbers();
    test_doubles();
    test_time();
    test_digests();
    test_wait();
    return test_end();
}
