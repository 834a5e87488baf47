/* config_value: converts the value of one key from text to its member of the config struct, and back. Used by config,
 * and by values that contain settings (itemgend's `packages`). */
#ifndef DAEMON_CONFIG_VALUE_H
#define DAEMON_CONFIG_VALUE_H

#include "daemon/config.h"

/*
 * Replaces the value. `list`: it was written as a list; otherwise `values` has exactly one element.
 * NEVER: the old value stays, and err->text says what was expected. It does not quote secrets.
 */
int config_value_set(const struct config_key *key, void *config, const struct config_list *values, bool list,
                     struct err *err) must_check;
/* The same from an environment variable that is not empty; commas separate the elements of a list. */
int config_value_set_text(const struct config_key *key, void *config, const char *text, struct err *err) must_check;
/* Frees what the value owns, and wipes a secret. */
void config_value_clear(const struct config_key *key, void *config);

/* The value as it would be written in a file; "***" for a secret that is set. */
void config_value_print(const struct config_key *key, const void *config, struct buf *ret);
/* The type and what it allows: "duration, 1s to 15m". */
void config_value_describe(const struct config_key *key, struct buf *ret);

#endif
