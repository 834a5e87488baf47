/* config_print: prints the effective configuration, and the documentation of its keys. */
#ifndef DAEMON_CONFIG_PRINT_H
#define DAEMON_CONFIG_PRINT_H

#include "daemon/config.h"

/*
 * The effective configuration as YAML that config_load can read, with secrets masked. The comment after each value says
 * where it came from. `source` is the one that `config` was loaded from, with its origins.
 */
void config_print(const struct config_schema *schema, const struct config_source *source, const void *config,
                  struct buf *ret);

/*
 * The documentation of all keys: help, type, limits, default, example and variable. Required keys come first.
 * `make generate` writes the last three formats into etc/, man/ and docs/.
 */
enum config_format {
    CONFIG_TEXT,
    CONFIG_YAML, /* a file in which every key is commented out, with its default or, if it is required, an example */
    CONFIG_MAN,  /* the items of an mdoc list */
    CONFIG_MARKDOWN, /* a table */
};
/* "yaml", "man" or "markdown"; false: something else. */
bool config_print_format(const char *name, enum config_format *ret);
void config_print_help(const struct config_schema *schema, enum config_format format, struct buf *ret);

#endif
