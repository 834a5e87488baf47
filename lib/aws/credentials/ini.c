#include "aws/credentials/ini.h"

#include <ctype.h>

#include "base/buf.h"
#include "base/utf8.h"

/* A part of the text, without a NUL. */
struct span {
    const char *at;
    size_t len;
};

struct parser {
    const char *name;
    size_t line;
    struct ini ini;

    char *key; /* of the setting whose value may continue on the next line; NULL: none */
    size_t key_line, key_indent;
    struct buf value;
};

static void parser_clear(struct parser *parser)
{
    wipe_string(parser->key);
    buf_clear(&parser->value);
    ini_clear(&parser->ini);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t indent_of(struct span line)
{
    size_t indent = 0;
    while (indent < line.len && is_blank(line.at[indent]))
        indent++;
    return indent;
}

static struct span trim(struct span s)
{
    size_t indent = indent_of(s);
    s.at += indent;
    s.len -= indent;
    while (s.len > 0 && is_blank(s.at[s.len - 1]))
        s.len--;
    return s;
}

static int line_error(const struct parser *parser, size_t line, const char *what, struct err *err)
{
    return err_never(err, "bad_aws_config", "%s, line %zu: %s", parser->name, line, what);
}

/* Returns the array with room for one more element. NULL: no memory; the array is unchanged. */
static void *grown(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    size_t more = *cap ? *cap * 2 : 16;
    void *larger = reallocarray(array, more, size);
    if (larger)
        *cap = more;
    return larger;
}

static int add_section(struct parser *parser, struct span header, struct err *err)
{
    struct ini *ini = &parser->ini;
    for (size_t i = 0; i < ini->n_sections; i++)
        if (strlen(ini->sections[i]) == header.len && memcmp(ini->sections[i], header.at, header.len) == 0)
            return line_error(parser, parser->line, "this section exists already", err);
    if (ini->n_sections == INI_MAX_ENTRIES)
        return line_error(parser, parser->line, "too many sections", err);
    char **sections = grown(ini->sections, ini->n_sections, &ini->sections_cap, sizeof(*sections));
    if (!sections)
        return err_no_memory(err);
    ini->sections = sections;
    sections[ini->n_sections] = strndup(header.at, header.len);
    if (!sections[ini->n_sections])
        return err_no_memory(err);
    ini->n_sections++;
    return 0;
}

static void entry_clear(struct ini_entry *entry)
{
    free(entry->key);
    free(entry->nested);
    wipe_string(entry->value);
}

/* `nested.at` NULL: the value of the key itself. */
static int add_entry(struct parser *parser, struct span nested, struct span value, struct err *err)
{
    struct ini *ini = &parser->ini;
    if (ini->n_entries == INI_MAX_ENTRIES)
        return line_error(parser, parser->key_line, "too many settings", err);
    struct ini_entry *entries = grown(ini->entries, ini->n_entries, &ini->entries_cap, sizeof(*entries));
    if (!entries)
        return err_no_memory(err);
    ini->entries = entries;
    cleanup(entry_clear) struct ini_entry entry = {
        .section = ini->n_sections - 1,
        .key = strdup(parser->key),
        .nested = nested.at ? strndup(nested.at, nested.len) : NULL,
        .value = strndup(value.at, value.len),
    };
    if (!entry.key || !entry.value || (nested.at && !entry.nested))
        return err_no_memory(err);
    entries[ini->n_entries++] = entry;
    entry = (struct ini_entry){ .key = NULL };
    return 0;
}

/* Removes the next line from `rest` and returns it. */
static struct span next_line(struct span *rest)
{
    const char *newline = rest->len > 0 ? memchr(rest->at, '\n', rest->len) : NULL;
    struct span line = { rest->at, newline ? (size_t)(newline - rest->at) : rest->len };
    size_t used = line.len + (newline != NULL);
    rest->at += used;
    rest->len -= used;
    return line;
}

static int add_nested(struct parser *parser, struct span lines, struct err *err)
{
    while (lines.len > 0) {
        struct span line = trim(next_line(&lines));
        if (line.len == 0)
            continue;
        const char *equals = memchr(line.at, '=', line.len);
        if (!equals)
            return line_error(parser, parser->key_line, "a line of the block below has no '='", err);
        size_t name_len = (size_t)(equals - line.at);
        struct span name = trim((struct span){ line.at, name_len });
        struct span value = trim((struct span){ equals + 1, line.len - name_len - 1 });
        int r = add_entry(parser, name, value, err);
        if (r != 0)
            return r;
    }
    return 0;
}

/* Adds the setting whose value was being read, if any. */
static int end_setting(struct parser *parser, struct err *err)
{
    if (!parser->key)
        return 0;
    if (buf_failed(&parser->value))
        return err_no_memory(err);
    struct span value = { buf_str(&parser->value), parser->value.len };
    while (value.len > 0 && is_blank(value.at[value.len - 1]))
        value.len--;
    int r = value.len > 0 && value.at[0] == '\n' ? add_nested(parser, value, err)
                                                 : add_entry(parser, (struct span){ NULL, 0 }, value, err);
    wipe_string(TAKE(parser->key));
    buf_clear(&parser->value);
    return r;
}

static int begin_setting(struct parser *parser, struct span line, size_t indent, struct err *err)
{
    if (parser->ini.n_sections == 0)
        return line_error(parser, parser->line, "a setting before the first [section]", err);
    size_t name_len = 0;
    while (name_len < line.len && line.at[name_len] != '=' && line.at[name_len] != ':')
        name_len++;
    struct span name = trim((struct span){ line.at, name_len });
    if (name_len == line.len || name.len == 0)
        return line_error(parser, parser->line, "expected [section], key = value or # comment", err);
    parser->key = strndup(name.at, name.len);
    if (!parser->key)
        return err_no_memory(err);
    for (char *c = parser->key; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    for (size_t i = 0; i < parser->ini.n_entries; i++) {
        const struct ini_entry *entry = &parser->ini.entries[i];
        if (entry->section == parser->ini.n_sections - 1 && strcmp(entry->key, parser->key) == 0)
            return line_error(parser, parser->line, "this key exists already in its section", err);
    }
    parser->key_line = parser->line;
    parser->key_indent = indent;
    struct span value = trim((struct span){ line.at + name_len + 1, line.len - name_len - 1 });
    buf_add(&parser->value, value.at, value.len);
    return 0;
}

static int parse_line(struct parser *parser, struct span line, struct err *err)
{
    if (line.len > INI_MAX_LINE)
        return line_error(parser, parser->line, "the line is too long", err);
    size_t indent = indent_of(line);
    struct span content = trim(line);
    if (content.len > 0 && (content.at[0] == '#' || content.at[0] == ';'))
        return 0;
    if (parser->key && (content.len == 0 || indent > parser->key_indent)) {
        buf_putc(&parser->value, '\n');
        buf_add(&parser->value, content.at, content.len);
        return 0;
    }
    if (content.len == 0)
        return 0;
    int r = end_setting(parser, err);
    if (r != 0)
        return r;
    if (content.at[0] != '[')
        return begin_setting(parser, content, indent, err);
    const char *end = memrchr(content.at, ']', content.len);
    if (!end || end == content.at + 1)
        return line_error(parser, parser->line, "a section needs a name between [ and ]", err);
    return add_section(parser, (struct span){ content.at + 1, (size_t)(end - content.at - 1) }, err);
}

int ini_parse(const char *text, size_t len, const char *name, struct ini *ret, struct err *err)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    cleanup(parser_clear) struct parser parser = { .name = name };
    struct span rest = { text, len };
    if (len >= 3 && memcmp(text, byte_order_mark, 3) == 0)
        rest = (struct span){ text + 3, len - 3 };
    while (rest.len > 0) {
        struct span line = next_line(&rest);
        parser.line++;
        if (utf8_valid_prefix(line.at, line.len) < line.len || (line.len > 0 && memchr(line.at, '\0', line.len)))
            return line_error(&parser, parser.line, "not UTF-8 text", err);
        int r = parse_line(&parser, line, err);
        if (r != 0)
            return r;
    }
    int r = end_setting(&parser, err);
    if (r != 0)
        return r;
    *ret = parser.ini;
    parser.ini = (struct ini)INI_INIT;
    return 0;
}

void ini_clear(struct ini *ini)
{
    for (size_t i = 0; i < ini->n_sections; i++)
        free(ini->sections[i]);
    free(ini->sections);
    for (size_t i = 0; i < ini->n_entries; i++)
        entry_clear(&ini->entries[i]);
    free(ini->entries);
    *ini = (struct ini)INI_INIT;
}

const char *ini_get(const struct ini *ini, size_t section, const char *key, const char *nested)
{
    const char *found = NULL;
    for (size_t i = 0; i < ini->n_entries; i++) {
        const struct ini_entry *entry = &ini->entries[i];
        if (entry->section != section || strcmp(entry->key, key) != 0)
            continue;
        if (nested ? entry->nested && strcmp(entry->nested, nested) == 0 : !entry->nested)
            found = entry->value; /* the last of equal nested names counts */
    }
    return found;
}
