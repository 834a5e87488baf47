/*
 * config_file: a YAML file as a flat list of entries, in file order. Internal to config.
 *
 * What is no "key: scalar" or "key: [scalars]" is an entry with its problem told, so that the rest
 * of the file is still looked at.
 */
#ifndef COMMON_CONFIG_FILE_H
#define COMMON_CONFIG_FILE_H

#include "common/config.h"

enum { CONFIG_FILE_MAX = 1024 * 1024 };

struct config_entry {
    char *key; /* NULL: it was no plain text */
    int line;
    const char *problem; /* why it cannot be used, a literal; NULL: none */
    bool is_list;
    bool is_null;              /* nothing, ~ or null stands there; values is empty */
    struct config_list values; /* one where it is no list */
};

struct config_entries {
    struct config_entry *list;
    size_t n, cap;
};
void config_entries_clear(struct config_entries *entries);
#define auto_config_entries cleanup(config_entries_clear)

/* Appends the file's content to `ret`. NEVER: it cannot be read, is no regular file, or is over CONFIG_FILE_MAX;
 * "not_there": there is none. */
int config_file_read(const char *path, struct buf *ret, struct err *err) must_check;

/* NEVER: no YAML, no mapping, or more than one document; *ret_line is where. Fills `ret` up to there. */
int config_file_parse(const char *text, size_t len, struct config_entries *ret, int *ret_line, struct err *err)
    must_check;

#endif
