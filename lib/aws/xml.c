#include "aws/xml.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>

/* The state of the parse: how far the open elements match the path. */
struct walk {
    XML_Parser parser;
    const char *names[XML_MAX_DEPTH];
    size_t name_lens[XML_MAX_DEPTH];
    size_t n_names;
    size_t depth;      /* open elements */
    size_t matched;    /* the first of them, from the root, that match the path */
    const char *wrong; /* why we stopped the parser */
    struct buf *text;  /* the result */
    bool reading;      /* a wanted element is open: collect its text */
    bool found;        /* the path's element has begun */

    struct xml_rows *rows; /* xml_rows only */
    const char *const *fields;
};

static void stop_parser(struct walk *walk, const char *wrong)
{
    walk->wrong = wrong;
    walk->reading = false;
    XML_StopParser(walk->parser, XML_FALSE);
}

static bool split_path(struct walk *walk, const char *path)
{
    for (const char *at = path;; at++) {
        size_t len = strcspn(at, "/");
        if (len == 0 || walk->n_names == XML_MAX_DEPTH)
            return false;
        walk->names[walk->n_names] = at;
        walk->name_lens[walk->n_names++] = len;
        at += len;
        if (!*at)
            return true;
    }
}

static const char *local_name(const char *name)
{
    const char *colon = strchr(name, ':');
    return colon ? colon + 1 : name;
}

static bool fits(const struct walk *walk, size_t i, const char *name)
{
    if (walk->name_lens[i] == 1 && walk->names[i][0] == '*')
        return true;
    return strlen(name) == walk->name_lens[i] && memcmp(name, walk->names[i], walk->name_lens[i]) == 0;
}

static void add_row(struct xml_rows *rows)
{
    const size_t not_there = SIZE_MAX;
    for (size_t i = 0; i < rows->n_fields; i++)
        buf_add(&rows->offsets, &not_there, sizeof(not_there));
    rows->n++;
}

static size_t get_offset(const struct xml_rows *rows, size_t row, size_t field)
{
    size_t offset;
    memcpy(&offset, rows->offsets.data + (row * rows->n_fields + field) * sizeof(offset), sizeof(offset));
    return offset;
}

/* If `name` is a field that the last row does not have yet, begins its text and returns true. */
static bool begin_field(struct xml_rows *rows, const char *const *fields, const char *name)
{
    for (size_t i = 0; i < rows->n_fields && !buf_failed(&rows->offsets); i++) {
        if (strcmp(fields[i], name) != 0 || get_offset(rows, rows->n - 1, i) != SIZE_MAX)
            continue;
        size_t at = ((rows->n - 1) * rows->n_fields + i) * sizeof(size_t);
        memcpy(rows->offsets.data + at, &rows->texts.len, sizeof(size_t));
        return true;
    }
    return false;
}

static void on_start(void *context, const char *name, const char **attributes)
{
    (void)attributes;
    struct walk *walk = context;
    if (walk->depth == XML_MAX_DEPTH) {
        stop_parser(walk, "too deeply nested");
        return;
    }
    name = local_name(name);
    bool in_path = walk->matched == walk->depth;
    walk->depth++;
    if (in_path && walk->depth <= walk->n_names && fits(walk, walk->depth - 1, name)) {
        walk->matched = walk->depth;
        if (walk->matched < walk->n_names)
            return;
        if (walk->rows)
            add_row(walk->rows);
        walk->reading = !walk->rows && !walk->found;
        walk->found = true;
    } else if (walk->rows && walk->matched == walk->n_names && walk->depth == walk->n_names + 1) {
        walk->reading = begin_field(walk->rows, walk->fields, name);
    }
}

/* Collects the text of the element itself, not of elements inside it. */
static void on_text(void *context, const char *text, int len)
{
    struct walk *walk = context;
    size_t level = walk->n_names + (walk->rows ? 1 : 0);
    if (walk->reading && walk->depth == level)
        buf_add(walk->text, text, (size_t)len);
}

static void on_end(void *context, const char *name)
{
    (void)name;
    struct walk *walk = context;
    size_t level = walk->n_names + (walk->rows ? 1 : 0);
    if (walk->reading && walk->depth == level) {
        walk->reading = false;
        if (walk->rows)
            buf_putc(walk->text, '\0');
    }
    if (walk->matched == walk->depth)
        walk->matched--;
    walk->depth--;
}

static void on_doctype(void *context, const char *name, const char *sysid, const char *pubid, int has_internal_subset)
{
    (void)name;
    (void)sysid;
    (void)pubid;
    (void)has_internal_subset;
    stop_parser(context, "a document type declaration");
}

static void free_parser(const XML_Parser *parser)
{
    XML_ParserFree(*parser);
}

static int parse_document(struct walk *walk, const char *xml, size_t len, struct err *err)
{
    if (len > INT_MAX)
        return err_never(err, "invalid_xml", "not valid XML: longer than 2 GiB");
    const XML_Memory_Handling_Suite memory = { malloc, realloc, free };
    cleanup(free_parser) XML_Parser parser = XML_ParserCreate_MM(NULL, &memory, NULL);
    if (!parser)
        return err_no_memory(err);
    walk->parser = parser;
    XML_SetUserData(parser, walk);
    XML_SetElementHandler(parser, on_start, on_end);
    XML_SetCharacterDataHandler(parser, on_text);
    XML_SetStartDoctypeDeclHandler(parser, on_doctype);
    enum XML_Status status = XML_Parse(parser, xml, (int)len, XML_TRUE);
    enum XML_Error code = XML_GetErrorCode(parser);
    bool failed = buf_failed(walk->text) || (walk->rows && buf_failed(&walk->rows->offsets));
    if (failed || (status != XML_STATUS_OK && code == XML_ERROR_NO_MEMORY))
        return err_no_memory(err);
    if (status != XML_STATUS_OK)
        return err_never(err, "invalid_xml", "not valid XML: %s at line %lu, column %lu",
                         walk->wrong ? walk->wrong : XML_ErrorString(code), XML_GetCurrentLineNumber(parser),
                         XML_GetCurrentColumnNumber(parser));
    return 0;
}

int xml_text(const char *xml, size_t len, const char *path, struct buf *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    struct walk walk = { .text = &text };
    if (!split_path(&walk, path))
        return err_fatal(err, EINVAL, "\"%s\" is not a path of XML elements", path);
    int r = parse_document(&walk, xml, len, err);
    if (r != 0)
        return r;
    if (!walk.found)
        return err_never(err, "not_found", "the XML has no element %s", path);
    buf_add(ret, text.data, text.len);
    return buf_failed(ret) ? err_no_memory(err) : 0;
}

int xml_rows(const char *xml, size_t len, const char *path, const char *const *fields, struct xml_rows *ret,
             struct err *err)
{
    auto_xml_rows struct xml_rows rows = XML_ROWS_INIT;
    while (fields[rows.n_fields])
        rows.n_fields++;
    struct walk walk = { .text = &rows.texts, .rows = &rows, .fields = fields };
    if (!split_path(&walk, path) || rows.n_fields == 0)
        return err_fatal(err, EINVAL, "\"%s\" is not a path of XML elements, or has no fields", path);
    int r = parse_document(&walk, xml, len, err);
    if (r != 0)
        return r;
    *ret = rows;
    rows = (struct xml_rows)XML_ROWS_INIT;
    return 0;
}

const char *xml_field(const struct xml_rows *rows, size_t row, size_t field)
{
    if (row >= rows->n || field >= rows->n_fields)
        return NULL;
    size_t offset = get_offset(rows, row, field);
    return offset == SIZE_MAX ? NULL : rows->texts.data + offset;
}

void xml_rows_clear(struct xml_rows *rows)
{
    buf_clear(&rows->texts);
    buf_clear(&rows->offsets);
    *rows = (struct xml_rows)XML_ROWS_INIT;
}
