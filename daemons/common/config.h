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
    const char
        *default_text; /* as it would stand in the file; NULL: required; "": not set (a NULL string, an empty list) */
    bool secret;       /* shown as *** */
    const char *help;  /* one or two sentences */
};

struct config_schema {
    const char *prefix; /* of environment variables: "ITEMLOADD" */
    const struct config_key *keys;
    size_t n_keys;
    size_t size; /* of the daemon's config struct, zeroed before reading */
    /* What no single key shows ("b must be over a"): adds lines to `errors` by config_complain. NULL: none. Called
     * once every required key has a value, or may be without. */
    void (*check)(const void *config, struct buf *errors);
};

/* Where a value came from. */
struct config_origin {
    enum config_from { CONFIG_UNSET, CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT } from;
    int line; /* of CONFIG_FILE */
};

/* What to read. */
struct config_source {
    const char *path;              /* NULL: no file, the environment only */
    bool must_exist;               /* false: a file that is not there is empty */
    bool may_be_incomplete;        /* required keys without a value stay zero */
    struct config_origin *origins; /* room for schema->n_keys, filled by config_load; NULL: nobody asks */
};

/*
 * Reads into `config` (schema->size bytes). A file is at most 1 MiB of YAML: one mapping of plain keys to scalars
 * (or sequences of scalars for lists), without anchors, tags or nesting; "key:" with nothing behind it is for keys that
 * can be not set. A variable that begins with the prefix and names no key is an error, since it is most likely a typo;
 * one that is empty counts as not set.
 * NEVER: `errors` holds one line for each thing wrong ("FILE:LINE: key: what", "environment PREFIX_KEY: what"), and
 * `config` is cleared. < 0: no memory, cleared too. Values of secret keys are never in the errors.
 */
int config_load(const struct config_schema *schema, const struct config_source *source, void *config,
                struct buf *errors) must_check;
/* Frees what the values own, secrets wiped, and zeroes `config`. */
void config_clear(const struct config_schema *schema, void *config);

/* Adds the line "WHERE: what" to the errors, made printable. schema->check gives the name of a key as `where`. */
void config_complain(struct buf *errors, const char *where, const char *format, ...) printf_like(3, 4);

/*
 * The effective configuration as YAML that config_load would read, secrets masked; each value's origin as a
 * comment. `source` is the one it was loaded from, with its origins.
 */
void config_print(const struct config_schema *schema, const struct config_source *source, const void *config,
                  struct buf *ret);
/*
 * Each key with its variable, limits, default and help, for --help-config and the test that compares man page and
 * file:
 *     batch_window
 *         Environment: ITEMLOADD_BATCH_WINDOW
 *         Value: a duration, 1s to 15m
 *         Default: 60s
 *         The help.
 */
void config_print_help(const struct config_schema *schema, struct buf *ret);

#endif
