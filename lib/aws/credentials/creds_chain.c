#include "aws/credentials/creds_source.h"
#include "base/user.h"
#include "base/time.h"

enum { TRAIL_SHOWN = 700 }; /* bytes; leaves room in an err for the text around it */

typedef int creds_source_function(const struct creds_lookup *lookup, struct creds *ret, struct err *err);

/* Tries the sources in order. Stops at the first that has credentials or fails. */
static int first_of(creds_source_function *const *sources, size_t n, const struct creds_lookup *lookup,
                    struct creds *ret, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        int r = sources[i](lookup, ret, err);
        if (r != 0 || ret->access_key_id)
            return r;
    }
    return 0;
}

int creds_from_environment(const struct creds_lookup *lookup, struct creds *ret, struct err *err)
{
    const char *token = user_variable("AWS_SESSION_TOKEN");
    const struct creds_parts parts = {
        .access_key_id = user_variable("AWS_ACCESS_KEY_ID"),
        .secret_access_key = user_variable("AWS_SECRET_ACCESS_KEY"),
        .session_token = token ? token : user_variable("AWS_SECURITY_TOKEN"),
        .expiration = user_variable("AWS_CREDENTIAL_EXPIRATION"),
        .source = "environment",
        .place = "environment",
    };
    if (!parts.access_key_id) {
        creds_note(lookup, "environment: AWS_ACCESS_KEY_ID is not set%s",
                   parts.secret_access_key ? ", though AWS_SECRET_ACCESS_KEY is" : "");
        return 0;
    }
    if (!parts.secret_access_key)
        return err_never(err, "bad_credentials",
                         "environment: AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; set both or neither");
    return creds_fill(&parts, ret, err);
}

static int from_file(const struct creds_lookup *lookup, enum aws_file file, const char *source, struct creds *ret,
                     struct err *err)
{
    const struct aws_profile *profile = lookup->profile;
    const char *name = lookup->profile_name;
    const char *id = aws_profile_get_from(profile, file, name, "aws_access_key_id");
    const char *secret = aws_profile_get_from(profile, file, name, "aws_secret_access_key");
    const char *token = aws_profile_get_from(profile, file, name, "aws_session_token");
    if (!token)
        token = aws_profile_get_from(profile, file, name, "aws_security_token");
    if (!id) {
        if (secret)
            creds_note(lookup, "profile \"%s\" in %s: aws_secret_access_key without aws_access_key_id", name,
                       aws_profile_path(profile, file));
        return 0;
    }
    auto_buf struct buf place = BUF_INIT;
    buf_printf(&place, "profile \"%s\" in %s", name, aws_profile_path(profile, file));
    const struct creds_parts parts = {
        .access_key_id = id,
        .secret_access_key = secret,
        .session_token = token,
        .source = source,
        .place = buf_str(&place),
    };
    if (!secret)
        return err_never(err, "bad_credentials",
                         "%s: aws_access_key_id without aws_secret_access_key; write both into "
                         "the same file",
                         parts.place);
    return creds_fill(&parts, ret, err);
}

int creds_from_credentials_file(const struct creds_lookup *lookup, struct creds *ret, struct err *err)
{
    return from_file(lookup, AWS_FILE_CREDENTIALS, "credentials file", ret, err);
}

int creds_from_config_file(const struct creds_lookup *lookup, struct creds *ret, struct err *err)
{
    return from_file(lookup, AWS_FILE_CONFIG, "config file", ret, err);
}

/* The credentials of an `aws login` session are bound to a key of the tool that signed in. */
static int reject_login_session(const struct creds_lookup *lookup, struct creds *ret, struct err *err)
{
    (void)ret;
    if (!creds_setting(lookup, "login_session"))
        return 0;
    return err_never(err, "bad_credentials",
                     "profile \"%s\": sessions of `aws login` cannot be used here; set credential_process = aws "
                     "configure export-credentials --profile %s --format process in another profile",
                     lookup->profile_name, lookup->profile_name);
}

static void note_profile(const struct creds_lookup *lookup)
{
    const struct aws_profile *profile = lookup->profile;
    if (aws_profile_exists(profile, lookup->profile_name)) {
        creds_note(lookup,
                   "profile \"%s\": no keys, role_arn, web_identity_token_file, SSO or credential_process in it",
                   lookup->profile_name);
        return;
    }
    const char *credentials = aws_profile_trouble(profile, AWS_FILE_CREDENTIALS);
    const char *config = aws_profile_trouble(profile, AWS_FILE_CONFIG);
    creds_note(lookup, "profile \"%s\": %s (%s), %s (%s)", lookup->profile_name,
               aws_profile_path(profile, AWS_FILE_CREDENTIALS), credentials ? credentials : "has no such profile",
               aws_profile_path(profile, AWS_FILE_CONFIG), config ? config : "has no such profile");
}

int creds_from_profile(const struct creds_lookup *lookup, struct creds *ret, struct err *err)
{
    static creds_source_function *const sources[] = {
        creds_from_web_identity, creds_from_sso,     creds_from_credentials_file,
        reject_login_session,    creds_from_process, creds_from_config_file,
    };
    int r = first_of(sources, N_ELEMENTS(sources), lookup, ret, err);
    if (r == 0 && !ret->access_key_id)
        note_profile(lookup);
    return r;
}

static int from_environment_unless_explicit(const struct creds_lookup *lookup, struct creds *ret, struct err *err)
{
    if (!aws_profile_is_explicit(lookup->profile))
        return creds_from_environment(lookup, ret, err);
    creds_note(lookup, "environment: skipped, because AWS_PROFILE names a profile");
    return 0;
}

int creds_chain(const struct creds_lookup *lookup, struct creds *ret, struct err *err)
{
    static creds_source_function *const sources[] = {
        from_environment_unless_explicit,
        creds_from_assumed_role,
        creds_from_profile,
        creds_from_container,
        creds_from_imds,
    };
    int r = first_of(sources, N_ELEMENTS(sources), lookup, ret, err);
    if (r == 0 && ret->access_key_id && ret->expires_at_ms <= lookup->now_ms) {
        char time[TIME_TEXT_SIZE];
        time_format_rfc3339(ret->expires_at_ms, time);
        r = err_never(err, "bad_credentials", "%s: the credentials expired at %s", ret->source, time);
        creds_clear(ret);
    }
    if (r < 0 || (r == 0 && ret->access_key_id) || (r == LATER && err_is(err, "interrupted")))
        return r;
    if (buf_failed(lookup->trail))
        return err_no_memory(err);
    const char *trail = buf_str(lookup->trail);
    if (r == 0)
        return err_outage(err, "no_credentials",
                          "no AWS credentials: %.*s. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile "
                          "in AWS_PROFILE, or give this host or task a role",
                          TRAIL_SHOWN, trail);
    return err_outage(err, "no_credentials", "no AWS credentials: %s%s%.*s%s", err->text,
                      *trail ? " (tried before: " : "", TRAIL_SHOWN, trail, *trail ? ")" : "");
}
