#include "base/json_tree.h"

#include <string.h>

#include "base/num.h"
#include "base/swar.h"

/* A longer value is an allocation of its own, so that json_take_string can hand it over without a copy. */
enum { BESIDE_MAX = 256 };

void json_tree_begin(struct json_tree *tree, const struct json_place *keep)
{
    tree->root = NULL;
    tree->keep = keep;
    tree->kept = tree->key = (struct json_token){ .text = NULL };
    tree->failed = false;
    tree->depth = 0;
}

void json_tree_clear(struct json_tree *tree)
{
    cJSON_Delete(tree->root);
    tree->root = NULL;
}

/* From cJSON's allocator, because cJSON_Delete frees it. */
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

/* `at` is after "\u". Returns the position after the escape, or after both escapes of a surrogate pair. */
static const char *unescape_unicode(const char *at, char **out)
{
    uint32_t c = hex4(at);
    at += 4;
    if (c >= 0xd800 && c <= 0xdbff) { /* json_scan has checked that the other half follows */
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

/* Copies the text before the next backslash and returns its length. `out` has room for all of `len`. */
static size_t copy_plain(const char *text, size_t len, char *out)
{
    size_t n = 0;
    for (; len - n >= sizeof(uint64_t); n += sizeof(uint64_t)) {
        uint64_t backslash = swar_equal(swar_load(text + n), '\\');
        memcpy(out + n, text + n, sizeof(uint64_t));
        if (backslash)
            return n + swar_first(backslash);
    }
    for (; n < len && text[n] != '\\'; n++)
        out[n] = text[n];
    return n;
}

/* Writes the token without its escapes, and a NUL; an escape is never shorter than its character. Returns the end. */
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

/* The first element's `prev` is the last element, as cJSON's functions expect it. */
static void link_node(struct json_tree *tree, cJSON *node)
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

/* Adds a node at the current place, under the pending key. `value`: its text, or NULL. Returns NULL: no memory. */
static cJSON *add_node(struct json_tree *tree, int type, const struct json_token *value)
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
    link_node(tree, node);
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
    if (!tree->kept.text)
        tree->key = *key;
}

void json_tree_string(struct json_tree *tree, const struct json_token *string)
{
    if (!tree->kept.text)
        add_node(tree, cJSON_String, string);
}

void json_tree_number(struct json_tree *tree, const struct json_token *number)
{
    if (tree->kept.text)
        return;
    cJSON *node = add_node(tree, cJSON_Raw, number);
    if (node && node->valuestring)
        node->valuedouble = num_nearest_double(node->valuestring, NULL);
}

void json_tree_literal(struct json_tree *tree, char first)
{
    if (tree->kept.text)
        return;
    cJSON *node = add_node(tree, first == 't' ? cJSON_True : first == 'f' ? cJSON_False : cJSON_NULL, NULL);
    if (node)
        node->valueint = first == 't';
}

/* ------------------------------------------------------------- containers */

/* True if the array that opens now is at the place to keep. Keys with escapes do not match. */
static bool is_to_keep(const struct json_tree *tree)
{
    if (!tree->keep || tree->depth != 2 || !tree->key.text || !tree->open[2]->string)
        return false;
    return strlen(tree->keep->key) == tree->key.len && memcmp(tree->key.text, tree->keep->key, tree->key.len) == 0 &&
           strcmp(tree->open[2]->string, tree->keep->parent) == 0;
}

void json_tree_open(struct json_tree *tree, const char *text)
{
    bool is_object = *text == '{';
    if (!tree->kept.text && !is_object && is_to_keep(tree)) {
        tree->kept.text = text;
        tree->kept_depth = 0;
    }
    if (tree->kept.text) {
        tree->kept_depth++;
        return;
    }
    cJSON *node = add_node(tree, is_object ? cJSON_Object : cJSON_Array, NULL);
    if (node)
        tree->open[++tree->depth] = node;
}

void json_tree_close(struct json_tree *tree, const char *end)
{
    if (!tree->kept.text) {
        tree->depth -= !tree->failed;
    } else if (--tree->kept_depth == 0) {
        tree->kept.len = (size_t)(end - tree->kept.text);
        add_node(tree, cJSON_Array, &tree->kept);
        tree->kept.text = NULL;
    }
}
