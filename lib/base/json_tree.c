#include "base/json_tree.h"

#include <string.h>

#include "base/word.h"

/* A longer value is an allocation of its own: json_take_string hands it over without a copy. */
enum { BESIDE_MAX = 256 };

void json_tree_begin(struct json_tree *tree)
{
    tree->root = NULL;
    tree->key.text = NULL;
    tree->failed = false;
    tree->depth = 0;
}

void json_tree_clear(struct json_tree *tree)
{
    cJSON_Delete(tree->root);
    json_tree_begin(tree);
}

/* Of cJSON's own allocator, which frees it. */
static void *allocate(struct json_tree *tree, size_t size)
{
    void *memory = tree->failed ? NULL : cJSON_malloc(size);
    tree->failed = !memory;
    return memory;
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

/* Copies what comes before the next backslash; its length. `out` has room for all of `len`. */
static size_t copy_plain(const char *text, size_t len, char *out)
{
    size_t n = 0;
    for (; len - n >= sizeof(uint64_t); n += sizeof(uint64_t)) {
        uint64_t backslash = word_equal(word_load(text + n), '\\');
        memcpy(out + n, text + n, sizeof(uint64_t));
        if (backslash)
            return n + word_first(backslash);
    }
    for (; n < len && text[n] != '\\'; n++)
        out[n] = text[n];
    return n;
}

/* Writes what the token says; an escape is never shorter than what it stands for. Behind the NUL at its end. */
static char *put_text(const struct json_token *token, char *out)
{
    const char *at = token->text, *end = at + token->len;
    if (!token->escaped) {
        memcpy(out, at, token->len);
        out += token->len;
        at = end;
    }
    while (at < end) {
        size_t plain = copy_plain(at, (size_t)(end - at), out);
        at += plain;
        out += plain;
        if (at == end)
            break;
        at += 2;
        if (at[-1] == 'u')
            at = unescape_unicode(at, &out);
        else
            *out++ = unescape_letter(at[-1]);
    }
    *out = '\0';
    return out + 1;
}

/* ------------------------------------------------------------------ nodes */

/* A list's first element knows the last, as cJSON's functions expect it. */
static void put_in_place(struct json_tree *tree, cJSON *node)
{
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
}

/* A node of this type in its place, under the key that came before it. `value` NULL: without. NULL: no memory. */
static cJSON *add(struct json_tree *tree, int type, const struct json_token *value)
{
    bool beside = value && value->len <= BESIDE_MAX;
    size_t key_size = tree->key.text ? tree->key.len + 1 : 0, value_size = beside ? value->len + 1 : 0;
    cJSON *node = allocate(tree, sizeof(*node) + key_size + value_size);
    if (!node)
        return NULL;
    *node = (cJSON){ .type = type };
    char *text = (char *)(node + 1);
    if (tree->key.text) {
        node->string = text;
        node->type |= cJSON_StringIsConst;
        text = put_text(&tree->key, text);
        tree->key.text = NULL;
    }
    put_in_place(tree, node);
    if (!value)
        return node;
    node->valuestring = beside ? text : allocate(tree, value->len + 1);
    if (beside)
        node->type |= cJSON_IsReference;
    if (node->valuestring)
        put_text(value, node->valuestring);
    return node;
}

void json_tree_key(struct json_tree *tree, const struct json_token *key)
{
    tree->key = *key;
}

void json_tree_string(struct json_tree *tree, const struct json_token *string)
{
    add(tree, cJSON_String, string);
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

void json_tree_number(struct json_tree *tree, const struct json_token *number)
{
    cJSON *node = add(tree, cJSON_Raw, number);
    if (node && node->valuestring && !short_decimal(number->text, number->len, &node->valuedouble))
        node->valuedouble = strtod(node->valuestring, NULL);
}

/* ----------------------------------------------------------------- the rest */

void json_tree_literal(struct json_tree *tree, char first)
{
    cJSON *node = add(tree, first == 't' ? cJSON_True : first == 'f' ? cJSON_False : cJSON_NULL, NULL);
    if (node)
        node->valueint = first == 't';
}

void json_tree_open(struct json_tree *tree, bool is_object)
{
    cJSON *node = add(tree, is_object ? cJSON_Object : cJSON_Array, NULL);
    if (node)
        tree->open[++tree->depth] = node;
}

void json_tree_close(struct json_tree *tree)
{
    if (!tree->failed)
        tree->depth--;
}
