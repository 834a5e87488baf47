#include "itemgend/request/requirement.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

enum { REQUIREMENT_MAX = 200 };

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

/* The length of the PEP 508 identifier at `text`; 0: there is none. */
static size_t name_length(const char *text)
{
    size_t n = 0;
    while (is_name_char(text[n]))
        n++;
    if (n == 0 || !isalnum((unsigned char)text[0]) || !isalnum((unsigned char)text[n - 1]))
        return 0;
    return n;
}

/* uv reads a name with such an ending as a file. */
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

/* Skips "[extra,another]" at *at. No extras are fine too. */
static bool skip_extras(const char **at)
{
    if (**at != '[')
        return true;
    do {
        size_t n = name_length(*at + 1);
        if (n == 0)
            return false;
        *at += n + 1;
    } while (**at == ',');
    return *(*at)++ == ']';
}

/* Skips "==1.2.*" at *at. */
static bool skip_version_clause(const char **at)
{
    size_t n = operator_length(*at);
    if (n == 0 || !isalnum((unsigned char)(*at)[n]))
        return false;
    *at += n;
    while (isalnum((unsigned char)**at) || (**at && strchr(".*+!-_", **at)))
        (*at)++;
    return true;
}

/* Whether the rest is a version such as ">=1,<2", or empty. */
static bool is_version(const char *at)
{
    if (!*at)
        return true;
    while (skip_version_clause(&at)) {
        if (!*at)
            return true;
        if (*at++ != ',')
            return false;
    }
    return false;
}

static bool is_plain(const char *requirement)
{
    size_t len = name_length(requirement);
    const char *at = requirement + len;
    return len > 0 && strlen(requirement) <= REQUIREMENT_MAX && !looks_like_file(requirement, len) &&
           skip_extras(&at) && is_version(at);
}

/* The next character of the normalized name; NUL at its end. */
static char next_of_name(const char **at, const char *end)
{
    if (*at == end)
        return '\0';
    char c = *(*at)++;
    if (isalnum((unsigned char)c))
        return (char)tolower((unsigned char)c);
    while (*at < end && !isalnum((unsigned char)**at))
        (*at)++;
    return '-';
}

void requirement_name(const char *requirement, struct buf *ret)
{
    const char *end = requirement_rest(requirement);
    for (char c = next_of_name(&requirement, end); c; c = next_of_name(&requirement, end))
        buf_putc(ret, c);
}

void requirement_normalize(const char *requirement, struct buf *ret)
{
    requirement_name(requirement, ret);
    buf_puts(ret, requirement_rest(requirement));
}

bool requirement_is_same_package(const char *a, const char *b)
{
    const char *a_end = requirement_rest(a), *b_end = requirement_rest(b);
    for (;;) {
        char c = next_of_name(&a, a_end);
        if (c != next_of_name(&b, b_end))
            return false;
        if (!c)
            return true;
    }
}

const char *requirement_rest(const char *requirement)
{
    return requirement + name_length(requirement);
}

/* Normalizes a pattern like a name, so that a configuration may spell names as packages do. */
static void normalize_pattern(const char *pattern, struct buf *ret)
{
    for (const char *at = pattern; *at; at++) {
        bool is_separator = strchr("-_.", *at);
        if (!is_separator)
            buf_putc(ret, (char)tolower((unsigned char)*at));
        else if (at == pattern || !strchr("-_.", at[-1]))
            buf_putc(ret, '-');
    }
}

int requirement_check(const char *requirement, const struct config_list *allowed, struct err *err)
{
    if (!is_plain(requirement))
        return err_never(err, "invalid_package",
                         "package_name \"%.200s\" is not a plain requirement; use a name, extras and versions, like "
                         "stactools-landsat, stactools-landsat==0.5.0 or stactools-landsat[extra]>=0.5,<1",
                         requirement);
    auto_buf struct buf name = BUF_INIT;
    requirement_name(requirement, &name);
    if (buf_failed(&name))
        return err_no_memory(err);
    for (size_t i = 0; i < allowed->n; i++) {
        auto_buf struct buf pattern = BUF_INIT;
        normalize_pattern(allowed->items[i], &pattern);
        if (buf_failed(&pattern))
            return err_no_memory(err);
        if (fnmatch(buf_str(&pattern), buf_str(&name), 0) == 0)
            return 0;
    }
    return err_never(err, "package_not_allowed",
                     "package \"%s\" is not allowed here: it matches no pattern of allowed_packages", buf_str(&name));
}
