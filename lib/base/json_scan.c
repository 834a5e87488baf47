#include "base/json_scan.h"

#include <limits.h>
#include <string.h>

#include "base/utf8.h"
#include "base/swar.h"

/* The tokens that may come next. */
enum expected {
    VALUE,        /* a value */
    VALUE_OR_END, /* after '[' */
    KEY,          /* after ',' in an object */
    KEY_OR_END,   /* after '{' */
    COLON,
    COMMA_OR_END, /* after a value in an object or an array */
    NOTHING,      /* after the outermost value */
};

struct scan {
    const char *text;
    size_t len;
    size_t at;
    enum expected expected;
    int depth;
    bool in_object[JSON_MAX_DEPTH + 1]; /* by depth */
    struct json_position position;
    struct json_tree *tree;
    struct err *err;
};

static int syntax_error(const struct scan *s, size_t at, const char *what)
{
    size_t line = s->position.line, column = s->position.column;
    for (size_t i = 0; i < at; i++) {
        column = s->text[i] == '\n' ? 1 : column + 1;
        line += s->text[i] == '\n';
    }
    return err_never(s->err, "invalid_json", "not valid JSON: %s at line %zu, column %zu", what, line, column);
}

static bool has(const struct scan *s, size_t n)
{
    return s->len - s->at >= n;
}

/* Faster than ctype's, whose tables depend on the locale. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The four hex digits at `at`, or -1. */
static long hex4(const struct scan *s, size_t at)
{
    long value = 0;
    if (s->len < 4 || at > s->len - 4)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        int digit = hex_digit(s->text[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static int scan_unicode_escape(struct scan *s)
{
    size_t start = s->at; /* at the backslash */
    long unit = hex4(s, start + 2);
    if (unit < 0)
        return syntax_error(s, start, "an escape \\u without four hex digits");
    if (unit == 0)
        return syntax_error(s, start, "U+0000, which PostgreSQL cannot store,");
    s->at += 6;
    if (unit < 0xd800 || unit > 0xdfff)
        return 0;
    bool pair = unit < 0xdc00 && has(s, 6) && s->text[s->at] == '\\' && s->text[s->at + 1] == 'u';
    long low = pair ? hex4(s, s->at + 2) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return syntax_error(s, start, "half of a surrogate pair");
    s->at += 6;
    return 0;
}

/* Skips to the next quote, backslash or control character of a string. */
static void skip_plain(struct scan *s)
{
    for (; has(s, sizeof(uint64_t)); s->at += sizeof(uint64_t)) {
        uint64_t word = swar_load(s->text + s->at);
        uint64_t marks = swar_equal(word, '"') | swar_equal(word, '\\') | swar_less(word, 0x20);
        if (marks) {
            s->at += swar_first(marks);
            return;
        }
    }
    for (; s->at < s->len; s->at++) {
        unsigned char c = (unsigned char)s->text[s->at];
        if (c == '"' || c == '\\' || c < 0x20)
            return;
    }
}

static int scan_escape(struct scan *s)
{
    switch (s->text[s->at + 1]) {
    case 'u':
        return scan_unicode_escape(s);
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        s->at += 2;
        return 0;
    default:
        return syntax_error(s, s->at, "an unknown escape");
    }
}

/* Sets *ret_escaped if the string has an escape. */
static int scan_string(struct scan *s, bool *ret_escaped)
{
    size_t start = s->at++;
    for (;;) {
        skip_plain(s);
        if (!has(s, 1))
            break;
        char c = s->text[s->at];
        if (c == '"') {
            s->at++;
            return 0;
        }
        if (c != '\\')
            return syntax_error(s, s->at, "a raw control character in a string");
        if (!has(s, 2))
            break;
        *ret_escaped = true;
        int r = scan_escape(s);
        if (r != 0)
            return r;
    }
    return syntax_error(s, start, "a string without a closing quote");
}

static size_t count_digits(const struct scan *s, size_t at)
{
    size_t n = 0;
    while (at + n < s->len && is_digit(s->text[at + n]))
        n++;
    return n;
}

static int scan_exponent(struct scan *s, size_t start, size_t *at)
{
    size_t i = *at + 1;
    if (i < s->len && (s->text[i] == '+' || s->text[i] == '-'))
        i++;
    size_t n = count_digits(s, i);
    if (n == 0)
        return syntax_error(s, start, "a malformed number");
    long exponent = 0;
    for (size_t k = i; k < i + n && exponent <= JSON_MAX_EXPONENT; k++)
        exponent = exponent * 10 + (s->text[k] - '0');
    if (exponent > JSON_MAX_EXPONENT)
        return syntax_error(s, start, "a number with an exponent over 400");
    *at = i + n;
    return 0;
}

static int scan_number(struct scan *s)
{
    size_t start = s->at, at = start + (s->text[start] == '-');
    size_t integer = count_digits(s, at);
    if (integer == 0 || (integer > 1 && s->text[at] == '0'))
        return syntax_error(s, start, "a malformed number");
    at += integer;
    size_t fraction = 0;
    if (at < s->len && s->text[at] == '.') {
        fraction = count_digits(s, at + 1);
        if (fraction == 0)
            return syntax_error(s, start, "a malformed number");
        at += 1 + fraction;
    }
    if (integer > JSON_MAX_INTEGER_DIGITS - JSON_MAX_EXPONENT ||
        fraction > JSON_MAX_FRACTION_DIGITS - JSON_MAX_EXPONENT)
        return syntax_error(s, start, "a number with more digits than PostgreSQL can store");
    if (at < s->len && (s->text[at] == 'e' || s->text[at] == 'E')) {
        int r = scan_exponent(s, start, &at);
        if (r != 0)
            return r;
    }
    s->at = at;
    json_tree_number(s->tree, &(const struct json_token){ .text = s->text + start, .len = at - start });
    return 0;
}

static int scan_literal(struct scan *s)
{
    static const char *const literals[] = { "true", "false", "null" };
    for (size_t i = 0; i < N_ELEMENTS(literals); i++) {
        size_t n = strlen(literals[i]);
        if (has(s, n) && memcmp(s->text + s->at, literals[i], n) == 0) {
            json_tree_literal(s->tree, s->text[s->at]);
            s->at += n;
            return 0;
        }
    }
    return syntax_error(s, s->at, "an unexpected character");
}

static void expect_after_value(struct scan *s)
{
    s->expected = s->depth == 0 ? NOTHING : COMMA_OR_END;
}

static int open_container(struct scan *s, bool is_object)
{
    if (s->expected != VALUE && s->expected != VALUE_OR_END)
        return syntax_error(s, s->at, "an unexpected bracket");
    if (s->depth == JSON_MAX_DEPTH)
        return syntax_error(s, s->at, "nesting deeper than 500 levels");
    s->in_object[++s->depth] = is_object;
    s->expected = is_object ? KEY_OR_END : VALUE_OR_END;
    json_tree_open(s->tree, s->text + s->at++);
    return 0;
}

static int close_container(struct scan *s, bool is_object)
{
    bool may_end = s->expected == COMMA_OR_END || s->expected == (is_object ? KEY_OR_END : VALUE_OR_END);
    if (s->depth == 0 || s->in_object[s->depth] != is_object || !may_end)
        return syntax_error(s, s->at, "an unexpected bracket");
    s->depth--;
    s->at++;
    expect_after_value(s);
    json_tree_close(s->tree, s->text + s->at);
    return 0;
}

static int scan_key_or_string(struct scan *s)
{
    bool is_key = s->expected == KEY || s->expected == KEY_OR_END;
    if (!is_key && s->expected != VALUE && s->expected != VALUE_OR_END)
        return syntax_error(s, s->at, "an unexpected string");
    struct json_token token = { .text = s->text + s->at + 1 };
    int r = scan_string(s, &token.escaped);
    if (r != 0)
        return r;
    token.len = (size_t)(s->text + s->at - 1 - token.text);
    if (is_key)
        s->expected = COLON;
    else
        expect_after_value(s);
    if (is_key)
        json_tree_key(s->tree, &token);
    else
        json_tree_string(s->tree, &token);
    return 0;
}

static int scan_scalar(struct scan *s)
{
    char c = s->text[s->at];
    if (s->expected != VALUE && s->expected != VALUE_OR_END)
        return syntax_error(s, s->at, "an unexpected character");
    int r = c == '-' || is_digit(c) ? scan_number(s) : scan_literal(s);
    expect_after_value(s);
    return r;
}

static int scan_token(struct scan *s)
{
    switch (s->text[s->at]) {
    case ' ':
    case '\t':
    case '\n':
    case '\r':
        s->at++;
        return 0;
    case ',':
        if (s->expected != COMMA_OR_END)
            return syntax_error(s, s->at, "an unexpected comma");
        s->expected = s->in_object[s->depth] ? KEY : VALUE;
        s->at++;
        return 0;
    case ':':
        if (s->expected != COLON)
            return syntax_error(s, s->at, "an unexpected colon");
        s->expected = VALUE;
        s->at++;
        return 0;
    case '{':
    case '[':
        return open_container(s, s->text[s->at] == '{');
    case '}':
    case ']':
        return close_container(s, s->text[s->at] == '}');
    case '"':
        return scan_key_or_string(s);
    default:
        return scan_scalar(s);
    }
}

int json_scan(const char *text, size_t len, struct json_position position, struct json_tree *tree, struct err *err)
{
    struct scan s = { .text = text, .len = len, .position = position, .tree = tree, .err = err };
    if (len > INT_MAX)
        return err_never(err, "invalid_json", "not valid JSON: longer than 2 GiB");
    size_t valid = utf8_valid_prefix(text, len);
    if (valid < len)
        return syntax_error(&s, valid, "bytes that are not UTF-8");
    static const char mark[] = "\xef\xbb\xbf"; /* named in the error, because editors do not show it */
    if (len >= strlen(mark) && memcmp(text, mark, strlen(mark)) == 0)
        return syntax_error(&s, 0, "a byte order mark, which JSON does not allow,");
    while (s.at < len) {
        int r = scan_token(&s);
        if (r != 0)
            return r;
        if (tree->failed)
            return err_no_memory(err);
    }
    if (s.expected != NOTHING)
        return syntax_error(&s, len, len == 0 ? "empty text" : "unexpected end of text");
    return 0;
}
