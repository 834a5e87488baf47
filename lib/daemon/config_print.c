#include "daemon/config_print.h"

#include "daemon/config_value.h"

enum { WIDTH = 100 };

/* ---------------------------------------------------------------- the effective configuration */

static void print_origin(const struct config_schema *schema, const struct config_source *source, size_t i,
                         struct buf *ret)
{
    if (!source->origins)
        return;
    const struct config_origin *origin = &source->origins[i];
    buf_puts(ret, "  # ");
    if (origin->from == CONFIG_FILE) {
        buf_printf(ret, "%s:%d", source->path, origin->line);
    } else if (origin->from == CONFIG_ENVIRONMENT) {
        buf_puts(ret, "environment ");
        config_add_variable(schema, schema->keys[i].name, ret);
    } else {
        buf_puts(ret, "default");
    }
}

void config_print(const struct config_schema *schema, const struct config_source *source, const void *config,
                  struct buf *ret)
{
    for (size_t i = 0; i < schema->n_keys; i++) {
        buf_printf(ret, "%s: ", schema->keys[i].name);
        config_value_print(&schema->keys[i], config, ret);
        print_origin(schema, source, i, ret);
        buf_putc(ret, '\n');
    }
}

/* ---------------------------------------------------------------- the documentation of a key */

/* A key, and the words that all formats use. */
struct entry {
    const struct config_key *key;
    struct buf type, variable;
    const char *fallback; /* the default in words */
};

static struct entry entry_of(const struct config_schema *schema, const struct config_key *key)
{
    struct entry entry = { .key = key, .type = BUF_INIT, .variable = BUF_INIT };
    config_value_describe(key, &entry.type);
    config_add_variable(schema, key->name, &entry.variable);
    entry.fallback = !key->default_text ? "none (required)" : *key->default_text ? key->default_text : "not set";
    return entry;
}

static void entry_clear(struct entry *entry)
{
    buf_clear(&entry->type);
    buf_clear(&entry->variable);
}
#define auto_entry cleanup(entry_clear)

/* Lines of at most WIDTH, each beginning with `prefix`. */
static void print_wrapped(const char *prefix, const char *text, struct buf *ret)
{
    size_t column = 0;
    for (const char *word = text; *word; word += strspn(word, " ")) {
        size_t len = strcspn(word, " ");
        bool is_first = column == 0 || column + 1 + len > WIDTH;
        if (is_first)
            buf_printf(ret, "%s%s", column == 0 ? "" : "\n", prefix);
        buf_printf(ret, "%s%.*s", is_first ? "" : " ", (int)len, word);
        column = is_first ? strlen(prefix) + len : column + 1 + len;
        word += len;
    }
    buf_putc(ret, '\n');
}

static void print_text(const struct entry *entry, struct buf *ret)
{
    buf_printf(ret, "%s\n", entry->key->name);
    print_wrapped("    ", entry->key->help, ret);
    buf_printf(ret, "    Environment: %s\n    Type: %s\n    Default: %s\n", buf_str(&entry->variable),
               buf_str(&entry->type), entry->fallback);
    if (entry->key->example)
        buf_printf(ret, "    Example: %s\n", entry->key->example);
    buf_putc(ret, '\n');
}

static void print_yaml(const struct entry *entry, struct buf *ret)
{
    const struct config_key *key = entry->key;
    auto_buf struct buf facts = BUF_INIT;
    buf_printf(&facts, "Environment: %s. Type: %s.%s", buf_str(&entry->variable), buf_str(&entry->type),
               key->default_text ? "" : " Required.");
    print_wrapped("# ", key->help, ret);
    print_wrapped("# ", buf_str(&facts), ret);
    if (key->example && key->default_text)
        buf_printf(ret, "# Example: %s: %s\n", key->name, key->example);
    const char *value = key->default_text ? key->default_text : key->example;
    buf_printf(ret, "#%s:%s%s\n\n", key->name, value && *value ? " " : "", value ? value : "");
    ret->failed |= buf_failed(&facts);
}

/* In mdoc each sentence begins a line, and a dot or quote at the beginning of a word could be taken for a macro. */
static void print_mdoc_text(const char *text, struct buf *ret)
{
    for (const char *c = text; *c; c++) {
        if (*c == ' ' && c > text && c[-1] == '.')
            buf_putc(ret, '\n');
        else if (*c == '\\')
            buf_puts(ret, "\\e");
        else if ((*c == '.' || *c == '\'') && (c == text || c[-1] == ' '))
            buf_printf(ret, "\\&%c", *c);
        else
            buf_putc(ret, *c);
    }
}

static void print_man(const struct entry *entry, struct buf *ret)
{
    buf_printf(ret, ".It Ic %s\n", entry->key->name);
    print_mdoc_text(entry->key->help, ret);
    buf_printf(ret, "\n.br\nEnvironment:\n.Ev %s .\nType: %s.\nDefault: ", buf_str(&entry->variable),
               buf_str(&entry->type));
    print_mdoc_text(entry->fallback, ret);
    buf_puts(ret, ".\n");
    if (!entry->key->example)
        return;
    buf_puts(ret, ".br\nExample: ");
    print_mdoc_text(entry->key->example, ret);
    buf_putc(ret, '\n');
}

static void print_markdown_text(const char *text, struct buf *ret)
{
    for (; *text; text++) {
        if (strchr("\\*|<`", *text))
            buf_putc(ret, '\\');
        buf_putc(ret, *text);
    }
}

static void print_markdown(const struct entry *entry, struct buf *ret)
{
    const struct config_key *key = entry->key;
    buf_printf(ret, "| `%s`<br>`%s` | %s | ", key->name, buf_str(&entry->variable), buf_str(&entry->type));
    if (key->default_text && *key->default_text)
        buf_printf(ret, "`%s` | ", key->default_text);
    else
        buf_printf(ret, "%s | ", key->default_text ? "not set" : "**required**");
    print_markdown_text(key->help, ret);
    if (key->example)
        buf_printf(ret, " Example: `%s`", key->example);
    buf_puts(ret, " |\n");
}

/* ---------------------------------------------------------------- all keys */

static const struct {
    const char *name; /* after --help-config=; NULL: the default */
    const char *head;
    void (*print)(const struct entry *entry, struct buf *ret);
} formats[] = {
    [CONFIG_TEXT] = { NULL, "", print_text },
    [CONFIG_YAML] = { "yaml", "", print_yaml },
    [CONFIG_MAN] = { "man", ".Bl -tag -width Ds\n", print_man },
    [CONFIG_MARKDOWN] = { "markdown", "| key, variable | type | default | meaning |\n| --- | --- | --- | --- |\n",
                          print_markdown },
};

bool config_print_format(const char *name, enum config_format *ret)
{
    for (size_t i = 0; i < N_ELEMENTS(formats); i++)
        if (formats[i].name && strcmp(name, formats[i].name) == 0) {
            *ret = (enum config_format)i;
            return true;
        }
    return false;
}

static void print_keys(const struct config_schema *schema, bool required, enum config_format format, struct buf *ret)
{
    for (size_t i = 0; i < schema->n_keys; i++) {
        if (!schema->keys[i].default_text != required)
            continue;
        auto_entry struct entry entry = entry_of(schema, &schema->keys[i]);
        formats[format].print(&entry, ret);
        ret->failed |= buf_failed(&entry.type) || buf_failed(&entry.variable);
    }
}

void config_print_help(const struct config_schema *schema, enum config_format format, struct buf *ret)
{
    buf_puts(ret, formats[format].head);
    print_keys(schema, true, format, ret);
    print_keys(schema, false, format, ret);
    if (format == CONFIG_MAN)
        buf_puts(ret, ".El\n");
}
