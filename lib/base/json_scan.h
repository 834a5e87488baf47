/*
 * json_scan: what json_parse checks in the text before cJSON reads it. Internal to lib/base.
 */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

#include "base/err.h"

struct json_token {
    uint32_t start;
    uint32_t len;
};

/* The number tokens of a text, in document order. */
struct json_numbers {
    struct json_token *tokens;
    size_t n, cap;
    uint32_t longest;
};

/*
 * Checks the whole grammar of RFC 8259, and what jsonb cannot hold: after it cJSON fails only where memory does.
 * Fills `ret`, whose tokens the caller frees, also on failure.
 */
int json_scan(const char *text, size_t len, struct json_numbers *ret, struct err *err) must_check;

#endif
