/*
 * creds: AWS credentials, found where AWS's own tools find them, cached and refreshed before they expire.
 *
 * The order is botocore's ("Standardized credential providers", AWS SDKs and Tools Reference Guide):
 *   1. environment variables
 *   2. the profile's role_arn (source_profile, credential_source)
 *   3. web identity
 *   4. the profile's SSO, keys in the credentials file, credential_process, keys in the config file
 *   5. the container endpoint of ECS and EKS
 *   6. instance metadata (IMDSv2)
 * - An explicit AWS_PROFILE skips keys and web identity from the environment, as `aws --profile` does.
 * - A source that is configured but fails ends the search: another identity is not a substitute for the one configured.
 */
#ifndef AWS_CREDS_H
#define AWS_CREDS_H

#include "aws/credentials/profile.h"
#include "http/http.h"

/* One set of credentials. Owns its strings; creds_clear wipes them. */
struct creds {
    char *access_key_id;
    char *secret_access_key;
    char *session_token;   /* NULL: long-lived keys */
    int64_t expires_at_ms; /* INT64_MAX: never */
    const char *source;    /* a literal for the log: "environment", "assumed role", ... */
};
#define CREDS_INIT            \
    {                         \
        .access_key_id = NULL \
    }
void creds_clear(struct creds *creds);
#define auto_creds cleanup(creds_clear)

/*
 * The process's cache. Thread-safe.
 * - `profile`: borrowed until creds_cache_free.
 * - `region`: of the STS endpoint (copied). NULL: the profile's, otherwise a region of the role's partition.
 */
struct creds_cache;
int creds_cache_new(const struct aws_profile *profile, const char *region, struct creds_cache **ret, struct err *err)
    must_check;
void creds_cache_free(struct creds_cache *cache);

/* A role whose credentials are for another program, for example package code. */
struct creds_role {
    const char *role_arn, *session_name;
    int64_t lifetime_ms; /* creds_get returns credentials that last at least this long; at most 11.5 h */
};
/*
 * A cache of the role's credentials. The credentials of `with`, which must outlive it, assume the role.
 * Its creds_get differs:
 * - It refreshes 15 min before the remaining lifetime falls below lifetime_ms.
 * - LATER with outage: "role_unavailable", with STS's message.
 */
int creds_cache_new_role(struct creds_cache *with, const struct creds_role *role, struct creds_cache **ret,
                         struct err *err) must_check;

/*
 * Copies the current credentials to `ret`, which the caller clears. `http`: the calling thread's.
 * - From 15 min before expiry, one thread refreshes and the others use the old credentials. From 10 min before expiry
 *   they wait for it.
 * - If a refresh fails, the old credentials stay in use until they expire; the next try is a minute later.
 * - LATER with outage: "no_credentials"; the text names each source and its failure.
 * - LATER: "interrupted", by the stop descriptor of `http`.
 */
int creds_get(struct creds_cache *cache, struct http *http, int64_t now_ms, struct creds *ret, struct err *err)
    must_check;

/*
 * Call when a service rejects `access_key_id` as expired. The next creds_get reads the shared files again, because
 * another program may have renewed the keys there, and fetches new credentials.
 */
void creds_expire(struct creds_cache *cache, const char *access_key_id);

#endif
