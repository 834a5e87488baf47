#include "daemon/config_value.h"

#include <inttypes.h>

#include "base/json.h"
#include "base/num.h"
#include "base/utf8.h"

/* The member of the config struct: a pointer for the types that own memory, else the value itself. */
static void *place(const struct config_key *key, void *config)
{
    return (char *)config + key->offset;
}

static const void *value_of(const struct config_key *key, const void *config)
{
    return (const char *)config + key->offset;
}

/* False: the text has characters that YAML does not allow and that no URL, name or path needs. */
static bool is_clean(const char *text)
{
    size_t len = strlen(text);
    for (size_t at = 0; at < len;) {
        uint32_t c = 0;
        size_t n = utf8_next(text + at, len - at, &c);
        if (n == 0 || c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xfeff || c == 0xfffe || c == 0xffff)
            return false;
        at += n;
    }
    return true;
}

static int set_string(const struct config_key *key, char **at, const char *text, struct err *err)
{
    if (!*text && !key->default_text)
        return err_never(err, "bad_value", "must not be empty");
    auto_wipe char *copy = *text ? strdup(text) : NULL;
    if (*text && !copy)
        return err_no_memory(err);
    char *old = *at;
    *at = copy;
    copy = old; /* freed */
    return 0;
}

static void list_clear(struct config_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        wipe_string(list->items[i]);
    free(list->items);
    *list = (struct config_list){ .items = NULL };
}
#define auto_list cleanup(list_clear)

static int copy_list(const struct config_list *values, struct config_list *ret, struct err *err)
{
    if (values->n == 0)
        return 0;
    ret->items = calloc(values->n, sizeof(*ret->items));
    if (!ret->items)
        return err_no_memory(err);
    for (; ret->n < values->n; ret->n++) {
        ret->items[ret->n] = strdup(values->items[ret->n]);
        if (!ret->items[ret->n])
            return err_no_memory(err);
    }
    return 0;
}

static int set_list(const struct config_key *key, struct config_list *at, const struct config_list *values,
                    struct err *err)
{
    if (values->n == 0 && !key->default_text)
        return err_never(err, "bad_value", "must not be empty");
    for (size_t i = 0; i < values->n; i++)
        if (!*values->items[i])
            return err_never(err, "bad_value", "contains an empty element");
    auto_list struct config_list copy = { .items = NULL };
    int result = copy_list(values, &copy, err);
    if (result != 0)
        return result;
    struct config_list old = *at;
    *at = copy;
    copy = old; /* freed */
    return 0;
}

static int set_bool(bool *at, const char *text, struct err *err)
{
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };
    for (size_t i = 0; i < N_ELEMENTS(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *at = i % 2 == 1;
            return 0;
        }
    }
    return err_never(err, "bad_value", "expected true or false, got \"%.64s\"", text);
}

static void add_choices(const struct config_key *key, struct buf *ret)
{
    for (size_t i = 0; key->choices[i]; i++)
        buf_printf(ret, "%s%s", i == 0 ? "" : ", ", key->choices[i]);
}

static int set_choice(const struct config_key *key, int *at, const char *text, struct err *err)
{
    for (int i = 0; key->choices[i]; i++) {
        if (strcmp(text, key->choices[i]) == 0) {
            *at = i;
            return 0;
        }
    }
    auto_buf struct buf choices = BUF_INIT;
    add_choices(key, &choices);
    return err_never(err, "bad_value", "\"%.64s\" is not one of %s", text, buf_str(&choices));
}

static int set_scalar(const struct config_key *key, void *at, const char *text, struct err *err)
{
    switch (key->type) {
    case CONFIG_STRING:
        return set_string(key, at, text, err);
    case CONFIG_INT:
        return num_parse_i64(text, key->min, key->max, at, err);
    case CONFIG_DURATION:
        return num_parse_duration(text, key->min, key->max, at, err);
    case CONFIG_SIZE:
        return num_parse_size(text, key->min, key->max, at, err);
    case CONFIG_BOOL:
        return set_bool(at, text, err);
    case CONFIG_CHOICE:
        return set_choice(key, at, text, err);
    case CONFIG_LIST:
        break;
    }
    /* "" empties a list, as it empties a string. */
    if (!*text)
        return set_list(key, at, &(struct config_list){ .items = NULL }, err);
    return err_never(err, "bad_value", "expected a list, for example [a, b]");
}

int config_value_set(const struct config_key *key, void *config, const struct config_list *values, bool list,
                     struct err *err)
{
    for (size_t i = 0; i < values->n; i++)
        if (!is_clean(values->items[i]))
            return err_never(err, "bad_value", "contains a control character or is not UTF-8");
    int result = 0;
    if (key->type == CONFIG_LIST && list)
        result = set_list(key, place(key, config), values, err);
    else if (list || values->n != 1)
        result = err_never(err, "bad_value", "expected one value, got a list");
    else
        result = set_scalar(key, place(key, config), values->items[0], err);
    if (result == NEVER && key->secret)
        return err_never(err, "bad_value", "is not valid (the value is secret, so it is not shown)");
    return result;
}

static char *trim(char *text)
{
    text += strspn(text, " ");
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == ' ')
        text[--len] = '\0';
    return text;
}

static int set_separated(const struct config_key *key, void *config, char *text, struct err *err)
{
    size_t n = 1;
    for (const char *c = text; *c; c++)
        n += *c == ',';
    auto_free char **items = calloc(n, sizeof(*items));
    if (!items)
        return err_no_memory(err);
    for (size_t i = 0; i < n; i++)
        items[i] = trim(strsep(&text, ","));
    return config_value_set(key, config, &(struct config_list){ .items = items, .n = n }, true, err);
}

int config_value_set_text(const struct config_key *key, void *config, const char *text, struct err *err)
{
    auto_buf struct buf copy = BUF_INIT;
    buf_puts(&copy, text);
    if (buf_failed(&copy) || !copy.data)
        return err_no_memory(err);
    if (key->type == CONFIG_LIST)
        return set_separated(key, config, copy.data, err);
    return config_value_set(key, config, &(struct config_list){ .items = &copy.data, .n = 1 }, false, err);
}

void config_value_clear(const struct config_key *key, void *config)
{
    if (key->type == CONFIG_STRING) {
        char **at = place(key, config);
        wipe_string(TAKE(*at));
    } else if (key->type == CONFIG_LIST) {
        list_clear(place(key, config));
    }
}

static void print_list(const struct config_list *list, bool secret, struct buf *ret)
{
    buf_putc(ret, '[');
    for (size_t i = 0; i < list->n; i++) {
        buf_puts(ret, i == 0 ? "" : ", ");
        json_write_string(secret ? "***" : list->items[i], ret);
    }
    buf_putc(ret, ']');
}

static void print_string(const char *text, bool secret, struct buf *ret)
{
    /* A JSON string is a double-quoted scalar of YAML. */
    json_write_string(text && secret ? "***" : text ? text : "", ret);
}

void config_value_print(const struct config_key *key, const void *config, struct buf *ret)
{
    const void *at = value_of(key, config);
    if (key->type == CONFIG_STRING)
        print_string(*(char *const *)at, key->secret, ret);
    else if (key->type == CONFIG_LIST)
        print_list(at, key->secret, ret);
    else if (key->secret)
        buf_puts(ret, "\"***\"");
    else if (key->type == CONFIG_INT)
        buf_printf(ret, "%" PRId64, *(const int64_t *)at);
    else if (key->type == CONFIG_DURATION)
        num_print_duration(*(const int64_t *)at, ret);
    else if (key->type == CONFIG_SIZE)
        num_print_size(*(const int64_t *)at, ret);
    else if (key->type == CONFIG_BOOL)
        buf_puts(ret, *(const bool *)at ? "true" : "false");
    else
        buf_puts(ret, key->choices[*(const int *)at]);
}

void config_value_describe(const struct config_key *key, struct buf *ret)
{
    switch (key->type) {
    case CONFIG_STRING:
        buf_puts(ret, "text");
        break;
    case CONFIG_LIST:
        buf_puts(ret, "list, [a, b]; in the environment a,b");
        break;
    case CONFIG_INT:
        buf_printf(ret, "whole number, %" PRId64 " to %" PRId64, key->min, key->max);
        break;
    case CONFIG_DURATION:
        buf_puts(ret, "duration, ");
        num_print_duration(key->min, ret);
        buf_puts(ret, " to ");
        num_print_duration(key->max, ret);
        break;
    case CONFIG_SIZE:
        buf_puts(ret, "size, ");
        num_print_size(key->min, ret);
        buf_puts(ret, " to ");
        num_print_size(key->max, ret);
        break;
    case CONFIG_BOOL:
        buf_puts(ret, "true or false");
        break;
    case CONFIG_CHOICE:
        buf_puts(ret, "one of ");
        add_choices(key, ret);
        break;
    }
}
