/*
 * profile: the shared config and credentials files and the environment, read once at start.
 *
 * AWS_CONFIG_FILE (~/.aws/config), AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials), AWS_PROFILE
 * or AWS_DEFAULT_PROFILE; "Shared config and credentials files" in the AWS SDKs and Tools Reference Guide.
 * The rules of their text are in lib/aws/ini.h. A variable that is set to nothing is not set.
 */
#ifndef AWS_PROFILE_H
#define AWS_PROFILE_H

#include "base/err.h"

struct aws_profile;

enum { AWS_PROFILE_FILE_MAX = 1024 * 1024 }; /* bytes */

/*
 * Reads both files; one that is not there is empty, and so is one at its default place that this user may not read.
 * NEVER: "bad_aws_config" (a line that is no INI: file and line named; a named file that cannot be read) or
 * "unknown_profile" (an explicit profile that is in neither).
 */
int aws_profile_load(struct aws_profile **ret, struct err *err) must_check;
void aws_profile_free(struct aws_profile *profile);
static inline void aws_profile_free_pointer(struct aws_profile **profile)
{
    aws_profile_free(*profile);
}
#define auto_aws_profile cleanup(aws_profile_free_pointer)

/* The profile's name ("default") and whether AWS_PROFILE named it. */
const char *aws_profile_name(const struct aws_profile *profile);
bool aws_profile_is_explicit(const struct aws_profile *profile);
/* Whether either file has the profile. */
bool aws_profile_exists(const struct aws_profile *profile, const char *name);

/*
 * A setting of a profile (`name` NULL: the current one), from the credentials file first, then the config file;
 * NULL: not set.
 */
const char *aws_profile_get(const struct aws_profile *profile, const char *name, const char *key);

/* The same from one of the files: keys are taken from where they stand together. */
enum aws_file { AWS_FILE_CREDENTIALS, AWS_FILE_CONFIG };
const char *aws_profile_get_from(const struct aws_profile *profile, enum aws_file file, const char *name,
                                 const char *key);
/* The file's path, and what is wrong with it ("not there", ...) or NULL: for error texts. */
const char *aws_profile_path(const struct aws_profile *profile, enum aws_file file);
const char *aws_profile_trouble(const struct aws_profile *profile, enum aws_file file);

/* A setting of [sso-session NAME]. *ret_exists tells whether there is such a section. */
const char *aws_profile_sso_session(const struct aws_profile *profile, const char *name, const char *key,
                                    bool *ret_exists);

/* The region: AWS_REGION, AWS_DEFAULT_REGION, the profile's region; NULL: none. */
const char *aws_profile_region(const struct aws_profile *profile);

/*
 * The endpoint override for a service id ("sqs", "sns", "s3", "secretsmanager", "sts"):
 * AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's services section, the profile's
 * endpoint_url; NULL: AWS's own. AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true: NULL always.
 */
const char *aws_profile_endpoint(const struct aws_profile *profile, const char *service);

#endif
