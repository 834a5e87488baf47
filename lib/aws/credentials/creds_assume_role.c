#include "aws/credentials/creds_source.h"
#include "aws/credentials/sts.h"

enum { CHAIN_MAX = 16 }; /* roles, each assumed with the credentials of the next */

/* A profile with a token file uses web identity, which needs no other credentials. */
static bool assumes_role(const struct creds_lookup *lookup)
{
    return creds_setting(lookup, "role_arn") && !creds_setting(lookup, "web_identity_token_file");
}

static bool has_keys(const struct creds_lookup *lookup)
{
    return creds_setting(lookup, "aws_access_key_id") || creds_setting(lookup, "aws_secret_access_key");
}

static int config_error(const struct creds_lookup *lookup, struct err *err, const char *what, const char *detail)
{
    return err_never(err, "bad_credentials", "profile \"%s\": %s%s", lookup->profile_name, what, detail);
}

/* `next`: the lookup of the source_profile. A profile may name itself, to use its own keys. */
static int check_source_profile(const struct creds_lookup *lookup, const struct creds_lookup *next, struct err *err)
{
    if (!aws_profile_exists(next->profile, next->profile_name))
        return config_error(lookup, err, "its source_profile does not exist: ", next->profile_name);
    int depth = 0;
    for (const struct creds_lookup *at = lookup; at; at = at->from, depth++) {
        if (strcmp(at->profile_name, next->profile_name) == 0 && !(at == lookup && has_keys(next)))
            return config_error(lookup, err, "source_profile leads in a circle back to ", next->profile_name);
    }
    if (depth >= CHAIN_MAX)
        return config_error(lookup, err, "too many roles in a row at source_profile ", next->profile_name);
    return 0;
}

static int from_source_profile(const struct creds_lookup *lookup, const char *name, struct creds *ret, struct err *err)
{
    struct creds_lookup next = *lookup;
    next.profile_name = name;
    next.from = lookup;
    int r = check_source_profile(lookup, &next, err);
    if (r != 0)
        return r;
    if (assumes_role(&next) && !has_keys(&next))
        return creds_from_assumed_role(&next, ret, err);
    r = creds_from_profile(&next, ret, err);
    if (r == 0 && !ret->access_key_id)
        return config_error(lookup, err, "its source_profile has no credentials: ", name);
    return r;
}

static int from_credential_source(const struct creds_lookup *lookup, const char *name, struct creds *ret,
                                  struct err *err)
{
    int r;
    if (strcmp(name, "Environment") == 0)
        r = creds_from_environment(lookup, ret, err);
    else if (strcmp(name, "Ec2InstanceMetadata") == 0)
        r = creds_from_imds(lookup, ret, err);
    else if (strcmp(name, "EcsContainer") == 0)
        r = creds_from_container(lookup, ret, err);
    else
        return config_error(lookup, err,
                            "credential_source must be Environment, Ec2InstanceMetadata or EcsContainer, not ", name);
    if (r == 0 && !ret->access_key_id)
        return config_error(lookup, err, "its credential_source has no credentials: ", name);
    return r;
}

int creds_from_assumed_role(const struct creds_lookup *lookup, struct creds *ret, struct err *err)
{
    if (!assumes_role(lookup))
        return 0;
    const char *source_profile = creds_setting(lookup, "source_profile");
    const char *credential_source = creds_setting(lookup, "credential_source");
    if (creds_setting(lookup, "mfa_serial"))
        return config_error(lookup, err, "its role needs an MFA code (mfa_serial), which a service cannot enter; ",
                            "use a role without MFA");
    if (!source_profile == !credential_source)
        return config_error(lookup, err, "role_arn needs either source_profile or credential_source; the profile has ",
                            source_profile ? "both" : "neither");
    auto_creds struct creds with = CREDS_INIT;
    int r = source_profile ? from_source_profile(lookup, source_profile, &with, err)
                           : from_credential_source(lookup, credential_source, &with, err);
    if (r != 0)
        return r;
    const struct sts_role role = {
        .role_arn = creds_setting(lookup, "role_arn"),
        .session_name = creds_setting(lookup, "role_session_name"),
        .external_id = creds_setting(lookup, "external_id"),
        .duration_s = creds_setting(lookup, "duration_seconds"),
    };
    r = sts_assume_role(lookup, &role, &with, "assumed role", ret, err);
    if (r != 0)
        err_prefix(err, "profile \"%s\"", lookup->profile_name);
    return r;
}
