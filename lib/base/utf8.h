/* utf8: decoding one code point at a time, as Unicode 15 table 3-7 allows it (no overlong forms, no surrogates). */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/base.h"

/* Decodes the code point at `text`: its length in bytes (1 to 4), 0 where the bytes are no UTF-8 or `len` is 0. */
size_t utf8_next(const char *text, size_t len, uint32_t *ret_code_point);

/* Whether the bytes are the beginning of a sequence that `len` cuts short. */
bool utf8_is_cut(const char *text, size_t len);

/* The offset of the first byte that is no UTF-8, or `len`. */
size_t utf8_valid_prefix(const char *text, size_t len);

#endif
