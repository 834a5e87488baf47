#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/num.h"

struct member {
    cJSON *node;
    size_t position;
};

static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = strcmp(x->node->string, y->node->string);
    if (order != 0)
        return order;
    return x->position < y->position ? -1 : 1;
}

/* Keeps only the last member of each key, by sorting. For objects of any size. */
static bool drop_duplicates_sorted(cJSON *object, size_t n)
{
    auto_free struct member *members = calloc(n, sizeof(*members));
    if (!members)
        return false;
    size_t i = 0;
    for (cJSON *node = object->child; node; node = node->next, i++)
        members[i] = (struct member){ node, i };
    qsort(members, n, sizeof(*members), compare_members);
    for (i = 0; i + 1 < n; i++)
        if (strcmp(members[i].node->string, members[i + 1].node->string) == 0)
            cJSON_Delete(cJSON_DetachItemViaPointer(object, members[i].node));
    return true;
}

/* The same for few members: comparing pairs is faster than sorting. Each key has one of 64 bits, and equal keys have
 * equal bits, so most pairs need no comparison. */
static void drop_duplicates_compared(cJSON *object)
{
    uint64_t seen = 0;
    for (const cJSON *node = object->child; node; node = node->next) {
        size_t first = (unsigned char)node->string[0], second = first ? (unsigned char)node->string[1] : 0;
        uint64_t bit = UINT64_C(1) << ((first + 7 * second) % 64);
        cJSON *earlier = seen & bit ? object->child : NULL;
        seen |= bit;
        while (earlier && earlier != node && strcmp(earlier->string, node->string) != 0)
            earlier = earlier->next;
        if (earlier && earlier != node)
            cJSON_Delete(cJSON_DetachItemViaPointer(object, earlier));
    }
}

static size_t count_members(const cJSON *object)
{
    size_t n = 0;
    for (const cJSON *member = object->child; member; member = member->next)
        n++;
    return n;
}

static bool drop_duplicates(cJSON *node)
{
    enum { FEW = 40 };

    for (; node; node = node->next) {
        if (!node->child)
            continue;
        if ((node->type & 0xff) == cJSON_Object) {
            if (count_members(node) <= FEW)
                drop_duplicates_compared(node);
            else if (!drop_duplicates_sorted(node, count_members(node)))
                return false;
        }
        if (!drop_duplicates(node->child))
            return false;
    }
    return true;
}

int json_parse(const char *text, size_t len, cJSON **ret, struct err *err)
{
    return json_parse_part(text, len, (struct json_position){ 1, 1 }, NULL, ret, err);
}

int json_parse_keeping(const char *text, size_t len, const struct json_place *keep, cJSON **ret, struct err *err)
{
    return json_parse_part(text, len, (struct json_position){ 1, 1 }, keep, ret, err);
}

int json_parse_part(const char *text, size_t len, struct json_position position, const struct json_place *keep,
                    cJSON **ret, struct err *err)
{
    cleanup(json_tree_clear) struct json_tree tree;
    json_tree_begin(&tree, keep);
    int r = json_scan(text, len, position, &tree, err);
    if (r != 0)
        return r;
    if (!drop_duplicates(tree.root))
        return err_no_memory(err);
    *ret = TAKE(tree.root);
    return 0;
}

void json_write_string(const char *text, struct buf *ret)
{
    buf_putc(ret, '"');
    for (const char *at = text; *at;) {
        size_t plain = 0;
        while ((unsigned char)at[plain] >= 0x20 && at[plain] != '"' && at[plain] != '\\')
            plain++;
        buf_add(ret, at, plain);
        at += plain;
        if (!*at)
            break;
        switch (*at) {
        case '"':
            buf_puts(ret, "\\\"");
            break;
        case '\\':
            buf_puts(ret, "\\\\");
            break;
        case '\n':
            buf_puts(ret, "\\n");
            break;
        case '\r':
            buf_puts(ret, "\\r");
            break;
        case '\t':
            buf_puts(ret, "\\t");
            break;
        default:
            buf_printf(ret, "\\u%04x", (unsigned char)*at);
        }
        at++;
    }
    buf_putc(ret, '"');
}

static void write_children(const cJSON *json, struct buf *ret)
{
    for (const cJSON *child = json->child; child; child = child->next) {
        if (child != json->child)
            buf_putc(ret, ',');
        if (cJSON_IsObject(json)) {
            json_write_string(child->string, ret);
            buf_putc(ret, ':');
        }
        json_write(child, ret);
    }
}

void json_write(const cJSON *json, struct buf *ret)
{
    switch (json->type & 0xff) {
    case cJSON_Object:
        buf_putc(ret, '{');
        write_children(json, ret);
        buf_putc(ret, '}');
        break;
    case cJSON_Array:
        if (json->valuestring) {
            buf_puts(ret, json->valuestring);
            break;
        }
        buf_putc(ret, '[');
        write_children(json, ret);
        buf_putc(ret, ']');
        break;
    case cJSON_String:
        json_write_string(json->valuestring, ret);
        break;
    case cJSON_Raw:
        buf_puts(ret, json->valuestring);
        break;
    case cJSON_Number: /* created by this process (counts, times), not parsed */
        buf_printf(ret, "%.17g", json->valuedouble);
        break;
    case cJSON_True:
        buf_puts(ret, "true");
        break;
    case cJSON_False:
        buf_puts(ret, "false");
        break;
    default:
        buf_puts(ret, "null");
    }
}

cJSON *json_get(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

int json_set(cJSON *object, const char *key, cJSON *value, struct err *err)
{
    bool done = value && (json_get(object, key) ? cJSON_ReplaceItemInObjectCaseSensitive(object, key, value)
                                                : cJSON_AddItemToObject(object, key, value));
    if (!done)
        cJSON_Delete(value);
    /* Without memory for the key, cJSON 1.7.15 replaces the member, leaves its key NULL and reports success. */
    return done && value->string ? 0 : err_no_memory(err);
}

const char *json_get_string(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(json_get(object, key));
}

char *json_take_string(cJSON *json)
{
    return json->type & cJSON_IsReference ? strdup(json->valuestring) : TAKE(json->valuestring);
}

const char *json_kept_text(const cJSON *json)
{
    return cJSON_IsArray(json) ? json->valuestring : NULL;
}

bool json_is_number(const cJSON *json)
{
    return cJSON_IsNumber(json) || cJSON_IsRaw(json);
}

const char *json_number_text(const cJSON *json)
{
    return cJSON_IsRaw(json) ? json->valuestring : NULL;
}

bool json_get_i64(const cJSON *object, const char *key, int64_t min, int64_t max, int64_t *ret)
{
    const cJSON *member = json_get(object, key);
    const char *text = cJSON_IsString(member) ? member->valuestring : json_number_text(member);
    return text && num_parse_i64(text, min, max, ret, NULL) == 0;
}

static bool objects_equal(const cJSON *a, const cJSON *b)
{
    const cJSON *y = b->child;
    for (const cJSON *x = a->child; x; x = x->next, y = y->next) {
        if (!y)
            return false;
        /* Documents of one producer have their keys in the same order: try the same position before searching. */
        const cJSON *twin = strcmp(x->string, y->string) == 0 ? y : json_get(b, x->string);
        if (!twin || !json_equal(x, twin))
            return false;
    }
    return !y;
}

static bool arrays_equal(const cJSON *a, const cJSON *b)
{
    const cJSON *x = a->child, *y = b->child;
    for (; x && y; x = x->next, y = y->next)
        if (!json_equal(x, y))
            return false;
    return !x && !y;
}

bool json_equal(const cJSON *a, const cJSON *b)
{
    if ((a->type & 0xff) != (b->type & 0xff))
        return false;
    switch (a->type & 0xff) {
    case cJSON_Object:
        return objects_equal(a, b);
    case cJSON_Array:
        return arrays_equal(a, b);
    case cJSON_String:
        return strcmp(a->valuestring, b->valuestring) == 0;
    case cJSON_Raw:
        return num_equal(a->valuestring, b->valuestring);
    default:
        return true;
    }
}

const char *json_kind(const cJSON *json)
{
    if (!json)
        return "missing";
    if (json_is_number(json))
        return "a number";
    switch (json->type & 0xff) {
    case cJSON_Object:
        return "an object";
    case cJSON_Array:
        return "an array";
    case cJSON_String:
        return "a string";
    case cJSON_NULL:
        return "null";
    default:
        return "a boolean";
    }
}
