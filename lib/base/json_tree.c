#include "base/json_tree.h"

#include <string.h>

void json_tree_begin(struct json_tree *tree)
{
    tree->root = NULL;
    tree->key = NULL;
    tree->failed = false;
    tree->depth = 0;
}

void json_tree_clear(struct json_tree *tree)
{
    cJSON_Delete(tree->root);
    cJSON_free(tree->key);
    json_tree_begin(tree);
}

/* Of cJSON's own allocator, which frees it. */
static void *allocate(struct json_tree *tree, size_t size)
{
    void *memory = tree->failed ? NULL : cJSON_malloc(size);
    tree->failed = !memory;
    return memory;
}

/* A node of this type in its place; NULL: no memory. A list's first element knows the last, as cJSON's functions
 * expect it. */
static cJSON *add(struct json_tree *tree, int type)
{
    cJSON *node = allocate(tree, sizeof(*node));
    if (!node)
        return NULL;
    *node = (cJSON){ .type = type, .string = tree->key };
    tree->key = NULL;
    cJSON *parent = tree->depth > 0 ? tree->open[tree->depth] : NULL;
    if (!parent) {
        tree->root = node;
    } else if (!parent->child) {
        parent->child = node;
        node->prev = node;
    } else {
        node->prev = parent->child->prev;
        node->prev->next = node;
        parent->child->prev = node;
    }
    return node;
}

/* ---------------------------------------------------------------- strings */

static uint32_t hex4(const char *text)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)text[i];
        value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = { 0, 0xc0, 0xe0, 0xf0 };
    *out++ = (char)(leads[more] | c >> (6 * more));
    while (more-- > 0)
        *out++ = (char)(0x80 | (c >> (6 * more) & 0x3f));
    return out;
}

/* `at`: behind "\u". Behind the escape, or both of a pair. */
static const char *unescape_unicode(const char *at, char **out)
{
    uint32_t c = hex4(at);
    at += 4;
    if (c >= 0xd800 && c <= 0xdbff) { /* the scan has seen the other half */
        c = 0x10000 + ((c - 0xd800) << 10) + (hex4(at + 2) - 0xdc00);
        at += 6;
    }
    *out = put_utf8(*out, c);
    return at;
}

static char unescape_letter(char letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter;
    }
}

/* What the text between the quotes says; an escape is never shorter than what it stands for. */
static char *unescaped(struct json_tree *tree, const char *text, size_t len)
{
    char *string = allocate(tree, len + 1);
    if (!string)
        return NULL;
    char *out = string;
    const char *at = text, *end = text + len;
    while (at < end) {
        const char *backslash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((backslash ? backslash : end) - at);
        memcpy(out, at, plain);
        out += plain;
        if (!backslash)
            break;
        at = backslash + 2;
        if (backslash[1] == 'u')
            at = unescape_unicode(at, &out);
        else
            *out++ = unescape_letter(backslash[1]);
    }
    *out = '\0';
    return string;
}

void json_tree_key(struct json_tree *tree, const char *text, size_t len)
{
    tree->key = unescaped(tree, text, len);
}

void json_tree_string(struct json_tree *tree, const char *text, size_t len)
{
    cJSON *node = add(tree, cJSON_String);
    if (node)
        node->valuestring = unescaped(tree, text, len);
}

/* ---------------------------------------------------------------- numbers */

/*
 * The nearest double of a short decimal without an exponent: digits and power of ten are exact doubles, and so
 * the one division rounds rightly (Clinger, "How to read floating point numbers accurately", 1990).
 */
static bool short_decimal(const char *text, size_t len, double *ret)
{
    enum { DIGITS_MAX = 15 };
    static const double powers[] = { 1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
    size_t i = text[0] == '-', n_digits = 0, n_fraction = 0;
    bool in_fraction = false;
    int64_t digits = 0;
    for (; i < len; i++) {
        if (text[i] == '.') {
            in_fraction = true;
            continue;
        }
        if (text[i] < '0' || text[i] > '9' || n_digits == DIGITS_MAX)
            return false;
        digits = digits * 10 + (text[i] - '0');
        n_digits++;
        n_fraction += in_fraction;
    }
    double value = (double)digits / powers[n_fraction];
    *ret = text[0] == '-' ? -value : value;
    return true;
}

void json_tree_number(struct json_tree *tree, const char *text, size_t len)
{
    cJSON *node = add(tree, cJSON_Raw);
    char *string = node ? allocate(tree, len + 1) : NULL;
    if (!string)
        return;
    memcpy(string, text, len);
    string[len] = '\0';
    node->valuestring = string;
    if (!short_decimal(text, len, &node->valuedouble))
        node->valuedouble = strtod(string, NULL);
}

/* ----------------------------------------------------------------- the rest */

void json_tree_literal(struct json_tree *tree, char first)
{
    cJSON *node = add(tree, first == 't' ? cJSON_True : first == 'f' ? cJSON_False : cJSON_NULL);
    if (node)
        node->valueint = first == 't';
}

void json_tree_open(struct json_tree *tree, bool is_object)
{
    cJSON *node = add(tree, is_object ? cJSON_Object : cJSON_Array);
    if (node)
        tree->open[++tree->depth] = node;
}

void json_tree_close(struct json_tree *tree)
{
    if (!tree->failed)
        tree->depth--;
}
