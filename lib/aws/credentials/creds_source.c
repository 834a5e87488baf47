#include "aws/credentials/creds_source.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/time.h"

const char *creds_setting(const struct creds_lookup *lookup, const char *key)
{
    const char *value = aws_profile_get(lookup->profile, lookup->profile_name, key);
    return value && *value ? value : NULL;
}

void creds_note(const struct creds_lookup *lookup, const char *format, ...)
{
    char text[ERR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buf_printf(lookup->trail, "%s%s", lookup->trail->len > 0 ? "; " : "", text);
}

bool creds_parse_expiration(const char *text, int64_t *ret_ms)
{
    size_t len = strlen(text);
    char copy[TIME_TEXT_SIZE + 4];
    if (len > TIME_TEXT_SIZE)
        return false;
    memcpy(copy, text, len + 1);
    if (len > 3 && strcmp(copy + len - 3, "UTC") == 0) {
        strcpy(copy + len - 3, "Z");
    } else if (len > 5 && strchr("+-", copy[len - 5]) && !strchr(copy + len - 5, ':')) {
        memmove(copy + len - 1, copy + len - 2, 3);
        copy[len - 2] = ':';
    }
    int64_t us = 0;
    if (!time_parse_rfc3339(copy, &us))
        return false;
    *ret_ms = us / 1000;
    return true;
}

/* Header values must be visible ASCII: a line break would begin another header. */
static bool fits_header(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

static const char *fault_of(const struct creds_parts *parts)
{
    if (!parts->access_key_id || !*parts->access_key_id)
        return "no access key id";
    if (!parts->secret_access_key || !*parts->secret_access_key)
        return "no secret access key";
    if (!fits_header(parts->access_key_id))
        return "an access key id with blanks or control characters";
    if (parts->session_token && !fits_header(parts->session_token))
        return "a session token with blanks or control characters";
    return NULL;
}

int creds_fill(const struct creds_parts *parts, struct creds *ret, struct err *err)
{
    const char *fault = fault_of(parts);
    if (fault)
        return err_never(err, "bad_credentials", "%s: %s", parts->place, fault);
    int64_t expires_at_ms = INT64_MAX;
    if (parts->expiration && *parts->expiration && !creds_parse_expiration(parts->expiration, &expires_at_ms))
        return err_never(err, "bad_credentials", "%s: the expiration \"%.40s\" is not an RFC 3339 time", parts->place,
                         parts->expiration);
    bool has_token = parts->session_token && *parts->session_token;
    auto_creds struct creds creds = {
        .access_key_id = strdup(parts->access_key_id),
        .secret_access_key = strdup(parts->secret_access_key),
        .session_token = has_token ? strdup(parts->session_token) : NULL,
        .expires_at_ms = expires_at_ms,
        .source = parts->source,
    };
    if (!creds.access_key_id || !creds.secret_access_key || (has_token && !creds.session_token))
        return err_no_memory(err);
    *ret = creds;
    creds = (struct creds)CREDS_INIT;
    return 0;
}

static void wipe_tree(const cJSON *node)
{
    for (; node; node = node->next) {
        if (node->valuestring)
            explicit_bzero(node->valuestring, strlen(node->valuestring));
        wipe_tree(node->child);
    }
}

void creds_json_free(cJSON **json)
{
    wipe_tree(*json);
    cJSON_Delete(*json);
}

int creds_json_parse(const struct buf *json, const char *place, cJSON **ret, struct err *err)
{
    /* Without an err, whose text could quote a secret. */
    int r = json_parse(buf_str(json), json->len, ret, NULL);
    if (r < 0)
        return err_no_memory(err);
    return r == 0 ? 0 : err_never(err, "bad_credentials", "%s: the answer is not JSON", place);
}

struct creds_parts creds_parts_in(const cJSON *json, const char *token_name)
{
    return (struct creds_parts){
        .access_key_id = json_get_string(json, "AccessKeyId"),
        .secret_access_key = json_get_string(json, "SecretAccessKey"),
        .session_token = json_get_string(json, token_name),
        .expiration = json_get_string(json, "Expiration"),
    };
}
