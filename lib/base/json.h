/*
 * json: strict parsing into cJSON trees, exact numbers, case-sensitive getters, writing.
 *
 * json_parse differs from cJSON_Parse:
 * - It rejects raw control characters, `\u0000`, invalid UTF-8 and malformed numbers.
 * - The last of equal keys wins, as in PostgreSQL's jsonb. (cJSON: the first.)
 * - Numbers stay exact. A number is a cJSON_Raw node: valuestring is its text as written, valuedouble the nearest
 *   double. So print trees with json_write, and read numbers with the functions below.
 * - A key or a short value is stored behind its node in one allocation. A copy made with cJSON_Duplicate shares the
 *   keys, so it must not outlive the tree.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    JSON_MAX_DEPTH = 500,
    JSON_MAX_EXPONENT = 400,          /* jsonb expands exponents into digits: 1e99999999 would exhaust it */
    JSON_MAX_INTEGER_DIGITS = 131072, /* this and the next: the limits of PostgreSQL's numeric */
    JSON_MAX_FRACTION_DIGITS = 16383,
};

static inline void json_free_pointer(cJSON **json)
{
    cJSON_Delete(*json);
}
#define auto_json cleanup(json_free_pointer)

/* Parses the whole text. NEVER: "invalid_json", with line and column. The caller frees the tree. */
int json_parse(const char *text, size_t len, cJSON **ret, struct err *err) must_check;

/* The place of a member in a document: `key` in the outermost object's member `parent`. */
struct json_place {
    const char *parent, *key;
};

/*
 * json_parse, but an array at the place `keep` stays text, which is several times as fast for a long array:
 * - It is checked, but its node has no children; json_kept_text returns its text.
 * - json_write writes it unchanged. json_equal does not compare it.
 * - Keys that the document writes with escapes do not match `keep`.
 */
int json_parse_keeping(const char *text, size_t len, const struct json_place *keep, cJSON **ret, struct err *err)
    must_check;
/* The text of an array that json_parse_keeping kept, valid as long as the tree. NULL for any other node. */
const char *json_kept_text(const cJSON *json);

/* Where a part of a text begins. Both count from 1. */
struct json_position {
    size_t line, column;
};
/* Parses a part of a longer text: errors name the line and column in the whole. `keep`: see above, or NULL. */
int json_parse_part(const char *text, size_t len, struct json_position position, const struct json_place *keep,
                    cJSON **ret, struct err *err) must_check;

/* Appends the value in compact form, with its numbers as they were written. Test buf_failed(ret). */
void json_write(const cJSON *json, struct buf *ret);
void json_write_string(const char *text, struct buf *ret);

/* The member. NULL: missing, or `object` is NULL or another kind of value. */
cJSON *json_get(const cJSON *object, const char *key);
/*
 * Adds or replaces a member. Owns `value` from then on, also after a failure. A NULL `value` (no memory for it) fails.
 * Fails only with < 0: no memory.
 */
int json_set(cJSON *object, const char *key, cJSON *value, struct err *err) must_check;
/* The text of a string member. NULL: missing, or another kind of value. */
const char *json_get_string(const cJSON *object, const char *key);
/* The string's text, for the caller to free. A long one is moved out of the tree, not copied. NULL: no memory. */
char *json_take_string(cJSON *json) must_check;

bool json_is_number(const cJSON *json);
/* The number's text as it was written. NULL: not a number, or not from json_parse. */
const char *json_number_text(const cJSON *json);
/* Reads a whole number from `min` to `max`, also from a string (SQS writes its attributes so). False: anything else. */
bool json_get_i64(const cJSON *object, const char *key, int64_t min, int64_t max, int64_t *ret);

/* Compares by value. The order of members does not matter; numbers compare exactly (1.10 equals 1.1). */
bool json_equal(const cJSON *a, const cJSON *b);

/* "an object", "a string", "missing" (NULL), ...: for error messages. */
const char *json_kind(const cJSON *json);

#endif
