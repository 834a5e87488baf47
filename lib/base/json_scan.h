/* json_scan: checks a JSON text token by token for json_parse. Internal to lib/base. */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

#include "base/json_tree.h"

/*
 * Checks the grammar of RFC 8259 and the limits of PostgreSQL's jsonb, and adds each checked token to `tree`.
 * - The caller clears `tree`, also after a failure.
 * - `position`: where the text begins in a longer one, for the error.
 */
int json_scan(const char *text, size_t len, struct json_position position, struct json_tree *tree, struct err *err)
    must_check;

#endif
