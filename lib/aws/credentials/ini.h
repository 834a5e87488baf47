/*
 * ini: parses AWS's shared config and credentials files.
 *
 * The rules are botocore's (Python's configparser, and one level of nesting), so a file means the same to `aws`:
 *   [header]          begins a section; the same header twice is an error
 *   key = value       or "key : value"; keys become lower case; the same key twice is an error
 *   # or ; comment    on a line of its own; after a value it belongs to the value
 *     deeper          a line indented deeper than its key continues the value on a new line
 *   key =             an empty value followed by deeper lines "name = value": a nested section,
 *     name = value    whose names keep their case
 * Lines end in LF or CRLF. The text is UTF-8; a byte order mark is skipped.
 */
#ifndef AWS_INI_H
#define AWS_INI_H

#include "base/err.h"

enum {
    INI_MAX_LINE = 64 * 1024, /* bytes; a session token has about 1000 */
    INI_MAX_ENTRIES = 10000,
};

struct ini_entry {
    size_t section; /* index into sections */
    char *key;
    char *nested; /* the name below the key; NULL: the value of the key itself */
    char *value;
};

struct ini {
    char **sections; /* the texts between the brackets */
    size_t n_sections, sections_cap;
    struct ini_entry *entries;
    size_t n_entries, entries_cap;
};
#define INI_INIT         \
    {                    \
        .sections = NULL \
    }

/*
 * Parses the whole text into `ret`, which the caller clears. `name`: the file's name, for errors.
 * NEVER: "bad_aws_config" with the line's number and fault, without its text, which may be a secret.
 */
int ini_parse(const char *text, size_t len, const char *name, struct ini *ret, struct err *err) must_check;
/* Wipes and frees. */
void ini_clear(struct ini *ini);
#define auto_ini cleanup(ini_clear)

/* The value, or NULL. `nested` NULL: the value of the key itself. */
const char *ini_get(const struct ini *ini, size_t section, const char *key, const char *nested);

#endif
