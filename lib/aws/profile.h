/*
 * profile: the shared config and credentials files and the environment, read once at start.
 *
 * AWS_CONFIG_FILE (~/.aws/config), AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials), AWS_PROFILE
 * or AWS_DEFAULT_PROFILE; "Shared config and credentials files" in the AWS SDKs and Tools Reference Guide.
 */
#ifndef AWS_PROFILE_H
#define AWS_PROFILE_H

#include "base/err.h"

struct aws_profile;

/* Reads both files; one that is not there is empty. NEVER: a line that is no INI, an unknown explicit profile; file and
 * line named. */
int aws_profile_load(struct aws_profile **ret, struct err *err) must_check;
void aws_profile_free(struct aws_profile *profile);

/* The profile's name ("default") and whether AWS_PROFILE named it. */
const char *aws_profile_name(const struct aws_profile *profile);
bool aws_profile_is_explicit(const struct aws_profile *profile);

/*
 * A setting of a profile (NULL: the current one), from the credentials file first, then the config file; NULL: not set.
 * `section` NULL, or a nested section as in "services NAME / sqs / endpoint_url".
 */
const char *aws_profile_get(const struct aws_profile *profile, const char *name, const char *key);

/* The region: AWS_REGION, AWS_DEFAULT_REGION, the profile's region; NULL: none. */
const char *aws_profile_region(const struct aws_profile *profile);

/*
 * The endpoint override for a service id ("sqs", "sns", "s3", "secretsmanager", "sts"):
 * AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's services section, the profile's
 * endpoint_url; NULL: AWS's own. AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true: NULL always.
 */
const char *aws_profile_endpoint(const struct aws_profile *profile, const char *service);

#endif
