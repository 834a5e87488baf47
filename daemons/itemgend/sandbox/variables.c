#include "itemgend/sandbox/variables.h"

#include <stdio.h>
#include <unistd.h>

/* A proxy is the network where there is one, so package code gets it as it is, password and all. */
static const char *const proxies[] = { "http_proxy", "https_proxy", "all_proxy",
                                       "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY" };
static const char *const of_all[] = { "PATH",           "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
                                      "CURL_CA_BUNDLE", "no_proxy",      "NO_PROXY" };
static const char *const of_uv[] = { "UV_FIND_LINKS",   "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_LINK_MODE",
                                     "UV_NATIVE_TLS",   "UV_SYSTEM_CERTS",  "UV_OFFLINE",          "UV_EXCLUDE_NEWER",
                                     "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES" };

static void pass_on(const char *const *names, size_t n, struct strings *environment)
{
    for (size_t i = 0; i < n; i++) {
        const char *value = getenv(names[i]);
        if (value)
            strings_add(environment, "%s=%s", names[i], value);
    }
}

void variables_for_package(const char *directory, struct strings *environment)
{
    pass_on(of_all, N_ELEMENTS(of_all), environment);
    pass_on(proxies, N_ELEMENTS(proxies), environment);
    strings_add(environment, "LANG=C.UTF-8");
    /* Items run side by side already. A thread for each core costs each of them 40 MiB of memory_limit, and the threads
     * have to be started anew after each fork. */
    strings_add(environment, "OMP_NUM_THREADS=1");
    strings_add(environment, "OPENBLAS_NUM_THREADS=1");
    strings_add(environment, "HOME=%s", directory);
    strings_add(environment, "TMPDIR=%s", directory);
}

/* Whether `variable` ("NAME=value") has this name, or a name that begins with it where `name` ends with '_'. */
static bool is_named(const char *variable, const char *name)
{
    size_t len = strlen(name);
    return strncmp(variable, name, len) == 0 && (name[len - 1] == '_' || variable[len] == '=');
}

static bool is_any_of(const char *variable, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_named(variable, names[i]))
            return true;
    return false;
}

/* UV_INDEX, UV_INDEX_STRATEGY and the credentials of named indexes, UV_INDEX_NAME_PASSWORD, cannot be listed one by
 * one. */
static void add_indexes(const struct itemgend_options *options, struct strings *environment)
{
    static const char *const of_indexes[] = { "UV_INDEX", "UV_INDEX_", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL" };
    static const char *const of_default[] = { "UV_DEFAULT_INDEX", "UV_INDEX_URL" };
    static const char *const of_others[] = { "UV_INDEX", "UV_EXTRA_INDEX_URL" };
    bool has_default = options->default_index && *options->default_index;
    for (char **at = environ; *at; at++)
        if (is_any_of(*at, of_indexes, N_ELEMENTS(of_indexes)) &&
            !(has_default && is_any_of(*at, of_default, N_ELEMENTS(of_default))) &&
            !(options->indexes.n > 0 && is_any_of(*at, of_others, N_ELEMENTS(of_others))))
            strings_add(environment, "%s", *at);
    if (has_default)
        strings_add(environment, "UV_DEFAULT_INDEX=%s", options->default_index);
    if (options->indexes.n == 0)
        return;
    auto_buf struct buf urls = BUF_INIT;
    for (size_t i = 0; i < options->indexes.n; i++)
        buf_printf(&urls, "%s%s", i > 0 ? " " : "", options->indexes.items[i]);
    environment->failed |= buf_failed(&urls);
    strings_add(environment, "UV_INDEX=%s", buf_str(&urls));
}

void variables_for_uv(const struct itemgend_options *options, const char *home, struct strings *environment)
{
    variables_for_package(home, environment);
    pass_on(of_uv, N_ELEMENTS(of_uv), environment);
    add_indexes(options, environment);
    strings_add(environment, "UV_CACHE_DIR=%s", options->cache_dir);
    strings_add(environment, "UV_PYTHON=%s", options->python);
    strings_add(environment, "UV_PYTHON_DOWNLOADS=never");
    strings_add(environment, "UV_NO_CONFIG=1");
    strings_add(environment, "UV_NO_PROGRESS=1");
    if (!options->source_builds)
        strings_add(environment, "UV_NO_BUILD=1");
    if (options->constraints && *options->constraints)
        strings_add(environment, "UV_CONSTRAINT=%s", options->constraints);
}

/* "http://user:password@host:port", or the same without a scheme. */
static bool holds_password(const char *url)
{
    const char *scheme_end = strstr(url, "://");
    const char *authority = scheme_end ? scheme_end + 3 : url;
    size_t len = strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', len);
    return at && memchr(authority, ':', (size_t)(at - authority));
}

const char *variables_proxy_with_password(void)
{
    for (size_t i = 0; i < N_ELEMENTS(proxies); i++) {
        const char *url = getenv(proxies[i]);
        if (url && holds_password(url))
            return proxies[i];
    }
    return NULL;
}
