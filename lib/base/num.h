/*
 * num: one checked parser for every number that comes from outside, exact decimals, and their nearest doubles.
 *
 * The parsers take a whole string: no blanks, no sign '+', nothing behind it. They return 0, or
 * NEVER with a text that says what was expected; the caller puts the name before it.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/err.h"

int num_parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret, struct err *err) must_check;

/* "250ms", "60s", "5m", "12h", "7d"; a plain number is seconds. Limits and result in ms. */
int num_parse_duration(const char *text, int64_t min_ms, int64_t max_ms, int64_t *ret_ms, struct err *err) must_check;

/* "100B", "512KiB", "6MiB", "1GiB", "1TiB"; a plain number is bytes. Limits and result in bytes. */
int num_parse_size(const char *text, int64_t min, int64_t max, int64_t *ret, struct err *err) must_check;

/* What the two above read: "2s", "6MiB", the largest unit that leaves a whole number. */
struct buf;
void num_print_duration(int64_t ms, struct buf *ret);
void num_print_size(int64_t bytes, struct buf *ret);

/*
 * Whether two JSON numbers have the same value, compared digit by digit however long they are:
 * 1.10 and 1.1, 1e2 and 100, -0 and 0. Both must follow JSON's grammar, with exponents that fit an int.
 */
bool num_equal(const char *a, const char *b);

/* The double nearest to the JSON number that `text` begins with, as strtod rounds it. *ret_end is what follows it,
 * which must be there: a NUL, a comma, a bracket. NULL: not wanted. */
double num_nearest_double(const char *text, const char **ret_end);

#endif
