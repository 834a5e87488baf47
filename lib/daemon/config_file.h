/*
 * config_file: a YAML file as a flat list of entries, in file order. Internal to config.
 *
 * Text that is not "key: scalar" or "key: [scalars]" becomes an entry with a `problem`, so that one run reports the
 * errors of the whole file.
 */
#ifndef DAEMON_CONFIG_FILE_H
#define DAEMON_CONFIG_FILE_H

#include "daemon/config.h"

enum { CONFIG_FILE_MAX = 1024 * 1024 };

struct config_entry {
    char *key; /* NULL: the key is not plain text */
    int line;
    const char *problem; /* why the entry cannot be used, a literal; NULL: it can */
    bool is_list;
    bool is_null;              /* the value is missing, ~ or null; `values` is empty */
    struct config_list values; /* exactly one, unless is_list or is_null */
};

struct config_entries {
    struct config_entry *list;
    size_t n, cap;
};
void config_entries_clear(struct config_entries *entries);
#define auto_config_entries cleanup(config_entries_clear)

/* Appends the content of the file to `ret`. NEVER: the file does not exist ("not_there"), cannot be read, is not a
 * regular file, or is larger than CONFIG_FILE_MAX. */
int config_file_read(const char *path, struct buf *ret, struct err *err) must_check;

/* NEVER: the text is not YAML, not a mapping, or has more than one document. *ret_line is the line of the error, and
 * `ret` has the entries before it. */
int config_file_parse(const char *text, size_t len, struct config_entries *ret, int *ret_line, struct err *err)
    must_check;

#endif
