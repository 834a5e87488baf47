#include "itemgend/requirement.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

enum { REQUIREMENT_MAX = 200 };

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

/* A PEP 508 identifier at `text`: its length, 0 where there is none. */
static size_t name_length(const char *text)
{
    size_t n = 0;
    while (is_name_char(text[n]))
        n++;
    if (n == 0 || !isalnum((unsigned char)text[0]) || !isalnum((unsigned char)text[n - 1]))
        return 0;
    return n;
}

/* uv takes a name that ends like an archive for a file. */
static bool looks_like_file(const char *name, size_t len)
{
    static const char *const endings[] = { ".whl", ".zip", ".tar", ".gz",   ".tgz", ".bz2", ".tbz", ".xz",
                                           ".txz", ".zst", ".lz",  ".lzma", ".egg", ".py",  ".txt", ".toml" };
    for (size_t i = 0; i < N_ELEMENTS(endings); i++) {
        size_t n = strlen(endings[i]);
        if (len > n && strncasecmp(name + len - n, endings[i], n) == 0)
            return true;
    }
    return false;
}

static size_t operator_length(const char *text)
{
    static const char *const operators[] = { "===", "==", "~=", "!=", ">=", "<=", ">", "<" };
    for (size_t i = 0; i < N_ELEMENTS(operators); i++)
        if (strncmp(text, operators[i], strlen(operators[i])) == 0)
            return strlen(operators[i]);
    return 0;
}

/* "[extra]" at *at, or nothing there. */
static bool skip_extra(const char **at)
{
    if (**at != '[')
        return true;
    size_t n = name_length(*at + 1);
    if (n == 0 || (*at)[1 + n] != ']')
        return false;
    *at += n + 2;
    return true;
}

/* "==1.2.*" up to the end, or nothing there. */
static bool is_version_clause(const char *at)
{
    if (!*at)
        return true;
    size_t n = operator_length(at);
    if (n == 0)
        return false;
    at += n;
    if (!isalnum((unsigned char)*at))
        return false;
    while (isalnum((unsigned char)*at) || (*at && strchr(".*+!-_", *at)))
        at++;
    return !*at;
}

/* PEP 503: lower case, runs of '-', '_' and '.' are one '-'. */
static void normalize(const char *name, size_t len, char *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bool separator = !isalnum((unsigned char)name[i]);
        if (separator && n > 0 && ret[n - 1] == '-')
            continue;
        ret[n++] = separator ? '-' : (char)tolower((unsigned char)name[i]);
    }
    ret[n] = '\0';
}

int requirement_check(const char *requirement, const struct config_list *allowed, struct err *err)
{
    size_t len = name_length(requirement);
    const char *at = requirement + len;
    if (strlen(requirement) > REQUIREMENT_MAX || len == 0 || looks_like_file(requirement, len) || !skip_extra(&at) ||
        !is_version_clause(at))
        return err_never(
            err, "invalid_package",
            "package_name \"%.200s\" is no plain requirement: write a name, one extra and one version at most, like "
            "stactools-landsat or stactools-landsat==0.5.0",
            requirement);
    char name[REQUIREMENT_MAX + 1];
    normalize(requirement, len, name);
    for (size_t i = 0; i < allowed->n; i++)
        if (fnmatch(allowed->items[i], name, 0) == 0)
            return 0;
    return err_never(err, "package_not_allowed",
                     "package \"%s\" is not one that this service runs: its allowed_packages have no pattern for it",
                     name);
}
