/*
 * creds_source: the places that credentials come from, and what they share. Internal to lib/aws.
 *
 * A source is a function of a lookup. 0 with ret->access_key_id set: found. 0 without: nothing is configured
 * there, and the trail says so where a user could have expected something. NEVER, LATER: it is configured and does not
 * work; err's text names the place, what it said and the next step, and the chain ends. Secrets, and the paths of
 * container endpoints, are in no text.
 */
#ifndef AWS_CREDS_SOURCE_H
#define AWS_CREDS_SOURCE_H

#include "aws/credentials/creds.h"
#include "base/json.h"

struct creds_lookup {
    const struct aws_profile *profile;
    const char *profile_name; /* whose settings count */
    const char *region;       /* of STS; NULL: the profile's */
    struct http *http;
    int64_t now_ms;
    struct buf *trail; /* what was looked at, "; " between */
    /* The lookup of the profile whose source_profile this one is; NULL: the chain's own. */
    const struct creds_lookup *from;
};

/* Each of them a source. */
int creds_from_environment(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_assumed_role(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_web_identity(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_sso(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_credentials_file(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_process(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_config_file(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_container(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
int creds_from_imds(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;

/* What a profile itself can have, without a role to assume: web identity, SSO, keys, process. */
int creds_from_profile(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;
/* The whole chain. LATER: "no_credentials" with outage, or "interrupted". */
int creds_chain(const struct creds_lookup *lookup, struct creds *ret, struct err *err) must_check;

/* A setting of the lookup's profile, or NULL where it is not set or empty. */
const char *creds_setting(const struct creds_lookup *lookup, const char *key);
/* Adds to the trail. */
void creds_note(const struct creds_lookup *lookup, const char *format, ...) printf_like(2, 3);

/* What a source was given, not checked yet. */
struct creds_parts {
    const char *access_key_id, *secret_access_key;
    const char *session_token; /* NULL, "": none */
    const char *expiration;    /* NULL, "": never expires */
    const char *source;        /* a literal */
    const char *place;         /* begins the text of an error */
};
/* Copies them. NEVER: one is missing, could not be sent in a header, or is no time. */
int creds_fill(const struct creds_parts *parts, struct creds *ret, struct err *err) must_check;

/* json_parse with an error text that quotes nothing; a tree that is wiped when it goes. */
int creds_json_parse(const struct buf *json, const char *place, cJSON **ret, struct err *err) must_check;
void creds_json_free(cJSON **json);
#define auto_creds_json cleanup(creds_json_free)
/* The parts in an object's AccessKeyId, SecretAccessKey, Expiration and the token by its name there; they live in it.
 */
struct creds_parts creds_parts_in(const cJSON *json, const char *token_name);

/* A point in time as these services write it: RFC 3339, also with "UTC" or "+0000" for the zone. */
bool creds_parse_expiration(const char *text, int64_t *ret_ms) must_check;

/* Whether `region` can be a part of a host name. */
bool creds_is_region(const char *region);
/* Appends an AWS service's URL: the override for `service`, or https://HOST.REGION.amazonaws.com, no '/' at the end. */
void creds_endpoint(const struct creds_lookup *lookup, const char *service, const char *host, const char *region,
                    struct buf *ret);

/* How often, and for how long. */
struct creds_tries {
    int attempts;
    int timeout_ms; /* of each */
    bool no_proxy;
};
enum { CREDS_RESPONSE_MAX = 64 * 1024 };
/*
 * http_do, tried again after a pause where no answer came, or one that asks for it (5xx, throttled). The results are
 * http_do's, of the last attempt. Sets the request's time limit, response limit and no_proxy.
 */
int creds_request(const struct creds_lookup *lookup, const struct http_request *request,
                  const struct creds_tries *tries, struct http_response *ret, struct err *err) must_check;

/* Appends the URL of the container endpoint that the two variables give. NEVER: one that keys must not be taken from.
 */
int creds_container_url(const char *relative_uri, const char *full_uri, struct buf *ret, struct err *err) must_check;

#endif
