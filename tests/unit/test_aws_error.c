#include "test.h"

#include <string.h>

#include "aws/aws_error.h"

static void test_bodies(void)
{
    static const struct {
        const char *body, *headers, *code, *message;
    } rows[] = {
        /* JSON protocols */
        { "{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\",\"message\":\"no queue\"}", "", "QueueDoesNotExist",
          "no queue" },
        { "{\"__type\":\"QueueDoesNotExist\",\"Message\":\"no queue\"}", "", "QueueDoesNotExist", "no queue" },
        { "{\"__type\":\"AccessDeniedException:http://internal.amazon.com/\"}", "", "AccessDeniedException", "" },
        { "{\"__type\":\"a#B\"}", "x-amzn-query-error: Other;Sender\r\n", "B", "" },
        { " \n{\"message\":\"m\"}", "X-Amzn-Query-Error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\n",
          "AWS.SimpleQueueService.NonExistentQueue", "m" },
        { "{\"message\":\"m\"}", "X-Amzn-ErrorType: ResourceNotFoundException:http://x/\r\n",
          "ResourceNotFoundException", "m" },
        { "{\"__type\":7,\"message\":[]}", "", "", "" },
        { "{}", "", "", "" },
        { "{\"__type\":\"cut", "", "", "" },
        { "{\"__type\":\"X\",\"message\":\"\\n first line\\nthe canonical request, with the token\"}", "", "X",
          "first line" },
        /* XML of the Query protocol and of S3 */
        { "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type><Code>NotFound"
          "</Code><Message>no topic</Message></Error><RequestId>1</RequestId></ErrorResponse>",
          "", "NotFound", "no topic" },
        { "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>gone &amp; lost</Message></Error>", "",
          "NoSuchKey", "gone & lost" },
        { "<ErrorResponse><Errors><Error><Code>C</Code><Message>m</Message></Error></Errors></ErrorResponse>", "", "C",
          "m" },
        { "<Error><Message>m</Message></Error>", "X-Amzn-ErrorType: T\r\n", "T", "m" },
        /* a proxy's answer, or an empty one */
        { "<html><body><h1>502 Bad Gateway</h1></body></html>", "", "", "" },
        { "<html><br>", "", "", "" },
        { "Service Unavailable", "", "", "" },
        { "", "", "", "" },
        { "[]", "", "", "" },
        { "", "x-amzn-errortype: Throttling\r\n", "Throttling", "" },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
        auto_aws_error struct aws_error error = AWS_ERROR_INIT;
        struct err err = ERR_INIT;
        buf_puts(&response.body, rows[i].body);
        buf_puts(&response.headers, rows[i].headers);
        CHECK_ROW(aws_error_parse(&response, &error, &err) == 0, "row %zu: %s", i, err.text);
        CHECK_ROW(strcmp(error.code, rows[i].code) == 0, "row %zu: code %s", i, error.code);
        CHECK_ROW(strcmp(buf_str(&error.message), rows[i].message) == 0, "row %zu: message %s", i,
                  buf_str(&error.message));
    }
}

static void test_long_code(void)
{
    auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
    auto_aws_error struct aws_error error = AWS_ERROR_INIT;
    buf_puts(&response.body, "{\"__type\":\"com#");
    for (int i = 0; i < 500; i++)
        buf_putc(&response.body, 'x');
    buf_puts(&response.body, "\"}");
    CHECK(aws_error_parse(&response, &error, NULL) == 0);
    CHECK(strlen(error.code) == AWS_ERROR_CODE_SIZE - 1);
}

/* The results of calls. */
static void test_results(void)
{
    static const struct {
        int status;
        const char *code;
        int result;
        const char *err_code;
        bool outage;
    } rows[] = {
        { 400, "RequestThrottled", LATER, "throttled", false },
        { 400, "ThrottlingException", LATER, "throttled", false },
        { 429, "Throttled", LATER, "throttled", false },
        { 429, "", LATER, "throttled", false },
        { 503, "SlowDown", LATER, "throttled", false },
        { 403, "OverLimit", LATER, "throttled", false },
        { 400, "KmsThrottled", LATER, "throttled", false },
        { 500, "", LATER, "service_unavailable", true },
        { 500, "InternalFailure", LATER, "service_unavailable", true },
        { 502, "", LATER, "service_unavailable", true },
        { 503, "ServiceUnavailable", LATER, "service_unavailable", true },
        { 504, "", LATER, "service_unavailable", true },
        { 505, "X", LATER, "service_unavailable", true },
        { 400, "RequestTimeout", LATER, "service_unavailable", true },
        { 403, "", LATER, "service_unavailable", true }, /* a proxy's */
        { 301, "", LATER, "service_unavailable", true },
        { 403, "InvalidSignatureException", LATER, "credentials_refused", true },
        { 403, "SignatureDoesNotMatch", LATER, "credentials_refused", true },
        { 403, "InvalidClientTokenId", LATER, "credentials_refused", true },
        { 403, "InvalidAccessKeyId", LATER, "credentials_refused", true },
        { 403, "ExpiredToken", LATER, "credentials_refused", true },
        { 400, "ExpiredTokenException", LATER, "credentials_refused", true },
        { 403, "AccessDenied", NEVER, "access_denied", false },
        { 400, "AccessDeniedException", NEVER, "access_denied", false },
        { 403, "AuthorizationError", NEVER, "access_denied", false },
        { 400, "InvalidParameterValue", NEVER, "aws_error", false },
        { 404, "NoSuchKey", NEVER, "aws_error", false },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        auto_aws_error struct aws_error error = AWS_ERROR_INIT;
        struct err err = ERR_INIT;
        strcpy(error.code, rows[i].code);
        int r = aws_error_result(&error, rows[i].status, "sqs X", &err);
        CHECK_ROW(r == rows[i].result && err_is(&err, rows[i].err_code) && err.outage == rows[i].outage,
                  "%d %s: %d %s %s", rows[i].status, rows[i].code, r, err.code, err.text);
    }
}

static void test_kinds(void)
{
    static const struct {
        int status;
        const char *code;
        enum retry_kind kind;
    } rows[] = {
        { 400, "Throttling", RETRY_THROTTLED },
        { 400, "TooManyRequestsException", RETRY_THROTTLED },
        { 503, "RequestLimitExceeded", RETRY_THROTTLED },
        { 503, "", RETRY_TRANSIENT },
        { 500, "SlowDown", RETRY_THROTTLED },
        { 400, "RequestTimeoutException", RETRY_TRANSIENT },
        { 501, "NotImplemented", RETRY_NONE },
        { 400, "QueueDoesNotExist", RETRY_NONE },
        { 400, "throttling", RETRY_NONE },
        { 0, "InternalError", RETRY_NONE },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        CHECK_ROW(aws_error_retry(rows[i].status, rows[i].code) == rows[i].kind, "%d %s", rows[i].status, rows[i].code);
    CHECK(aws_error_is_expired("ExpiredToken") && !aws_error_is_expired("RequestExpired"));
    CHECK(aws_error_is_skew("RequestTimeTooSkewed") && aws_error_is_skew("SignatureDoesNotMatch"));
    CHECK(!aws_error_is_skew("ExpiredToken"));
    CHECK(aws_error_is_content("InvalidMessageContents") && !aws_error_is_content("QueueDoesNotExist"));
    CHECK(aws_error_is_content("AWS.SimpleQueueService.BatchRequestTooLong"));
}

static bool parse_one(void *context)
{
    auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
    auto_aws_error struct aws_error error = AWS_ERROR_INIT;
    buf_puts(&response.body, context);
    if (buf_failed(&response.body))
        return false;
    int r = aws_error_parse(&response, &error, NULL);
    CHECK(r <= 0);
    return r == 0 && strcmp(error.code, "Throttling") == 0 && strcmp(buf_str(&error.message), "m") == 0;
}

int main(void)
{
    test_bodies();
    test_long_code();
    test_results();
    test_kinds();
    char json[] = "{\"__type\":\"a#Throttling\",\"message\":\"m\"}";
    char xml[] = "<ErrorResponse><Error><Code>Throttling</Code><Message>m</Message></Error></ErrorResponse>";
    test_failing_allocations(parse_one, json);
    test_failing_allocations(parse_one, xml);
    return test_end();
}
