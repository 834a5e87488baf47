/*
 * json_scan: what json_parse checks in a text, token by token. Internal to lib/base.
 */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

#include "base/json_tree.h"

/*
 * Checks the whole grammar of RFC 8259, and what jsonb cannot hold. `tree` is given each token as it has
 * been found good; the caller clears it, also on failure. `position`: of the text, for the error.
 */
int json_scan(const char *text, size_t len, struct json_position position, struct json_tree *tree, struct err *err)
    must_check;

#endif
