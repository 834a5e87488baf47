/* profile: which file, profile and setting counts. tests/integration/test_credentials_oracle.py compares with botocore.
 */
#include "aws/credentials/profile.h"
#include "base/user.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static char folder[] = "/tmp/test_profile.XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    CHECK(file && fputs(text, file) >= 0);
    if (file)
        fclose(file);
}

static const char config[] = "[default]\n"
                             "region = eu-central-1\n"
                             "role_arn = in config\n"
                             "[profile one]\n"
                             "region = us-east-1\n"
                             "endpoint_url = http://one/\n"
                             "services = mine\n"
                             "[profile 'two words']\n"
                             "region = us-west-2\n"
                             "sso_session = s1\n"
                             "[profile deaf]\n"
                             "endpoint_url = http://deaf/\n"
                             "ignore_configured_endpoint_urls = TRUE\n"
                             "[profile default]\n"
                             "region = eu-west-3\n"
                             "output = json\n"
                             "[profile lost]\n"
                             "services = nowhere\n"
                             "[sso-session s1]\n"
                             "sso_region = eu-north-1\n"
                             "[services mine]\n"
                             "sqs =\n"
                             "  endpoint_url = http://sqs.one/\n"
                             "secrets_manager =\n"
                             "  endpoint_url = http://secrets.one/\n"
                             "[three]\n"
                             "region = no profile\n"
                             "[profile \"not closed]\n"
                             "region = none either\n";
static const char credentials[] = "[default]\n"
                                  "role_arn = in credentials\n"
                                  "aws_access_key_id = D\n"
                                  "[only here]\n"
                                  "aws_access_key_id = O\n"
                                  "[profile odd]\n"
                                  "aws_access_key_id = P\n";

static const struct {
    const char *profile; /* AWS_PROFILE */
    const char *name, *key, *expected;
} settings[] = {
    { NULL, NULL, "region", "eu-west-3" }, /* the later of [default] and [profile default] */
    { NULL, NULL, "output", "json" },
    { NULL, NULL, "role_arn", "in credentials" },
    { NULL, NULL, "aws_access_key_id", "D" },
    { NULL, NULL, "missing", NULL },
    { NULL, "one", "region", "us-east-1" },
    { NULL, "two words", "region", "us-west-2" },
    { NULL, "only here", "aws_access_key_id", "O" },
    { NULL, "profile odd", "aws_access_key_id", "P" },
    { NULL, "odd", "aws_access_key_id", NULL },
    { NULL, "three", "region", NULL },
    { NULL, "not closed", "region", NULL },
    { NULL, "nobody", "region", NULL },
    { "one", NULL, "region", "us-east-1" },
    { "one", "default", "region", "eu-west-3" },
    { "two words", NULL, "region", "us-west-2" },
    { "only here", NULL, "aws_access_key_id", "O" },
};

static void set(const char *name, const char *value)
{
    CHECK((value ? setenv(name, value, 1) : unsetenv(name)) == 0);
}

static void test_settings(void)
{
    for (size_t i = 0; i < N_ELEMENTS(settings); i++) {
        auto_aws_profile struct aws_profile *profile = NULL;
        struct err err = ERR_INIT;
        set("AWS_PROFILE", settings[i].profile);
        CHECK_ROW(aws_profile_load(&profile, &err) == 0, "row %zu: %s", i, err.text);
        if (!profile)
            continue;
        CHECK_STRING(aws_profile_name(profile), settings[i].profile ? settings[i].profile : "default");
        CHECK(aws_profile_is_explicit(profile) == (settings[i].profile != NULL));
        CHECK_STRING(aws_profile_get(profile, settings[i].name, settings[i].key), settings[i].expected);
    }
    set("AWS_PROFILE", NULL);
}

static void test_files_apart(void)
{
    auto_aws_profile struct aws_profile *profile = NULL;
    CHECK(aws_profile_load(&profile, NULL) == 0);
    CHECK_STRING(aws_profile_get_from(profile, AWS_FILE_CONFIG, NULL, "role_arn"),
                 NULL); /* [profile default] does not set it */
    CHECK_STRING(aws_profile_get_from(profile, AWS_FILE_CREDENTIALS, NULL, "role_arn"), "in credentials");
    CHECK(aws_profile_exists(profile, "only here") && aws_profile_exists(profile, "one"));
    CHECK(!aws_profile_exists(profile, "three") && !aws_profile_exists(profile, "s1"));
    bool exists = false;
    CHECK_STRING(aws_profile_sso_session(profile, "s1", "sso_region", &exists), "eu-north-1");
    CHECK(exists);
    CHECK_STRING(aws_profile_sso_session(profile, "s1", "sso_start_url", &exists), NULL);
    CHECK(exists);
    CHECK_STRING(aws_profile_sso_session(profile, "one", "region", &exists), NULL);
    CHECK(!exists);
}

static const struct {
    const char *variable, *value; /* set in addition to AWS_PROFILE */
    const char *profile, *service, *expected;
} endpoints[] = {
    { "X", NULL, NULL, "sqs", NULL },
    { "X", NULL, "one", "sqs", "http://sqs.one/" },
    { "X", NULL, "one", "secretsmanager", "http://secrets.one/" },
    { "X", NULL, "one", "sns", "http://one/" },
    { "X", NULL, "deaf", "sns", NULL },
    { "AWS_ENDPOINT_URL", "http://all", "one", "sqs", "http://all" },
    { "AWS_ENDPOINT_URL", "", "one", "sqs", "http://sqs.one/" },
    { "AWS_ENDPOINT_URL", "http://all", "deaf", "sqs", NULL },
    { "AWS_ENDPOINT_URL_SQS", "http://sqs", "one", "sqs", "http://sqs" },
    { "AWS_ENDPOINT_URL_SQS", "http://sqs", "one", "sns", "http://one/" },
    { "AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://sm", NULL, "secretsmanager", "http://sm" },
    { "AWS_ENDPOINT_URL_SECRETSMANAGER", "http://sm", NULL, "secretsmanager", NULL },
    { "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", "one", "sqs", NULL },
    { "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false", "deaf", "sqs", "http://deaf/" },
};

static void test_endpoints(void)
{
    for (size_t i = 0; i < N_ELEMENTS(endpoints); i++) {
        auto_aws_profile struct aws_profile *profile = NULL;
        set("AWS_PROFILE", endpoints[i].profile);
        set(endpoints[i].variable, endpoints[i].value);
        CHECK(aws_profile_load(&profile, NULL) == 0);
        if (profile)
            CHECK_STRING(aws_profile_endpoint(profile, endpoints[i].service), endpoints[i].expected);
        set(endpoints[i].variable, NULL);
    }
    set("AWS_PROFILE", NULL);
}

static void test_region(void)
{
    auto_aws_profile struct aws_profile *profile = NULL;
    CHECK(aws_profile_load(&profile, NULL) == 0);
    CHECK_STRING(aws_profile_region(profile), "eu-west-3");
    set("AWS_DEFAULT_REGION", "sa-east-1");
    CHECK_STRING(aws_profile_region(profile), "sa-east-1");
    set("AWS_REGION", "ca-central-1");
    CHECK_STRING(aws_profile_region(profile), "ca-central-1");
    set("AWS_REGION", "");
    CHECK_STRING(aws_profile_region(profile), "sa-east-1");
    set("AWS_REGION", NULL);
    set("AWS_DEFAULT_REGION", NULL);
}

static void expect_refusal(const char *code, const char *part_of_text)
{
    auto_aws_profile struct aws_profile *profile = NULL;
    struct err err = ERR_INIT;
    CHECK(aws_profile_load(&profile, &err) == NEVER && !profile);
    CHECK_STRING(err.code, code);
    CHECK_ROW(strstr(err.text, part_of_text) != NULL, "\"%s\" does not say \"%s\"", err.text, part_of_text);
}

static void test_refusals(void)
{
    set("AWS_PROFILE", "nobody");
    expect_refusal("unknown_profile", "\"nobody\"");
    set("AWS_PROFILE", "three");
    expect_refusal("unknown_profile", "\"three\"");
    set("AWS_PROFILE", "lost");
    expect_refusal("bad_aws_config", "[services nowhere]");
    set("AWS_PROFILE", NULL);
    set("AWS_DEFAULT_PROFILE", "nobody");
    expect_refusal("unknown_profile", "\"nobody\"");
    set("AWS_DEFAULT_PROFILE", NULL);
    write_file("credentials", "[a]\nsecret\n");
    expect_refusal("bad_aws_config", "/credentials, line 2: ");
    write_file("credentials", credentials);
}

/* A missing file counts as empty. Its default place is in the home directory. */
static void test_places(void)
{
    auto_aws_profile struct aws_profile *profile = NULL, *at_home = NULL;
    char path[128];
    set("AWS_CONFIG_FILE", "/no/such/file");
    set("AWS_SHARED_CREDENTIALS_FILE", folder); /* a folder */
    CHECK(aws_profile_load(&profile, NULL) == 0);
    CHECK(!aws_profile_exists(profile, "default"));
    CHECK_STRING(aws_profile_trouble(profile, AWS_FILE_CONFIG), "does not exist");
    CHECK_STRING(aws_profile_trouble(profile, AWS_FILE_CREDENTIALS), "does not exist");
    CHECK_STRING(aws_profile_path(profile, AWS_FILE_CONFIG), "/no/such/file");

    set("AWS_CONFIG_FILE", NULL);
    set("AWS_SHARED_CREDENTIALS_FILE", "~/credentials");
    set("HOME", folder);
    snprintf(path, sizeof(path), "%s/.aws", folder);
    CHECK(mkdir(path, 0700) == 0);
    write_file(".aws/config", "[default]\nregion = at home\n");
    CHECK(aws_profile_load(&at_home, NULL) == 0);
    CHECK_STRING(aws_profile_get(at_home, NULL, "region"), "at home");
    CHECK_STRING(aws_profile_get(at_home, NULL, "aws_access_key_id"), "D");
    snprintf(path, sizeof(path), "%s/.aws/config", folder);
    CHECK(unlink(path) == 0);
    *strrchr(path, '/') = '\0';
    CHECK(rmdir(path) == 0);
}

static void test_read_file(void)
{
    auto_buf struct buf text = BUF_INIT, home = BUF_INIT;
    char path[128];
    int error_number = -1;
    struct err err = ERR_INIT;
    snprintf(path, sizeof(path), "%s/config", folder);
    CHECK(user_read_file(path, strlen(config), &text, &error_number, &err) == 0 && error_number == 0);
    CHECK_STRING(buf_str(&text), config);
    buf_reset(&text);
    CHECK(user_read_file(path, strlen(config) - 1, &text, &error_number, &err) == NEVER && error_number == EFBIG);
    CHECK(strstr(err.text, path));
    CHECK(user_read_file("/no/such/file", 1, &text, &error_number, &err) == NEVER && error_number == ENOENT);
    CHECK(user_read_file("/dev/zero", 10000, &text, &error_number, &err) == NEVER && error_number == EFBIG);
    set("HOME", NULL);
    CHECK(user_path("~/x", &home, &err) == 0 && home.len > 2); /* from the password database */
    CHECK(strcmp(buf_str(&home) + home.len - 2, "/x") == 0);
}

static bool load_once(void *context)
{
    (void)context;
    auto_aws_profile struct aws_profile *profile = NULL;
    int r = aws_profile_load(&profile, NULL);
    CHECK(r <= 0);
    if (r == 0)
        CHECK(aws_profile_exists(profile, "two words") && aws_profile_exists(profile, "only here"));
    return r == 0;
}

int main(void)
{
    static const char *const variables[] = { "AWS_PROFILE",
                                             "AWS_DEFAULT_PROFILE",
                                             "AWS_REGION",
                                             "AWS_DEFAULT_REGION",
                                             "AWS_ENDPOINT_URL",
                                             "AWS_ENDPOINT_URL_SQS",
                                             "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" };
    char path[128];
    for (size_t i = 0; i < N_ELEMENTS(variables); i++)
        set(variables[i], NULL);
    CHECK(mkdtemp(folder) != NULL);
    write_file("config", config);
    write_file("credentials", credentials);
    snprintf(path, sizeof(path), "%s/config", folder);
    set("AWS_CONFIG_FILE", path);
    snprintf(path, sizeof(path), "%s/credentials", folder);
    set("AWS_SHARED_CREDENTIALS_FILE", path);

    test_settings();
    test_files_apart();
    test_endpoints();
    test_region();
    test_refusals();
    test_failing_allocations(load_once, NULL);
    test_places();
    test_read_file();

    CHECK(unlink(path) == 0);
    snprintf(path, sizeof(path), "%s/config", folder);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
    return test_end();
}
