/* config_value: one key's value, from text to its place in the config struct and back. For config, and for
 * values that stand within another. */
#ifndef COMMON_CONFIG_VALUE_H
#define COMMON_CONFIG_VALUE_H

#include "common/config.h"

/*
 * Puts a value in its place, instead of what was there. `list`: it was written as a list; else `values` holds one.
 * NEVER: err->text says what was expected (and quotes no secret); what was there stays.
 */
int config_value_set(const struct config_key *key, void *config, const struct config_list *values, bool list,
                     struct err *err) must_check;
/* The same from a variable that is not empty: a list is separated by commas. */
int config_value_set_text(const struct config_key *key, void *config, const char *text, struct err *err) must_check;
/* Frees what the value owns, a secret wiped. */
void config_value_clear(const struct config_key *key, void *config);

/* As it would stand in a file; a secret that is set is "***". */
void config_value_print(const struct config_key *key, const void *config, struct buf *ret);
/* "a duration, 1s to 15m". */
void config_value_describe(const struct config_key *key, struct buf *ret);

#endif
