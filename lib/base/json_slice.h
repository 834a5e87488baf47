/*
 * json_slice: finds the values in a JSON text without parsing them, so that a long list can be parsed one by one.
 *
 * Meant for valid JSON. In other text the slices are meaningless, but no read goes beyond its end.
 */
#ifndef BASE_JSON_SLICE_H
#define BASE_JSON_SLICE_H

#include "base/base.h"

/* A value's text, borrowed. */
struct json_slice {
    const char *text;
    size_t len;
};

/* The first value of a text, without the white space around it. */
struct json_slice json_slice_of(const char *text, size_t len);
/*
 * Walks through an array's elements; through an object's keys and values in turn. *at is 0 for the first and moves on.
 * False: no more.
 */
bool json_slice_next(struct json_slice list, size_t *at, struct json_slice *ret);
/* Finds an object's member; the last one if the key repeats. Keys written with escapes are not found. */
bool json_slice_member(struct json_slice object, const char *key, struct json_slice *ret);
/* True if the value is this string, written without escapes. */
bool json_slice_is(struct json_slice value, const char *text);

#endif
