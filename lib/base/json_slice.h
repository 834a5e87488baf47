/*
 * json_slice: the values in a JSON text, found without parsing them, so that a long list can be parsed one by one.
 *
 * The text should be valid JSON; of other text some slices are found and nothing is read beyond its end.
 */
#ifndef BASE_JSON_SLICE_H
#define BASE_JSON_SLICE_H

#include "base/base.h"

/* A value's text, borrowed. */
struct json_slice {
    const char *text;
    size_t len;
};

/* The only value of a text, without the space around it. */
struct json_slice json_slice_of(const char *text, size_t len);
/* The element of an array behind the one at *at (0: the first), or of an object its next key, then that one's value.
 * false: no more. */
bool json_slice_next(struct json_slice list, size_t *at, struct json_slice *ret);
/* An object's member, the last of that key. `key` as it stands in the text, without escapes. */
bool json_slice_member(struct json_slice object, const char *key, struct json_slice *ret);
/* Whether the value is this string, written without escapes. */
bool json_slice_is(struct json_slice value, const char *text);

#endif
