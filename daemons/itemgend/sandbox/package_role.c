#include "itemgend/sandbox/package_role.h"

enum { MARGIN_MS = 60000 }; /* for the start of the item, and clock differences */

struct package_role {
    struct creds_cache *creds;
};

void package_role_free(struct package_role *role)
{
    if (!role)
        return;
    creds_cache_free(role->creds);
    free(role);
}

static void free_role_pointer(struct package_role **role)
{
    package_role_free(*role);
}

static int64_t longest_ms(const struct itemgend_options *options, const struct packages *packages)
{
    int64_t longest = options->limits.time_ms;
    for (size_t i = 0; i < packages->n; i++)
        if (packages->list[i].limits.time_ms > longest)
            longest = packages->list[i].limits.time_ms;
    return longest;
}

int package_role_new(const struct itemgend_options *options, const struct packages *packages, struct aws *aws,
                     struct package_role **ret, struct err *err)
{
    const char *role_arn = options->package_role_arn;
    if (!role_arn || !*role_arn)
        return 0;
    cleanup(free_role_pointer) struct package_role *role = calloc(1, sizeof(*role));
    if (!role)
        return err_no_memory(err);
    const struct creds_role asked = { .role_arn = role_arn,
                                      .session_name = "itemgend",
                                      .lifetime_ms = longest_ms(options, packages) + MARGIN_MS };
    int r = aws_role_new(aws, &asked, &role->creds, err);
    if (r == 0)
        *ret = TAKE(role);
    return r;
}

int package_role_variables(struct package_role *role, struct aws_client *client, struct strv *variables,
                           struct err *err)
{
    if (!role)
        return 0;
    struct aws *aws = aws_client_aws(client);
    auto_creds struct creds creds = CREDS_INIT;
    struct err story = ERR_INIT;
    int r = creds_get(role->creds, aws_client_http(client), aws_now_ms(aws), &creds, &story);
    if (r == LATER && story.outage)
        return err_outage(err, "package_role_unavailable", "package_role_arn: %s", story.text);
    if (r != 0) {
        *err = story;
        return r;
    }
    strv_add(variables, "AWS_ACCESS_KEY_ID=%s", creds.access_key_id);
    strv_add(variables, "AWS_SECRET_ACCESS_KEY=%s", creds.secret_access_key);
    if (creds.session_token)
        strv_add(variables, "AWS_SESSION_TOKEN=%s", creds.session_token);
    strv_add(variables, "AWS_REGION=%s", aws_region(aws));
    strv_add(variables, "AWS_DEFAULT_REGION=%s", aws_region(aws));
    return variables->failed ? err_no_memory(err) : 0;
}
