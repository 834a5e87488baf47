/*
 * creds: AWS credentials from where AWS's own tools look for them, cached and refreshed ahead of expiry.
 *
 * The chain is botocore's ("Standardized credential providers", AWS SDKs and Tools Reference
 * Guide): environment; the profile's role_arn (source_profile, credential_source); web identity;
 * the profile's SSO, keys in the credentials file, credential_process, keys in the config file; ECS/EKS
 * container endpoint; IMDSv2. An explicit AWS_PROFILE skips the environment's keys and web identity, as
 * `aws --profile` does. What is configured but does not work ends the chain: another identity than
 * the one that was asked for is not a substitute.
 */
#ifndef AWS_CREDS_H
#define AWS_CREDS_H

#include "aws/credentials/profile.h"
#include "http/http.h"

/* One set of credentials; owned strings, wiped by creds_clear. */
struct creds {
    char *access_key_id;
    char *secret_access_key;
    char *session_token;   /* NULL: long-lived keys */
    int64_t expires_at_ms; /* INT64_MAX: never */
    const char *source;    /* a literal for the log: "environment", "assumed role", ...: lib/aws/creds_source.h */
};
#define CREDS_INIT            \
    {                         \
        .access_key_id = NULL \
    }
void creds_clear(struct creds *creds);
#define auto_creds cleanup(creds_clear)

/*
 * The process's cache, safe for many threads. `profile` is borrowed until creds_cache_free. `region` is where STS is
 * asked (copied); NULL: the profile's, or that of the role's partition.
 */
struct creds_cache;
int creds_cache_new(const struct aws_profile *profile, const char *region, struct creds_cache **ret, struct err *err)
    must_check;
void creds_cache_free(struct creds_cache *cache);

/* A role whose credentials somebody else is to get. */
struct creds_role {
    const char *role_arn, *session_name;
    int64_t lifetime_ms; /* what is given out lasts for at least so long; at most 11.5 h */
};
/*
 * A cache of the role's credentials, which those of `with` assume; `with` outlives it. Of its creds_get: refreshed
 * 15 min before what is left falls below lifetime_ms. LATER, an outage: "role_unavailable", with STS's words.
 */
int creds_cache_new_role(struct creds_cache *with, const struct creds_role *role, struct creds_cache **ret,
                         struct err *err) must_check;

/*
 * A copy of the current credentials in `ret` (the caller's to clear). Refreshed 15 min before
 * expiry by one thread while others go on with the old; within 10 min of it they wait for that thread. A failed
 * refresh keeps the old until they expire, and is tried again after a minute. `http` is the calling thread's.
 * LATER (outage): "no_credentials", naming each place that was looked at and what it said; LATER: "interrupted", the
 * stop descriptor of `http`.
 */
int creds_get(struct creds_cache *cache, struct http *http, int64_t now_ms, struct creds *ret, struct err *err)
    must_check;

/*
 * The service refused `access_key_id` as expired: the next creds_get reads the shared files again and fetches anew,
 * so that keys which something else renews in a file are found.
 */
void creds_expire(struct creds_cache *cache, const char *access_key_id);

#endif
