/*
 * creds_source: the sources of credentials, and their shared helpers. Internal to lib/aws/credentials.
 *
 * A source is a function of a lookup. It returns:
 * - 0 with ret->access_key_id set: credentials found.
 * - 0 without: the source is not configured. It may add a note to the trail.
 * - NEVER, LATER: it is configured but fails, which ends the search. The text names the source, its answer and the next
 *   step.
 * No text contains secrets or the path of a container endpoint.
 */
#ifndef AWS_CREDS_SOURCE_H
#define AWS_CREDS_SOURCE_H

#include "aws/credentials/creds.h"
#include "base/json.h"

struct creds_lookup {
    const struct aws_profile *profile;
    const char *profile_name; /* the profile to read settings from */
    const char *region;       /* of STS; NULL: the profile's */
    struct http *http;
    int64_t now_ms;
    struct buf *trail; /* notes on the sources tried, separated by "; " */
    /* The lookup whose source_profile led to this one; NULL: this is the first. */
    const struct creds_lookup *from;
};

/* The sources. */
int creds_from_environment(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_assumed_role(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_web_identity(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_sso(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_credentials_file(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_process(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_config_file(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_container(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_imds(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;

/* The sources within a profile, except role_arn: web identity, SSO, keys, credential_process. */
int creds_from_profile(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
/* All sources in order. LATER: "no_credentials" with outage, or "interrupted". */
int creds_chain(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;

/* A setting of the lookup's profile. NULL: not set, or empty. */
const char *creds_setting(const struct creds_lookup *lookup, const char *key);
/* Adds a note to the trail. */
void creds_note(const struct creds_lookup *lookup, const char *format, ...) printf_like(2, 3);

/* Credentials as a source has them, not checked yet. */
struct creds_parts {
    const char *access_key_id, *secret_access_key;
    const char *session_token; /* NULL, "": none */
    const char *expiration;    /* NULL, "": they never expire */
    const char *source;        /* a literal */
    const char *place;         /* begins the text of an error */
};
/* Checks and copies them. NEVER: a part is missing, a header cannot carry it, or the expiration is not a time. */
int creds_fill(const struct creds_parts *parts, struct creds *ret, struct err *err) must_check;

/* json_parse, but the error text quotes nothing. creds_json_free wipes the tree. */
int creds_json_parse(const struct buf *json, const char *place, cJSON **ret, struct err *err) must_check;
void creds_json_free(cJSON **json);
#define auto_creds_json cleanup(creds_json_free)
/* The members AccessKeyId, SecretAccessKey, Expiration and `token_name` of an object, borrowed from it. */
struct creds_parts creds_parts_in(const cJSON *json, const char *token_name);

/* Reads a time as these services write it: RFC 3339, also with "UTC" or "+0000" as its zone. */
bool creds_parse_expiration(const char *text, int64_t *ret_ms) must_check;

/* Attempts and time limit of a creds_request. */
struct creds_tries {
    int attempts;
    int timeout_ms; /* of each attempt */
    bool no_proxy;
};
enum { CREDS_RESPONSE_MAX = 64 * 1024 };
/*
 * http_do with retries after a missing answer, a 5xx or a throttling code. Returns the last attempt's result.
 * Sets the request's time limit, size limit and no_proxy.
 */
int creds_request(const struct creds_lookup *lookup, const struct http_request *request,
                  const struct creds_tries *tries, struct http_response *ret, struct err *err) must_check;

/* Appends the URL of the container endpoint named by the two variables. NEVER: keys must not be fetched from there. */
int creds_container_url(const char *relative_uri, const char *full_uri, struct buf *ret, struct err *err) must_check;

#endif
