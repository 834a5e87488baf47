#include "aws/credentials/profile.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "aws/credentials/ini.h"
#include "aws/credentials/shell_words.h"
#include "base/user.h"

enum section_kind { OTHER, PROFILE, SSO_SESSION, SERVICES };

/* The meaning of a header. In the credentials file, every header is the name of a profile. */
struct section {
    enum section_kind kind;
    const char *name;         /* NULL if kind is OTHER */
    struct shell_words words; /* of a header in the config file; owns the name */
};

struct file {
    char *path;
    const char *trouble; /* a literal; NULL: the file was read */
    struct ini ini;
    struct section *sections; /* as many as ini.n_sections */
};

struct aws_profile {
    struct file files[2]; /* by enum aws_file */
    char *name;
    bool is_explicit;
};

static void file_clear(struct file *file)
{
    for (size_t i = 0; file->sections && i < file->ini.n_sections; i++)
        shell_words_clear(&file->sections[i].words);
    free(file->sections);
    ini_clear(&file->ini);
    free(file->path);
}

void aws_profile_free(struct aws_profile *profile)
{
    if (!profile)
        return;
    file_clear(&profile->files[AWS_FILE_CREDENTIALS]);
    file_clear(&profile->files[AWS_FILE_CONFIG]);
    free(profile->name);
    free(profile);
}

static enum section_kind kind_of(const char *word)
{
    static const char *const kinds[] = {
        [PROFILE] = "profile", [SSO_SESSION] = "sso-session", [SERVICES] = "services"
    };
    for (size_t i = PROFILE; i < N_ELEMENTS(kinds); i++)
        if (strcmp(word, kinds[i]) == 0)
            return (enum section_kind)i;
    return OTHER;
}

static int name_section(const char *header, struct section *ret, struct err *err)
{
    int r = shell_words_split(header, &ret->words, err);
    if (r < 0)
        return r;
    char **words = ret->words.list;
    if (ret->words.n == 1 && strcmp(words[0], "default") == 0) {
        ret->kind = PROFILE;
        ret->name = words[0];
    } else if (ret->words.n == 2 && kind_of(words[0]) != OTHER) {
        ret->kind = kind_of(words[0]);
        ret->name = words[1];
    }
    return 0; /* other headers belong to other programs */
}

static int name_sections(struct file *file, bool plain_headers, struct err *err)
{
    if (file->ini.n_sections == 0)
        return 0;
    file->sections = calloc(file->ini.n_sections, sizeof(*file->sections));
    if (!file->sections)
        return err_no_memory(err);
    for (size_t i = 0; i < file->ini.n_sections; i++) {
        if (plain_headers) {
            file->sections[i].kind = PROFILE;
            file->sections[i].name = file->ini.sections[i];
            continue;
        }
        int r = name_section(file->ini.sections[i], &file->sections[i], err);
        if (r != 0)
            return r;
    }
    return 0;
}

/* Why an unreadable file counts as empty. NULL: it does not; report an error. */
static const char *trouble_of(int error_number, bool named)
{
    if (error_number == ENOENT || error_number == ENOTDIR || error_number == EISDIR)
        return "does not exist";
    if (error_number == EACCES && !named)
        return "not readable for this user";
    return NULL;
}

static int read_file(struct file *file, const char *variable, const char *default_path, struct err *err)
{
    const char *named = user_variable(variable);
    auto_buf struct buf path = BUF_INIT, text = BUF_INIT;
    int r = user_path(named ? named : default_path, &path, err);
    if (r == NEVER && !named) {
        buf_puts(&path, default_path);
        file->trouble = "does not exist: the user has no home directory";
    } else if (r != 0) {
        return r;
    }
    file->path = buf_take(&path);
    if (!file->path)
        return err_no_memory(err);
    if (file->trouble)
        return 0;
    int error_number = 0;
    r = user_read_file(file->path, AWS_PROFILE_FILE_MAX, &text, &error_number, err);
    if (r == 0)
        return ini_parse(buf_str(&text), text.len, file->path, &file->ini, err);
    if (r != NEVER)
        return r;
    file->trouble = trouble_of(error_number, named);
    if (file->trouble)
        return 0;
    return err_never(err, "bad_aws_config", "cannot read %s: %s", file->path, strerror(error_number));
}

/* The section, or SIZE_MAX. If two headers name the same one ([default], [profile default]), the later counts. */
static size_t find_section(const struct file *file, enum section_kind kind, const char *name)
{
    for (size_t i = file->ini.n_sections; i-- > 0;)
        if (file->sections[i].kind == kind && strcmp(file->sections[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

bool aws_profile_exists(const struct aws_profile *profile, const char *name)
{
    return find_section(&profile->files[AWS_FILE_CREDENTIALS], PROFILE, name) != SIZE_MAX ||
           find_section(&profile->files[AWS_FILE_CONFIG], PROFILE, name) != SIZE_MAX;
}

/* Rejects names that do not exist. Otherwise they would show up later as a wrong account or a wrong endpoint. */
static int check_references(const struct aws_profile *profile, struct err *err)
{
    const char *credentials = profile->files[AWS_FILE_CREDENTIALS].path;
    const char *config = profile->files[AWS_FILE_CONFIG].path;
    if (profile->is_explicit && !aws_profile_exists(profile, profile->name))
        return err_never(err, "unknown_profile", "profile \"%s\" (AWS_PROFILE) is neither in %s nor in %s",
                         profile->name, config, credentials);
    const char *services = aws_profile_get(profile, NULL, "services");
    if (services && find_section(&profile->files[AWS_FILE_CONFIG], SERVICES, services) == SIZE_MAX)
        return err_never(err, "bad_aws_config", "%s: profile \"%s\" refers to [services %s], which does not exist",
                         config, profile->name, services);
    return 0;
}

int aws_profile_load(struct aws_profile **ret, struct err *err)
{
    auto_aws_profile struct aws_profile *profile = calloc(1, sizeof(*profile));
    if (!profile)
        return err_no_memory(err);
    const char *name = user_variable("AWS_PROFILE");
    if (!name)
        name = user_variable("AWS_DEFAULT_PROFILE");
    profile->is_explicit = name != NULL;
    profile->name = strdup(name ? name : "default");
    if (!profile->name)
        return err_no_memory(err);

    struct file *credentials = &profile->files[AWS_FILE_CREDENTIALS], *config = &profile->files[AWS_FILE_CONFIG];
    int r = read_file(credentials, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", err);
    if (r == 0)
        r = name_sections(credentials, true, err);
    if (r == 0)
        r = read_file(config, "AWS_CONFIG_FILE", "~/.aws/config", err);
    if (r == 0)
        r = name_sections(config, false, err);
    if (r == 0)
        r = check_references(profile, err);
    if (r != 0)
        return r;
    *ret = TAKE(profile);
    return 0;
}

const char *aws_profile_name(const struct aws_profile *profile)
{
    return profile->name;
}

bool aws_profile_is_explicit(const struct aws_profile *profile)
{
    return profile->is_explicit;
}

const char *aws_profile_path(const struct aws_profile *profile, enum aws_file file)
{
    return profile->files[file].path;
}

const char *aws_profile_trouble(const struct aws_profile *profile, enum aws_file file)
{
    return profile->files[file].trouble;
}

const char *aws_profile_get_from(const struct aws_profile *profile, enum aws_file file, const char *name,
                                 const char *key)
{
    const struct file *from = &profile->files[file];
    size_t section = find_section(from, PROFILE, name ? name : profile->name);
    return section == SIZE_MAX ? NULL : ini_get(&from->ini, section, key, NULL);
}

const char *aws_profile_get(const struct aws_profile *profile, const char *name, const char *key)
{
    const char *value = aws_profile_get_from(profile, AWS_FILE_CREDENTIALS, name, key);
    return value ? value : aws_profile_get_from(profile, AWS_FILE_CONFIG, name, key);
}

const char *aws_profile_sso_session(const struct aws_profile *profile, const char *name, const char *key,
                                    bool *ret_exists)
{
    const struct file *config = &profile->files[AWS_FILE_CONFIG];
    size_t section = find_section(config, SSO_SESSION, name);
    *ret_exists = section != SIZE_MAX;
    return *ret_exists ? ini_get(&config->ini, section, key, NULL) : NULL;
}

const char *aws_profile_region(const struct aws_profile *profile)
{
    const char *region = user_variable("AWS_REGION");
    if (!region)
        region = user_variable("AWS_DEFAULT_REGION");
    return region ? region : aws_profile_get(profile, NULL, "region");
}

static const char *endpoint_variable(const char *service)
{
    static const char prefix[] = "AWS_ENDPOINT_URL_";
    char name[96] = "";
    size_t len = strlen(service);
    if (sizeof(prefix) + len > sizeof(name))
        return NULL;
    memcpy(name, prefix, sizeof(prefix) - 1);
    for (size_t i = 0; i < len; i++)
        name[sizeof(prefix) - 1 + i] = service[i] == '-' ? '_' : (char)toupper((unsigned char)service[i]);
    return user_variable(name);
}

const char *aws_profile_endpoint(const struct aws_profile *profile, const char *service)
{
    const char *ignore = user_variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    if (!ignore)
        ignore = aws_profile_get(profile, NULL, "ignore_configured_endpoint_urls");
    if (ignore && strcasecmp(ignore, "true") == 0)
        return NULL;
    if (strcmp(service, "secretsmanager") == 0)
        service = "secrets_manager"; /* its service id has two words */
    const char *endpoint = endpoint_variable(service);
    if (!endpoint)
        endpoint = user_variable("AWS_ENDPOINT_URL");
    const char *services = aws_profile_get(profile, NULL, "services");
    if (!endpoint && services) {
        const struct file *config = &profile->files[AWS_FILE_CONFIG];
        size_t section = find_section(config, SERVICES, services);
        endpoint = section == SIZE_MAX ? NULL : ini_get(&config->ini, section, service, "endpoint_url");
    }
    return endpoint ? endpoint : aws_profile_get(profile, NULL, "endpoint_url");
}

void aws_profile_service_url(const struct aws_profile *profile, const char *service, const char *host,
                             const char *region, struct buf *ret)
{
    const char *override = aws_profile_endpoint(profile, service);
    if (override) {
        size_t len = strlen(override);
        while (len > 0 && override[len - 1] == '/')
            len--;
        buf_add(ret, override, len);
        return;
    }
    const char *suffix = strncmp(region, "cn-", 3) == 0 ? ".cn" : "";
    buf_printf(ret, "https://%s.%s.amazonaws.com%s", host, region, suffix);
}

bool aws_is_region(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= 32 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}
