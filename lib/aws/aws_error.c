#include "aws/aws_error.h"

#include <stdio.h>

#include "aws/xml.h"
#include "base/json.h"

void aws_error_clear(struct aws_error *error)
{
    buf_clear(&error->message);
    error->code[0] = '\0';
}

/* "com.amazonaws.sqs#QueueDoesNotExist", "AccessDeniedException:http://...", "InvalidParameterValue;Sender" */
static void set_code(struct aws_error *error, const char *text)
{
    size_t len = strcspn(text, ":;");
    const char *hash = memrchr(text, '#', len);
    if (hash) {
        len -= (size_t)(hash + 1 - text);
        text = hash + 1;
    }
    snprintf(error->code, sizeof(error->code), "%.*s", (int)(len < AWS_ERROR_CODE_SIZE ? len : AWS_ERROR_CODE_SIZE),
             text);
    err_make_printable(error->code);
}

/*
 * Only the first line. After it, SignatureDoesNotMatch quotes the canonical request with the session token, which must
 * not reach a log.
 */
static void set_message(struct aws_error *error, const char *text)
{
    text += strspn(text, "\r\n\t ");
    buf_add(&error->message, text, strcspn(text, "\r\n"));
}

static int parse_json(const struct buf *body, struct aws_error *error, struct err *err)
{
    auto_json cJSON *json = NULL;
    int r = json_parse(body->data, body->len, &json, err);
    if (r != 0)
        return r < 0 ? r : 0;
    const char *type = json_get_string(json, "__type");
    if (type)
        set_code(error, type);
    const char *message = json_get_string(json, "message");
    if (!message)
        message = json_get_string(json, "Message");
    if (message)
        set_message(error, message);
    return 0;
}

static int parse_xml(const struct buf *body, struct aws_error *error, struct err *err)
{
    static const char *const paths[] = { "ErrorResponse/Error", "Error", "ErrorResponse/Errors/Error" };
    static const char *const fields[] = { "Code", "Message", NULL };

    for (size_t i = 0; i < N_ELEMENTS(paths); i++) {
        auto_xml_rows struct xml_rows rows = XML_ROWS_INIT;
        int r = xml_rows(body->data, body->len, paths[i], fields, &rows, err);
        if (r != 0)
            return r < 0 ? r : 0;
        const char *code = xml_field(&rows, 0, 0), *message = xml_field(&rows, 0, 1);
        if (code)
            set_code(error, code);
        if (message)
            set_message(error, message);
        if (code)
            return 0;
    }
    return 0;
}

static void code_from_headers(const struct http_response *response, struct aws_error *error)
{
    static const char *const names[] = { "x-amzn-query-error", "x-amzn-errortype" };

    for (size_t i = 0; i < N_ELEMENTS(names) && !error->code[0]; i++) {
        auto_buf struct buf value = BUF_INIT;
        if (http_response_header(response, names[i], &value))
            set_code(error, buf_str(&value));
    }
}

int aws_error_parse(const struct http_response *response, struct aws_error *ret, struct err *err)
{
    aws_error_clear(ret);
    const char *text = buf_str(&response->body);
    char first = text[strspn(text, " \t\r\n")];
    int r = 0;
    if (first == '{')
        r = parse_json(&response->body, ret, err);
    else if (first == '<')
        r = parse_xml(&response->body, ret, err);
    if (r != 0)
        return r;
    if (!ret->code[0])
        code_from_headers(response, ret);
    return buf_failed(&ret->message) ? err_no_memory(err) : 0;
}

static bool is_one_of(const char *code, const char *const *codes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(code, codes[i]) == 0)
            return true;
    return false;
}

enum retry_kind aws_error_retry(int status, const char *code)
{
    static const char *const throttled[] = {
        "Throttling", "ThrottlingException", "ThrottledException", "Throttled", "RequestThrottled",
        "RequestThrottledException", "TooManyRequestsException", "ProvisionedThroughputExceededException",
        "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException", "SlowDown",
        "PriorRequestNotComplete",
        /* from a queue's KMS key, a topic's KMS key, and a queue with too many messages in flight */
        "KmsThrottled", "KMSThrottling", "OverLimit"
    };
    static const char *const transient[] = { "RequestTimeout", "RequestTimeoutException" };

    if (is_one_of(code, throttled, N_ELEMENTS(throttled)) || status == 429)
        return RETRY_THROTTLED;
    if (is_one_of(code, transient, N_ELEMENTS(transient)) || status == 500 || status == 502 || status == 503 ||
        status == 504)
        return RETRY_TRANSIENT;
    return RETRY_NONE;
}

bool aws_error_is_expired(const char *code)
{
    static const char *const expired[] = { "ExpiredToken", "ExpiredTokenException" };
    return is_one_of(code, expired, N_ELEMENTS(expired));
}

bool aws_error_is_skew(const char *code)
{
    static const char *const skew[] = { "RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException",
                                        "SignatureDoesNotMatch" };
    return is_one_of(code, skew, N_ELEMENTS(skew));
}

static bool is_about_credentials(const char *code)
{
    static const char *const credentials[] = { "ExpiredToken",
                                               "ExpiredTokenException",
                                               "IncompleteSignature",
                                               "IncompleteSignatureException",
                                               "InvalidAccessKeyId",
                                               "InvalidClientTokenId",
                                               "InvalidSignatureException",
                                               "InvalidToken",
                                               "MissingAuthenticationToken",
                                               "MissingAuthenticationTokenException",
                                               "RequestExpired",
                                               "RequestTimeTooSkewed",
                                               "SignatureDoesNotMatch",
                                               "UnrecognizedClientException" };
    return is_one_of(code, credentials, N_ELEMENTS(credentials));
}

static bool is_about_permission(const char *code)
{
    static const char *const permission[] = { "AccessDenied",       "AccessDeniedException",
                                              "AuthorizationError", "AuthorizationErrorException",
                                              "KMSAccessDenied",    "KmsAccessDenied",
                                              "NotAuthorized",      "OptInRequired" };
    return is_one_of(code, permission, N_ELEMENTS(permission));
}

int aws_error_result(const struct aws_error *error, int status, const char *name, struct err *err)
{
    const char *code = error->code;
    const char *message = buf_str(&error->message);
    if (!code[0] && !message[0])
        message = "the answer is not the service's own; does a proxy answer in its place?";

    enum retry_kind kind = aws_error_retry(status, code);
    if (kind == RETRY_THROTTLED)
        return err_later(err, "throttled", "%s: status %d %s: %s", name, status, code, message);
    if (kind == RETRY_TRANSIENT || status >= 500 || !code[0])
        return err_outage(err, "service_unavailable", "%s: status %d %s: %s", name, status, code, message);
    if (is_about_credentials(code))
        return err_outage(err, "credentials_refused", "%s: status %d %s: %s", name, status, code, message);
    if (is_about_permission(code))
        return err_never(err, "access_denied", "%s: status %d %s: %s", name, status, code, message);
    return err_never(err, "aws_error", "%s: status %d %s: %s", name, status, code, message);
}

bool aws_error_is_content(const char *code)
{
    static const char *const content[] = {
        "BatchRequestTooLong",       "InvalidMessageContents",         "InvalidParameter",     "InvalidParameterValue",
        "InvalidParameterException", "InvalidParameterValueException", "InvalidAttributeName", "InvalidAttributeValue",
        "MissingParameter",          "ParameterValueInvalid",          "ValidationError",      "ValidationException"
    };
    static const char prefix[] = "AWS.SimpleQueueService.";

    if (strncmp(code, prefix, sizeof(prefix) - 1) == 0)
        code += sizeof(prefix) - 1;
    return is_one_of(code, content, N_ELEMENTS(content));
}
