/*
 * config: one table per daemon: key, type, place, limits, default, help.
 *
 * A value comes from the environment (PREFIX_KEY, as ITEMLOADD_BATCH_WINDOW), else from the YAML
 * file (a mapping of plain keys), else it is the default. Everything wrong is found in one run: each
 * error names the file and line, or the variable.
 */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include "base/buf.h"
#include "base/err.h"

enum config_type {
    CONFIG_STRING,   /* char * */
    CONFIG_LIST,     /* struct config_list; in the environment separated by commas */
    CONFIG_INT,      /* int64_t */
    CONFIG_DURATION, /* int64_t, ms */
    CONFIG_SIZE,     /* int64_t, bytes */
    CONFIG_BOOL,     /* bool */
    CONFIG_CHOICE,   /* int, index into choices */
};

struct config_list {
    char **items;
    size_t n;
};

struct config_key {
    const char *name;
    enum config_type type;
    size_t offset;              /* of the value in the daemon's config struct */
    int64_t min, max;           /* of CONFIG_INT, CONFIG_DURATION (ms), CONFIG_SIZE (bytes) */
    const char *const *choices; /* of CONFIG_CHOICE, ends with NULL */
    const char *default_text;   /* as it would stand in the file; NULL: required; "" : not set (strings and lists) */
    bool secret;                /* shown as *** */
    const char *help;           /* one or two sentences */
};

struct config_schema {
    const char *prefix; /* of environment variables: "ITEMLOADD" */
    const struct config_key *keys;
    size_t n_keys;
    size_t size; /* of the daemon's config struct, zeroed before reading */
    /* What no single key shows ("b must be over a"): adds lines to `errors` as config_complain does. NULL: none. */
    void (*check)(const void *config, struct buf *errors);
};

/*
 * Reads into `config` (schema->size bytes). `path` NULL: no file; `must_exist` false: a file that is not there is
 * empty. NEVER: `errors` holds one line for each thing wrong, and `config` is cleared.
 */
int config_load(const struct config_schema *schema, const char *path, bool must_exist, void *config, struct buf *errors)
    must_check;
void config_clear(const struct config_schema *schema, void *config);

/* Adds "WHERE: what" to the errors; for schema->check. `key` names the key and its environment variable. */
void config_complain(struct buf *errors, const char *where, const char *format, ...) printf_like(3, 4);

/* The effective configuration as YAML that config_load would read, secrets masked; each value's origin as a comment. */
void config_print(const struct config_schema *schema, const void *config, struct buf *ret);
/* Each key with its variable, default, limits and help, for --help-config and the test that compares man page and file.
 */
void config_print_help(const struct config_schema *schema, struct buf *ret);

#endif
