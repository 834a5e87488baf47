#include "aws/credentials/creds_source.h"
#include "aws/credentials/sts.h"
#include "base/user.h"

enum { TOKEN_MAX = 64 * 1024 }; /* bytes; STS accepts 20000 characters */

/* Environment variables do not apply to source profiles, nor if AWS_PROFILE names a profile. */
static bool uses_environment(const struct creds_lookup *lookup)
{
    return !lookup->from && !aws_profile_is_explicit(lookup->profile);
}

static const char *web_setting(const struct creds_lookup *lookup, const char *variable, const char *key)
{
    const char *value = uses_environment(lookup) ? user_variable(variable) : NULL;
    return value ? value : creds_setting(lookup, key);
}

/* Reads the file each time, because the token is renewed in place. */
static int read_web_token(const char *path, struct buf *ret, struct err *err)
{
    auto_buf struct buf expanded = BUF_INIT;
    int error_number = 0;
    int r = user_path(path, &expanded, err);
    if (r == 0)
        r = user_read_file(buf_str(&expanded), TOKEN_MAX, ret, &error_number, err);
    if (r != 0)
        return r;
    while (ret->len > 0 && strchr(" \t\r\n", ret->data[ret->len - 1]))
        ret->data[--ret->len] = '\0';
    return ret->len > 0 ? 0 : err_never(err, "bad_credentials", "%s is empty", path);
}

int creds_from_web_identity(const struct creds_lookup *lookup, struct creds *ret, struct err *err)
{
    const char *path = web_setting(lookup, "AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file");
    if (!path) {
        if (uses_environment(lookup))
            creds_note(lookup, "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set");
        return 0;
    }
    struct sts_role role = {
        .role_arn = web_setting(lookup, "AWS_ROLE_ARN", "role_arn"),
        .session_name = web_setting(lookup, "AWS_ROLE_SESSION_NAME", "role_session_name"),
    };
    if (!role.role_arn)
        return err_never(err, "bad_credentials",
                         "web identity: the token file %s is set, but neither AWS_ROLE_ARN nor role_arn is", path);
    auto_buf struct buf token = BUF_INIT;
    int r = read_web_token(path, &token, err);
    if (r == 0) {
        role.web_identity_token = buf_str(&token);
        r = sts_assume_role(lookup, &role, NULL, "web identity", ret, err);
    }
    if (r != 0)
        err_prefix(err, "web identity");
    return r;
}
