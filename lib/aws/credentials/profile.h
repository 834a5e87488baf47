/*
 * profile: settings from AWS's shared files and the environment.
 *
 * - Files: AWS_CONFIG_FILE (~/.aws/config), AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials); see ini.h.
 * - Profile: AWS_PROFILE or AWS_DEFAULT_PROFILE, otherwise "default".
 * - An empty variable counts as not set.
 * - From "Shared config and credentials files" in the AWS SDKs and Tools Reference Guide.
 */
#ifndef AWS_PROFILE_H
#define AWS_PROFILE_H

#include "base/buf.h"
#include "base/err.h"

struct aws_profile;

enum { AWS_PROFILE_FILE_MAX = 1024 * 1024 }; /* bytes */

/*
 * Reads both files.
 * - A missing file counts as empty; so does a file at its default place that this user may not read.
 * - NEVER: "bad_aws_config" (a line is not INI, with file and line; or a file named by a variable cannot be read);
 *   "unknown_profile" (AWS_PROFILE names a profile that neither file has).
 */
int aws_profile_load(struct aws_profile **ret, struct err *err) must_check;
void aws_profile_free(struct aws_profile *profile);
static inline void aws_profile_free_pointer(struct aws_profile **profile)
{
    aws_profile_free(*profile);
}
#define auto_aws_profile cleanup(aws_profile_free_pointer)

/* The profile's name, and whether AWS_PROFILE or AWS_DEFAULT_PROFILE names it. */
const char *aws_profile_name(const struct aws_profile *profile);
bool aws_profile_is_explicit(const struct aws_profile *profile);
/* True if either file has the profile. */
bool aws_profile_exists(const struct aws_profile *profile, const char *name);

/*
 * A setting of a profile, from the credentials file or else from the config file. NULL: not set.
 * `name` NULL: the current profile.
 */
const char *aws_profile_get(const struct aws_profile *profile, const char *name, const char *key);

/* The same from one of the files only: the two parts of a key must be in the same file. */
enum aws_file { AWS_FILE_CREDENTIALS, AWS_FILE_CONFIG };
const char *aws_profile_get_from(const struct aws_profile *profile, enum aws_file file, const char *name,
                                 const char *key);
/* For error texts: the file's path, and why it counts as empty ("does not exist") or NULL. */
const char *aws_profile_path(const struct aws_profile *profile, enum aws_file file);
const char *aws_profile_trouble(const struct aws_profile *profile, enum aws_file file);

/* A setting of [sso-session NAME], or NULL. *ret_exists: whether the section exists. */
const char *aws_profile_sso_session(const struct aws_profile *profile, const char *name, const char *key,
                                    bool *ret_exists);

/* The region: AWS_REGION, AWS_DEFAULT_REGION, the profile's region; NULL: none. */
const char *aws_profile_region(const struct aws_profile *profile);

/*
 * The endpoint override for a service id ("sqs", "sns", "s3", "secretsmanager", "sts"):
 * AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's services section, the profile's
 * endpoint_url. NULL: none, or AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true.
 */
const char *aws_profile_endpoint(const struct aws_profile *profile, const char *service);

/*
 * Appends a service's URL without a '/' at the end: its override, or https://HOST.REGION.amazonaws.com
 * (amazonaws.com.cn in China).
 */
void aws_profile_service_url(const struct aws_profile *profile, const char *service, const char *host,
                             const char *region, struct buf *ret);

/* True if `text` can be a region. A region becomes part of host names and signatures: nothing else may get in. */
bool aws_is_region(const char *text);

#endif
