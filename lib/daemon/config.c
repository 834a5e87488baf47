#include "daemon/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/config_file.h"
#include "daemon/config_value.h"

enum { NAME_MAX_LEN = 64, LINE_MAX_LEN = 2048 };

/* The state of one config_load. */
struct load {
    const struct config_schema *schema;
    void *config;
    struct config_origin *origins;
    bool *is_bad; /* by key: an error was reported */
    bool is_cut;  /* the file was not read to its end, so a missing key may be in the rest */
    struct buf *errors;
};

/* An error may quote text with line breaks, but is one line. */
static void make_one_line(char *text)
{
    err_make_printable(text);
    for (char *c = text; *c; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
}

void config_complain(struct buf *errors, const char *where, const char *format, ...)
{
    char line[LINE_MAX_LEN];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    char place[LINE_MAX_LEN];
    snprintf(place, sizeof(place), "%s", where);
    make_one_line(line);
    make_one_line(place);
    buf_printf(errors, "%s: %s\n", place, line);
}

void config_add_variable(const struct config_schema *schema, const char *key, struct buf *ret)
{
    buf_printf(ret, "%s_", schema->prefix);
    for (const char *c = key; *c; c++)
        buf_putc(ret, (char)toupper((unsigned char)*c));
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* The number of letters to add, remove or change. '-' equals '_', and case is ignored. Both at most NAME_MAX_LEN long.
 */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_LEN + 1];
    size_t len_b = strlen(b);
    for (size_t j = 0; j <= len_b; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < len_b; j++) {
            int x = a[i] == '-' ? '_' : tolower((unsigned char)a[i]);
            int y = tolower((unsigned char)b[j]);
            size_t changed = diagonal + (x != y);
            diagonal = row[j + 1];
            row[j + 1] = min3(changed, row[j] + 1, diagonal + 1);
        }
    }
    return row[len_b];
}

/* The key whose name is most similar, or NULL. */
static const char *nearest_key(const struct config_schema *schema, const char *name)
{
    size_t len = strlen(name);
    if (len > NAME_MAX_LEN)
        return NULL;
    size_t best = (len < 6 ? 1 : len / 3) + 1;
    const char *ret = NULL;
    for (size_t i = 0; i < schema->n_keys; i++) {
        if (strlen(schema->keys[i].name) > NAME_MAX_LEN)
            continue;
        size_t distance = edit_distance(name, schema->keys[i].name);
        if (distance < best) {
            best = distance;
            ret = schema->keys[i].name;
        }
    }
    return ret;
}

/* Returns schema->n_keys if the key is unknown. */
static size_t find_key(const struct config_schema *schema, const char *name, size_t len)
{
    size_t i = 0;
    while (i < schema->n_keys && (strlen(schema->keys[i].name) != len || memcmp(schema->keys[i].name, name, len) != 0))
        i++;
    return i;
}

static int note(struct load *load, size_t i, int result, const struct config_origin *origin)
{
    if (result == 0) {
        load->origins[i] = *origin;
        load->is_bad[i] = false;
    } else if (result == NEVER) {
        load->is_bad[i] = true;
    }
    return result < 0 ? result : 0;
}

/* The index of the entry's key, or schema->n_keys if the entry cannot be used. `seen` as in apply_entry. */
static size_t key_of_entry(struct load *load, const char *where, const struct config_entry *entry, const int *seen)
{
    const struct config_schema *schema = load->schema;
    if (!entry->key) {
        config_complain(load->errors, where, "%s", entry->problem);
        return schema->n_keys;
    }
    size_t i = find_key(schema, entry->key, strlen(entry->key));
    if (i == schema->n_keys) {
        const char *nearest = nearest_key(schema, entry->key);
        config_complain(load->errors, where, "unknown key%s%s%s", nearest ? "; did you mean " : "",
                        nearest ? nearest : "", nearest ? "?" : "");
    } else if (seen[i] != 0) {
        config_complain(load->errors, where, "is already set in line %d", seen[i]);
        i = schema->n_keys;
    }
    return i;
}

/* An entry of the file or of the defaults. `seen`: by key, the line of an earlier entry for it, or 0. */
static int apply_entry(struct load *load, const char *path, const struct config_entry *entry, enum config_from from,
                       int *seen)
{
    char where[LINE_MAX_LEN];
    if (entry->key)
        snprintf(where, sizeof(where), "%s:%d: %.*s", path, entry->line, NAME_MAX_LEN, entry->key);
    else
        snprintf(where, sizeof(where), "%s:%d", path, entry->line);
    size_t i = key_of_entry(load, where, entry, seen);
    if (i == load->schema->n_keys)
        return 0;
    seen[i] = entry->line;
    struct err err = ERR_INIT;
    const struct config_key *key = &load->schema->keys[i];
    int result = 0;
    if (entry->problem)
        result = err_never(&err, "bad_value", "%s", entry->problem);
    else if (!entry->is_null)
        result = config_value_set(key, load->config, &entry->values, entry->is_list, &err);
    else if (key->default_text && !*key->default_text)
        config_value_clear(key, load->config);
    else
        result = err_never(&err, "bad_value", "has no value");
    if (result != 0)
        config_complain(load->errors, where, "%s", err.text);
    return note(load, i, result, &(struct config_origin){ .from = from, .line = entry->line });
}

static int apply_yaml(struct load *load, const char *path, const struct buf *text, enum config_from from)
{
    auto_config_entries struct config_entries entries = { .list = NULL };
    auto_free int *seen = calloc(load->schema->n_keys + 1, sizeof(*seen));
    if (!seen)
        return -ENOMEM;
    struct err err = ERR_INIT;
    int line = 0;
    int parsed = config_file_parse(buf_str(text), text->len, &entries, &line, &err);
    if (parsed < 0)
        return parsed;
    for (size_t i = 0; i < entries.n; i++) {
        int result = apply_entry(load, path, &entries.list[i], from, seen);
        if (result != 0)
            return result;
    }
    if (parsed != 0) {
        load->is_cut = true;
        char where[LINE_MAX_LEN];
        snprintf(where, sizeof(where), "%s:%d", path, line);
        config_complain(load->errors, where, "%s", err.text);
    }
    return 0;
}

/* Defaults have the form that they have in a file, so the same code reads them. */
static int apply_defaults(struct load *load)
{
    auto_buf struct buf text = BUF_INIT;
    for (size_t i = 0; i < load->schema->n_keys; i++) {
        const struct config_key *key = &load->schema->keys[i];
        if (key->default_text && *key->default_text)
            buf_printf(&text, "%s: %s\n", key->name, key->default_text);
        else if (key->default_text)
            load->origins[i].from = CONFIG_DEFAULT;
    }
    return buf_failed(&text) ? -ENOMEM : apply_yaml(load, "default", &text, CONFIG_DEFAULT);
}

static int apply_file(struct load *load, const struct config_source *source, bool *ret_there)
{
    auto_buf struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    int result = config_file_read(source->path, &text, &err);
    *ret_there = result == 0;
    if (result < 0)
        return result;
    if (result == 0)
        return apply_yaml(load, source->path, &text, CONFIG_FILE);
    if (source->must_exist || !err_is(&err, "not_there")) {
        load->is_cut = true;
        config_complain(load->errors, source->path, "%s", err.text);
    }
    return 0;
}

static void complain_of_variable(struct load *load, const char *where, const char *key)
{
    const char *nearest = nearest_key(load->schema, key);
    auto_buf struct buf variable = BUF_INIT;
    if (nearest)
        config_add_variable(load->schema, nearest, &variable);
    config_complain(load->errors, where, "unknown key%s%s%s", nearest ? "; did you mean " : "", buf_str(&variable),
                    nearest ? "?" : "");
}

/* `name` is without the prefix, `value` is not empty. */
static int apply_variable(struct load *load, const char *name, int name_len, const char *value)
{
    const struct config_schema *schema = load->schema;
    char key[NAME_MAX_LEN + 1];
    snprintf(key, sizeof(key), "%.*s", name_len, name);
    /* Only the upper-case variable sets the key. */
    bool is_upper = name_len <= NAME_MAX_LEN;
    for (char *c = key; *c; c++) {
        is_upper = is_upper && !islower((unsigned char)*c);
        *c = (char)tolower((unsigned char)*c);
    }
    char where[LINE_MAX_LEN];
    snprintf(where, sizeof(where), "environment %s_%.*s", schema->prefix, name_len, name);
    size_t i = find_key(schema, key, strlen(key));
    if (i == schema->n_keys || !is_upper) {
        complain_of_variable(load, where, key);
        return 0;
    }
    struct err err = ERR_INIT;
    int result = config_value_set_text(&schema->keys[i], load->config, value, &err);
    if (result != 0)
        config_complain(load->errors, where, "%s", err.text);
    return note(load, i, result, &(struct config_origin){ .from = CONFIG_ENVIRONMENT });
}

static int apply_environment(struct load *load)
{
    size_t len = strlen(load->schema->prefix);
    for (char **variable = environ; variable && *variable; variable++) {
        if (strncmp(*variable, load->schema->prefix, len) != 0 || (*variable)[len] != '_')
            continue;
        const char *name = *variable + len + 1;
        const char *value = strchr(name, '=');
        if (!value || !value[1])
            continue;
        int name_len = value - name > NAME_MAX_LEN ? NAME_MAX_LEN + 1 : (int)(value - name);
        int result = apply_variable(load, name, name_len, value + 1);
        if (result != 0)
            return result;
    }
    return 0;
}

/* Returns whether every required key has a value. Reports those that do not, unless they were reported before. */
static bool check_required(struct load *load, const char *path)
{
    bool complete = true;
    for (size_t i = 0; i < load->schema->n_keys; i++) {
        if (load->origins[i].from != CONFIG_UNSET)
            continue;
        complete = false;
        if (load->is_bad[i])
            continue;
        const char *key = load->schema->keys[i].name;
        auto_buf struct buf variable = BUF_INIT;
        config_add_variable(load->schema, key, &variable);
        char where[LINE_MAX_LEN];
        if (path) {
            snprintf(where, sizeof(where), "%s: %s", path, key);
            config_complain(load->errors, where, "is required; set it in this file or as %s", buf_str(&variable));
        } else {
            snprintf(where, sizeof(where), "environment %s", buf_str(&variable));
            config_complain(load->errors, where, "is required; set it, or set %s in the configuration file", key);
        }
    }
    return complete;
}

/* "FILE:LINE: key", "environment PREFIX_KEY", or for a default "key". */
static void add_place(const struct load *load, const char *path, const char *key, struct buf *ret)
{
    size_t i = find_key(load->schema, key, strlen(key));
    enum config_from from = i < load->schema->n_keys ? load->origins[i].from : CONFIG_UNSET;
    if (from == CONFIG_ENVIRONMENT) {
        buf_puts(ret, "environment ");
        config_add_variable(load->schema, key, ret);
        return;
    }
    if (from == CONFIG_FILE)
        buf_printf(ret, "%s:%d: ", path, load->origins[i].line);
    buf_puts(ret, key);
}

/* schema->check reports "key: text"; the user also gets the place where this key was set. */
static void check_together(struct load *load, const char *path)
{
    auto_buf struct buf lines = BUF_INIT;
    load->schema->check(load->config, &lines);
    load->errors->failed |= buf_failed(&lines);
    char *rest = lines.data;
    for (char *text = strsep(&rest, "\n"); rest; text = strsep(&rest, "\n")) {
        const char *key = strsep(&text, ":");
        add_place(load, path, key, load->errors);
        buf_printf(load->errors, ":%s\n", text ? text : "");
    }
}

static int load_all(struct load *load, const struct config_source *source)
{
    bool there = false;
    int result = apply_defaults(load);
    if (result == 0 && source->path)
        result = apply_file(load, source, &there);
    if (result == 0)
        result = apply_environment(load);
    if (result != 0)
        return result;
    if (!load->is_cut && (source->may_be_incomplete || check_required(load, there ? source->path : NULL)) &&
        load->schema->check)
        check_together(load, source->path);
    return 0;
}

int config_load(const struct config_schema *schema, const struct config_source *source, void *config,
                struct buf *errors)
{
    memset(config, 0, schema->size);
    auto_free struct config_origin *origins = calloc(schema->n_keys + 1, sizeof(*origins));
    auto_free bool *is_bad = calloc(schema->n_keys + 1, sizeof(*is_bad));
    if (!origins || !is_bad)
        return -ENOMEM;
    struct load load = { .schema = schema, .config = config, .origins = origins, .is_bad = is_bad, .errors = errors };
    size_t before = errors->len;
    int result = load_all(&load, source);
    if (buf_failed(errors))
        result = -ENOMEM;
    else if (result == 0 && errors->len > before)
        result = NEVER;
    if (result != 0)
        config_clear(schema, config);
    else if (source->origins)
        memcpy(source->origins, origins, schema->n_keys * sizeof(*origins));
    return result;
}

void config_clear(const struct config_schema *schema, void *config)
{
    for (size_t i = 0; i < schema->n_keys; i++)
        config_value_clear(&schema->keys[i], config);
    explicit_bzero(config, schema->size);
}
