/*
 * config: reads a daemon's configuration, as described by one table of keys per daemon.
 *
 * The value of a key comes from the environment (PREFIX_KEY, for example ITEMLOADD_BATCH_WINDOW), else from the YAML
 * file, else from the table (the default). One run reports all errors, each with its file and line or its variable.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

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
    /* As in a file. NULL: the key is required. "": the default is "not set" (a NULL string, an empty list). */
    const char *default_text;
    const char *example; /* for the documentation, as in a file; NULL: none. Required keys have one. */
    bool secret;         /* printed as *** */
    const char *help;    /* whole sentences; the documentation is generated from them (config_print.h) */
};

struct config_schema {
    const char *prefix; /* of environment variables: "ITEMLOADD" */
    const struct config_key *keys;
    size_t n_keys;
    size_t size; /* of the daemon's config struct, which config_load zeroes first */
    /*
     * Checks what the table cannot express, such as "backoff_min must not be longer than backoff_max". Reports with
     * config_complain and the key's name as `where`; config_load adds the file and line. Called only if all required
     * keys have values (or may be missing). NULL: no such checks.
     */
    void (*check)(const void *config, struct buf *errors);
};

/* Where a value came from. */
struct config_origin {
    enum config_from { CONFIG_UNSET, CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT } from;
    int line; /* of CONFIG_FILE */
};

/* Where config_load reads from. */
struct config_source {
    const char *path;              /* NULL: no file, only the environment */
    bool must_exist;               /* false: a missing file counts as empty */
    bool may_be_incomplete;        /* required keys may be missing; they stay zero */
    struct config_origin *origins; /* filled by config_load, one for each key of the schema; NULL: not wanted */
};

/*
 * Reads into `config` (schema->size bytes).
 * - The file is at most 1 MiB of YAML: one mapping of plain keys to scalars, or to sequences of scalars for lists. It
 *   has no anchors, tags or nesting. "key:" without a value is allowed for keys whose default is "not set".
 * - An empty variable counts as not set. A variable with the prefix that names no key is an error, because it is most
 *   likely a typing error.
 * Returns NEVER with one line in `errors` for each error ("FILE:LINE: key: text", "environment PREFIX_KEY: text"), or
 * < 0 (no memory); `config` is cleared in both cases. `errors` never contains the value of a secret key.
 */
int config_load(const struct config_schema *schema, const struct config_source *source, void *config,
                struct buf *errors) must_check;
/* Frees what the values own, wipes secrets, and zeroes `config`. */
void config_clear(const struct config_schema *schema, void *config);

/* Adds the line "WHERE: text" to the errors, without control characters. In schema->check, `where` is the name of a
 * key. */
void config_complain(struct buf *errors, const char *where, const char *format, ...) printf_like(3, 4);

/* Appends the name of a key's environment variable: "ITEMLOADD_BATCH_WINDOW". */
void config_add_variable(const struct config_schema *schema, const char *key, struct buf *ret);

#endif
