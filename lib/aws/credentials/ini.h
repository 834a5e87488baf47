/*
 * ini: the text of AWS's shared config and credentials files.
 *
 * The rules are those that botocore reads them by (Python's configparser, and one level of
 * nesting), so that a file means the same here and to `aws`:
 *   [header]          begins a section; the same header twice is an error
 *   key = value       or "key : value"; keys are in lower case, the same key twice is an error
 *   # or ; comment    a line of its own; behind a value it is part of the value
 *     deeper          indented deeper than its key: goes on with the value, on a new line
 *   key =             with nothing behind it and deeper lines "name = value" below: a nested
 *     name = value    section, whose names keep their case
 * Lines end in LF or CRLF; the text is UTF-8, a byte order mark is skipped.
 */
#ifndef AWS_INI_H
#define AWS_INI_H

#include "base/err.h"

enum {
    INI_MAX_LINE = 64 * 1024, /* bytes; a session token has about one thousand */
    INI_MAX_ENTRIES = 10000,
};

struct ini_entry {
    size_t section; /* index into sections */
    char *key;
    char *nested; /* the name below the key; NULL: the key's own value */
    char *value;
};

struct ini {
    char **sections; /* headers, as between the brackets */
    size_t n_sections, sections_cap;
    struct ini_entry *entries;
    size_t n_entries, entries_cap;
};
#define INI_INIT         \
    {                    \
        .sections = NULL \
    }

/*
 * Parses the whole text; `name` is the file's, for the errors. NEVER: "bad_aws_config" says what is wrong in which
 * line, without the line's text, which may be a secret. `ret` is the caller's to clear.
 */
int ini_parse(const char *text, size_t len, const char *name, struct ini *ret, struct err *err) must_check;
/* Wipes and frees. */
void ini_clear(struct ini *ini);
#define auto_ini cleanup(ini_clear)

/* The value, or NULL. `nested` NULL: the key's own. */
const char *ini_get(const struct ini *ini, size_t section, const char *key, const char *nested);

#endif
