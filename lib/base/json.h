/*
 * json: strict parsing into cJSON, exact numbers, case-sensitive getters, writing.
 *
 * cJSON alone lets raw control characters, `\u0000`, bytes that are no UTF-8 and odd numbers
 * through, keeps the first of two equal keys, and rounds numbers to doubles. json_parse refuses
 * the first four, lets the last of equal keys win (as PostgreSQL's jsonb does), and gives every
 * number node its own text, in one pass that builds the nodes as cJSON does: such a node is a cJSON_Raw whose
 * valuestring is the number as it was written and whose valuedouble is its nearest double. Trees from json_parse must
 * be printed with json_write, and their numbers read with the functions here; a key and a short value lie in their
 * node's own memory, so that cJSON_Duplicate's copies would not outlive the tree.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    JSON_MAX_DEPTH = 500,
    JSON_MAX_EXPONENT = 400,          /* 1e400 is text to jsonb's numeric, 1e99999999 is a way to exhaust it */
    JSON_MAX_INTEGER_DIGITS = 131072, /* both: what PostgreSQL's numeric holds */
    JSON_MAX_FRACTION_DIGITS = 16383,
};

static inline void json_free_pointer(cJSON **json)
{
    cJSON_Delete(*json);
}
#define auto_json cleanup(json_free_pointer)

/* Parses the whole text. NEVER ("invalid_json") says what is wrong at which line and column. The tree is the caller's.
 */
int json_parse(const char *text, size_t len, cJSON **ret, struct err *err) must_check;

/* The member `key` of the outermost object's member `parent`, both written without escapes. */
struct json_place {
    const char *parent, *key;
};

/*
 * json_parse, but an array at this place is only checked: its node has no children, and json_kept_text gives its
 * text. A long one is read several times as fast. json_write writes it as it was; json_equal does not compare it.
 */
int json_parse_keeping(const char *text, size_t len, const struct json_place *keep, cJSON **ret, struct err *err)
    must_check;
/* The text of an array that json_parse_keeping kept, which is the tree's; NULL: it is something else. */
const char *json_kept_text(const cJSON *json);

/* Where a text stands in a longer one, from 1. */
struct json_position {
    size_t line, column;
};
/* json_parse_keeping (`keep` NULL: json_parse) of a part of a longer text: the error names lines and columns of the
 * whole. */
int json_parse_part(const char *text, size_t len, struct json_position position, const struct json_place *keep,
                    cJSON **ret, struct err *err) must_check;

/* Appends the value in compact form, numbers as they were written. A failed allocation is left in `ret`. */
void json_write(const cJSON *json, struct buf *ret);
void json_write_string(const char *text, struct buf *ret);

/* The member, or NULL: not there, or `object` is NULL or no object. */
cJSON *json_get(const cJSON *object, const char *key);
/* Gives the object this member, in the place of the one of this name where there is one. Takes over `value`, also where
 * it fails; NULL: there was no memory for it. < 0 only: no memory. */
int json_set(cJSON *object, const char *key, cJSON *value, struct err *err) must_check;
/* The member's text, or NULL where it is not there or no string. */
const char *json_get_string(const cJSON *object, const char *key);
/* The string's text, malloced, for the caller to free: a long one is taken out of the tree rather than copied. NULL: no
 * memory. */
char *json_take_string(cJSON *json) must_check;

bool json_is_number(const cJSON *json);
/* The number's text as it was written; NULL if it is none, or was not made by json_parse. */
const char *json_number_text(const cJSON *json);
/* Parses a whole number member (or a string of digits, as SQS writes its attributes) within limits; false where it is
 * none. */
bool json_get_i64(const cJSON *object, const char *key, int64_t min, int64_t max, int64_t *ret);

/* Equal by value: objects whatever their order, numbers digit by digit (1.10 is 1.1; true is not 1). */
bool json_equal(const cJSON *a, const cJSON *b);

/* "an object", "a string", ..., for error texts. */
const char *json_kind(const cJSON *json);

#endif
