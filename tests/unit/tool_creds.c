/*
 * creds: prints the credentials that lib/aws finds in this environment.
 *
 *     build/tests/creds [-n SECONDS] [-a SECONDS] [-g TIMES] [-e] [-s SERVICE] [-r ROLE_ARN] [-l SECONDS]
 *
 * Prints a line of JSON for each creds_get: source, access_key_id, secret_access_key and session_token if set,
 * expires_at_ms (null: never); or error, outage and text.
 *     -n SECONDS   the time of the first creds_get, since 1970; without it, the real time
 *     -a SECONDS   the time between two of them
 *     -g TIMES     their number, with the same cache
 *     -e           calls creds_expire after each, as if a service had rejected the key as expired
 *     -s SERVICE   prints region and endpoint (null: AWS's own) of this service instead
 *     -r ROLE_ARN  gets credentials of a role, which the environment's credentials assume
 *     -l SECONDS   the minimum lifetime of the role's credentials
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "aws/credentials/creds.h"
#include "base/json.h"
#include "base/num.h"
#include "base/time.h"

static void print_member(const char *name, const char *value)
{
    auto_buf struct buf text = BUF_INIT;
    if (value)
        json_write_string(value, &text);
    else
        buf_puts(&text, "null");
    printf("\"%s\": %s", name, buf_str(&text));
}

static void print_creds(const struct creds *creds)
{
    printf("{");
    print_member("source", creds->source);
    printf(", ");
    print_member("access_key_id", creds->access_key_id);
    printf(", ");
    print_member("secret_access_key", creds->secret_access_key);
    printf(", ");
    print_member("session_token", creds->session_token);
    if (creds->expires_at_ms == INT64_MAX)
        printf(", \"expires_at_ms\": null}\n");
    else
        printf(", \"expires_at_ms\": %" PRId64 "}\n", creds->expires_at_ms);
}

static int print_error(int result, const struct err *err)
{
    printf("{\"result\": %d, \"outage\": %s, ", result, err->outage ? "true" : "false");
    print_member("error", err->code);
    printf(", ");
    print_member("text", err->text);
    printf("}\n");
    return 1;
}

static void print_endpoint(const struct aws_profile *profile, const char *service)
{
    printf("{");
    print_member("region", aws_profile_region(profile));
    printf(", ");
    print_member("endpoint", aws_profile_endpoint(profile, service));
    printf("}\n");
}

struct options {
    int64_t now_s, times, advance_s, lifetime_s;
    const char *service; /* NULL: print credentials */
    const char *role_arn;
    bool expire;
};

static int read_options(int argc, char **argv, struct options *ret)
{
    int64_t *const numbers[] = {
        ['n'] = &ret->now_s, ['g'] = &ret->times, ['a'] = &ret->advance_s, ['l'] = &ret->lifetime_s
    };
    for (int c; (c = getopt(argc, argv, "n:g:a:l:es:r:")) != -1;) {
        if (c == 'e')
            ret->expire = true;
        else if (c == 's')
            ret->service = optarg;
        else if (c == 'r')
            ret->role_arn = optarg;
        else if (c == '?' || num_parse_i64(optarg, 0, INT32_MAX, numbers[c], NULL) != 0)
            return 64;
    }
    return optind == argc ? 0 : 64;
}

static void free_cache(struct creds_cache **cache)
{
    creds_cache_free(*cache);
}

int main(int argc, char **argv)
{
    struct options options = { .times = 1 };
    if (read_options(argc, argv, &options) != 0)
        return 64;
    auto_aws_profile struct aws_profile *profile = NULL;
    auto_http struct http *http = NULL;
    cleanup(free_cache) struct creds_cache *own = NULL;
    cleanup(free_cache) struct creds_cache *assumed = NULL;
    struct err err = ERR_INIT;
    int r = aws_profile_load(&profile, &err);
    if (r == 0)
        r = http_new(-1, &http, &err);
    if (r == 0)
        r = creds_cache_new(profile, NULL, &own, &err);
    const struct creds_role role = { .role_arn = options.role_arn,
                                     .session_name = "test",
                                     .lifetime_ms = options.lifetime_s * 1000 };
    if (r == 0 && options.role_arn)
        r = creds_cache_new_role(own, &role, &assumed, &err);
    struct creds_cache *cache = assumed ? assumed : own;
    if (r != 0)
        return print_error(r, &err);
    if (options.service) {
        print_endpoint(profile, options.service);
        return 0;
    }
    int status = 0;
    for (int64_t i = 0; i < options.times; i++) {
        auto_creds struct creds creds = CREDS_INIT;
        int64_t now_ms = options.now_s > 0 ? options.now_s * 1000 : time_now_ms();
        r = creds_get(cache, http, now_ms + i * options.advance_s * 1000, &creds, &err);
        if (r == 0) {
            print_creds(&creds);
            if (options.expire)
                creds_expire(cache, creds.access_key_id);
        } else {
            status = print_error(r, &err);
        }
    }
    return status;
}
