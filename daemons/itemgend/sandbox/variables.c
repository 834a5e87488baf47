#include "itemgend/sandbox/variables.h"

#include <stdio.h>
#include <unistd.h>

/* A proxy may be the only way out, so package code gets its URL, with the password. */
static const char *const proxies[] = { "http_proxy", "https_proxy", "all_proxy",
                                       "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY" };
static const char *const of_all[] = { "PATH",           "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
                                      "CURL_CA_BUNDLE", "no_proxy",      "NO_PROXY" };
static const char *const of_uv[] = { "UV_FIND_LINKS",   "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_LINK_MODE",
                                     "UV_NATIVE_TLS",   "UV_SYSTEM_CERTS",  "UV_OFFLINE",          "UV_EXCLUDE_NEWER",
                                     "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES" };

static void pass_on(const char *const *names, size_t n, struct strv *variables)
{
    for (size_t i = 0; i < n; i++) {
        const char *value = getenv(names[i]);
        if (value)
            strv_add(variables, "%s=%s", names[i], value);
    }
}

void variables_for_package(const char *directory, struct strv *variables)
{
    pass_on(of_all, N_ELEMENTS(of_all), variables);
    pass_on(proxies, N_ELEMENTS(proxies), variables);
    strv_add(variables, "LANG=C.UTF-8");
    /* Items already run in parallel. One thread for each core would cost each item 40 MiB of memory_limit, and the time
     * to start them after each fork. */
    strv_add(variables, "OMP_NUM_THREADS=1");
    strv_add(variables, "OPENBLAS_NUM_THREADS=1");
    strv_add(variables, "HOME=%s", directory);
    strv_add(variables, "TMPDIR=%s", directory);
}

/* Whether `variable` ("NAME=value") has this name. A `name` that ends with '_' is a prefix. */
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

/* The names of some cannot be listed: those with the credentials of a named index, such as UV_INDEX_NAME_PASSWORD. */
static void add_indexes(const struct itemgend_options *options, struct strv *variables)
{
    static const char *const of_indexes[] = { "UV_INDEX", "UV_INDEX_", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL" };
    static const char *const of_default[] = { "UV_DEFAULT_INDEX", "UV_INDEX_URL" };
    static const char *const of_others[] = { "UV_INDEX", "UV_EXTRA_INDEX_URL" };
    bool has_default = options->default_index && *options->default_index;
    for (char **at = environ; *at; at++)
        if (is_any_of(*at, of_indexes, N_ELEMENTS(of_indexes)) &&
            !(has_default && is_any_of(*at, of_default, N_ELEMENTS(of_default))) &&
            !(options->indexes.n > 0 && is_any_of(*at, of_others, N_ELEMENTS(of_others))))
            strv_add(variables, "%s", *at);
    if (has_default)
        strv_add(variables, "UV_DEFAULT_INDEX=%s", options->default_index);
    if (options->indexes.n == 0)
        return;
    auto_buf struct buf urls = BUF_INIT;
    for (size_t i = 0; i < options->indexes.n; i++)
        buf_printf(&urls, "%s%s", i > 0 ? " " : "", options->indexes.items[i]);
    variables->failed |= buf_failed(&urls);
    strv_add(variables, "UV_INDEX=%s", buf_str(&urls));
}

void variables_for_uv(const struct itemgend_options *options, const char *home, struct strv *variables)
{
    variables_for_package(home, variables);
    pass_on(of_uv, N_ELEMENTS(of_uv), variables);
    add_indexes(options, variables);
    strv_add(variables, "UV_CACHE_DIR=%s", options->cache_dir);
    strv_add(variables, "UV_PYTHON=%s", options->python);
    strv_add(variables, "UV_PYTHON_DOWNLOADS=never");
    strv_add(variables, "UV_NO_CONFIG=1");
    strv_add(variables, "UV_NO_PROGRESS=1");
    if (!options->source_builds)
        strv_add(variables, "UV_NO_BUILD=1");
    if (options->constraints && *options->constraints)
        strv_add(variables, "UV_CONSTRAINT=%s", options->constraints);
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
