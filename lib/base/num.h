/*
 * num: checked parsers for all numbers from outside, exact decimals, and their nearest doubles.
 *
 * The parsers read the whole string: no blanks, no '+', nothing after the number. NEVER: the text says what was
 * expected; the caller puts the name of the setting before it.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/err.h"

int num_parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret, struct err *err) must_check;

/* "250ms", "60s", "5m", "12h", "7d"; a plain number means seconds. Limits and result in ms. */
int num_parse_duration(const char *text, int64_t min_ms, int64_t max_ms, int64_t *ret_ms, struct err *err) must_check;

/* "100B", "512KiB", "6MiB", "1GiB", "1TiB"; a plain number means bytes. Limits and result in bytes. */
int num_parse_size(const char *text, int64_t min, int64_t max, int64_t *ret, struct err *err) must_check;

/* The inverse of the two above, with the largest unit that leaves a whole number: "2s", "6MiB". */
struct buf;
void num_print_duration(int64_t ms, struct buf *ret);
void num_print_size(int64_t bytes, struct buf *ret);

/*
 * True if two JSON numbers have the same value: 1.10 and 1.1, 1e2 and 100, -0 and 0. Exact for any length.
 * Both must be valid JSON numbers with exponents that fit an int.
 */
bool num_equal(const char *a, const char *b);

/*
 * The double nearest to the JSON number at the start of `text`, rounded as strtod does. A NUL, a comma or a bracket
 * must follow it. *ret_end: the end of the number; NULL: not wanted.
 */
double num_nearest_double(const char *text, const char **ret_end);

#endif
