#include "daemon/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "base/utf8.h"

static void list_clear(struct config_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        wipe_string(list->items[i]);
    free(list->items);
    *list = (struct config_list){ .items = NULL };
}

static void entry_clear(struct config_entry *entry)
{
    free(entry->key);
    list_clear(&entry->values);
}
#define auto_entry cleanup(entry_clear)

void config_entries_clear(struct config_entries *entries)
{
    for (size_t i = 0; i < entries->n; i++)
        entry_clear(&entries->list[i]);
    free(entries->list);
    *entries = (struct config_entries){ .list = NULL };
}

static int read_all(int fd, struct buf *ret, struct err *err)
{
    for (;;) {
        char *at = buf_reserve(ret, CONFIG_FILE_MAX / 16);
        if (!at)
            return err_no_memory(err);
        ssize_t n = read(fd, at, CONFIG_FILE_MAX / 16);
        if (n < 0)
            return err_never(err, "unreadable", "cannot be read: %s", strerror(errno));
        if (n == 0)
            return 0;
        ret->len += (size_t)n;
        ret->data[ret->len] = '\0';
        if (ret->len > CONFIG_FILE_MAX)
            return err_never(err, "unreadable", "is larger than 1 MiB");
    }
}

int config_file_read(const char *path, struct buf *ret, struct err *err)
{
    /* Without O_NONBLOCK opening a FIFO would wait for its writer. */
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_never(err, errno == ENOENT ? "not_there" : "unreadable", "cannot be read: %s", strerror(errno));
    struct stat status;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return err_never(err, "unreadable", "is not a regular file");
    return read_all(fd, ret, err);
}

struct reader {
    yaml_parser_t yaml;
    const char *text;
    size_t len;
    int line; /* of the last event or error */
};

static int line_at(const struct reader *reader, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < offset && i < reader->len; i++)
        line += reader->text[i] == '\n';
    return line;
}

/* libyaml counts lines from 0, and one too many at the end of a text without a last newline. */
static int line_of(const struct reader *reader, yaml_mark_t mark)
{
    int last = line_at(reader, reader->len);
    return mark.line >= (size_t)last ? last : (int)mark.line + 1;
}

static int fail(struct reader *reader, struct err *err)
{
    const yaml_parser_t *yaml = &reader->yaml;
    if (yaml->error == YAML_MEMORY_ERROR)
        return err_no_memory(err);
    if (yaml->error == YAML_READER_ERROR)
        reader->line = line_at(reader, yaml->problem_offset);
    else
        reader->line = line_of(reader, yaml->problem_mark);
    const char *problem = yaml->problem ? yaml->problem : "cannot be parsed";
    if (!yaml->context)
        return err_never(err, "bad_yaml", "is not valid YAML: %s", problem);
    return err_never(err, "bad_yaml", "is not valid YAML: %s %s that begins in line %d", problem, yaml->context,
                     line_of(reader, yaml->context_mark));
}

static int next(struct reader *reader, yaml_event_t *ret, struct err *err)
{
    if (!yaml_parser_parse(&reader->yaml, ret))
        return fail(reader, err);
    reader->line = line_of(reader, ret->start_mark);
    return 0;
}

/* The value may be a secret. */
static void event_clear(yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT)
        explicit_bzero(event->data.scalar.value, event->data.scalar.length);
    yaml_event_delete(event);
}
#define auto_event cleanup(event_clear)

/* Reads to the end of the node that began with an event of this type. */
static int skip_node(struct reader *reader, yaml_event_type_t type, struct err *err)
{
    int depth = 0;
    for (;;) {
        depth += type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT;
        depth -= type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT;
        if (depth == 0)
            return 0;
        /* The time that libyaml takes grows with the square of the depth. */
        if (depth > 100)
            return err_never(err, "bad_yaml", "is nested too deeply");
        auto_event yaml_event_t event = { .type = YAML_NO_EVENT };
        int result = next(reader, &event, err);
        if (result != 0)
            return result;
        type = event.type;
    }
}

/* Moves the entry into the list. */
static int add_entry(struct config_entries *entries, struct config_entry *entry, struct err *err)
{
    if (entries->n == entries->cap) {
        size_t cap = entries->cap ? entries->cap * 2 : 16;
        struct config_entry *list = reallocarray(entries->list, cap, sizeof(*list));
        if (!list)
            return err_no_memory(err);
        entries->list = list;
        entries->cap = cap;
    }
    entries->list[entries->n++] = *entry;
    *entry = (struct config_entry){ .key = NULL };
    return 0;
}

static int add_value(struct config_list *values, const yaml_event_t *event, struct err *err)
{
    /* Grows by one: a configuration has few lists, and they are short. */
    char **items = reallocarray(values->items, values->n + 1, sizeof(*items));
    if (!items)
        return err_no_memory(err);
    values->items = items;
    items[values->n] = strndup((const char *)event->data.scalar.value, event->data.scalar.length);
    if (!items[values->n])
        return err_no_memory(err);
    values->n++;
    return 0;
}

/* Why the scalar cannot be a value; NULL: it can. */
static const char *scalar_problem(const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;
    if (event->data.scalar.anchor)
        return "anchors and aliases are not supported";
    if (event->data.scalar.tag)
        return "tags are not supported";
    if (strlen(value) != event->data.scalar.length)
        return "contains a NUL character";
    return NULL;
}

static bool is_null(const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;
    return event->type == YAML_SCALAR_EVENT && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*value || strcmp(value, "~") == 0 || strcmp(value, "null") == 0);
}

static int read_list(struct reader *reader, const yaml_event_t *begin, struct config_entry *entry, struct err *err)
{
    entry->is_list = true;
    if (begin->data.sequence_start.anchor)
        entry->problem = "anchors and aliases are not supported";
    else if (begin->data.sequence_start.tag)
        entry->problem = "tags are not supported";
    for (;;) {
        auto_event yaml_event_t event = { .type = YAML_NO_EVENT };
        int result = next(reader, &event, err);
        if (result != 0 || event.type == YAML_SEQUENCE_END_EVENT)
            return result;
        const char *problem = NULL;
        if (event.type == YAML_SCALAR_EVENT)
            problem = is_null(&event) ? "contains an empty element" : scalar_problem(&event);
        else if (event.type == YAML_ALIAS_EVENT)
            problem = "anchors and aliases are not supported";
        else
            problem = "a list contains plain values only, nested ones are not supported";
        if (!entry->problem)
            entry->problem = problem;
        result = problem ? skip_node(reader, event.type, err) : add_value(&entry->values, &event, err);
        if (result != 0)
            return result;
    }
}

static int read_value(struct reader *reader, struct config_entry *entry, struct err *err)
{
    auto_event yaml_event_t event = { .type = YAML_NO_EVENT };
    int result = next(reader, &event, err);
    if (result != 0)
        return result;
    if (event.type == YAML_SEQUENCE_START_EVENT)
        return read_list(reader, &event, entry, err);
    const char *problem = NULL;
    if (event.type == YAML_SCALAR_EVENT)
        problem = scalar_problem(&event);
    else if (event.type == YAML_ALIAS_EVENT)
        problem = "anchors and aliases are not supported";
    else
        problem = "nested keys are not supported";
    if (!entry->problem)
        entry->problem = problem;
    entry->is_null = is_null(&event);
    if (entry->is_null)
        return 0;
    return problem ? skip_node(reader, event.type, err) : add_value(&entry->values, &event, err);
}

static int read_key(struct reader *reader, const yaml_event_t *event, struct config_entry *entry, struct err *err)
{
    if (event->type != YAML_SCALAR_EVENT) {
        entry->problem = "a key must be plain text";
        return skip_node(reader, event->type, err);
    }
    if (event->data.scalar.anchor || event->data.scalar.tag)
        entry->problem = "anchors, aliases and tags are not supported";
    entry->key = strdup((const char *)event->data.scalar.value);
    return entry->key ? 0 : err_no_memory(err);
}

static int read_mapping(struct reader *reader, struct config_entries *ret, struct err *err)
{
    for (;;) {
        auto_event yaml_event_t event = { .type = YAML_NO_EVENT };
        int result = next(reader, &event, err);
        if (result != 0 || event.type == YAML_MAPPING_END_EVENT)
            return result;
        auto_entry struct config_entry entry = { .line = reader->line };
        result = read_key(reader, &event, &entry, err);
        if (result == 0)
            result = read_value(reader, &entry, err);
        if (result == 0)
            result = add_entry(ret, &entry, err);
        if (result != 0)
            return result;
    }
}

/* The root node of the document: a mapping, or empty ("---" alone). */
static int read_root(struct reader *reader, struct config_entries *ret, struct err *err)
{
    auto_event yaml_event_t event = { .type = YAML_NO_EVENT };
    int result = next(reader, &event, err);
    if (result != 0)
        return result;
    if (event.type == YAML_MAPPING_START_EVENT && !event.data.mapping_start.anchor && !event.data.mapping_start.tag)
        return read_mapping(reader, ret, err);
    if (event.type == YAML_SCALAR_EVENT && event.data.scalar.length == 0)
        return 0;
    return err_never(err, "bad_yaml", "expected lines of the form \"key: value\"");
}

static int read_stream(struct reader *reader, struct config_entries *ret, struct err *err)
{
    bool had_document = false;
    for (;;) {
        auto_event yaml_event_t event = { .type = YAML_NO_EVENT };
        int result = next(reader, &event, err);
        if (result != 0 || event.type == YAML_STREAM_END_EVENT)
            return result;
        if (event.type != YAML_DOCUMENT_START_EVENT)
            continue;
        if (had_document)
            return err_never(err, "bad_yaml", "a second YAML document begins here; a configuration has only one");
        had_document = true;
        result = read_root(reader, ret, err);
        if (result != 0)
            return result;
    }
}

int config_file_parse(const char *text, size_t len, struct config_entries *ret, int *ret_line, struct err *err)
{
    struct reader reader = { .text = text, .len = len, .line = 1 };
    size_t valid = utf8_valid_prefix(text, len);
    if (valid < len) {
        *ret_line = line_at(&reader, valid);
        return err_never(err, "bad_yaml", "is not UTF-8");
    }
    if (!yaml_parser_initialize(&reader.yaml))
        return err_no_memory(err);
    /* Otherwise libyaml would also accept UTF-16. */
    yaml_parser_set_encoding(&reader.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.yaml, (const unsigned char *)text, len);
    int result = read_stream(&reader, ret, err);
    yaml_parser_delete(&reader.yaml);
    *ret_line = reader.line;
    return result;
}
