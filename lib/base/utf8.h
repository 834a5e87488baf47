/* utf8: decodes one code point at a time. Valid is Unicode 15 table 3-7: no overlong forms, no surrogates. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/base.h"

/* Decodes the code point at `text` and returns its length, 1 to 4 bytes. 0: invalid UTF-8, or `len` is 0. */
size_t utf8_next(const char *text, size_t len, uint32_t *ret_code_point);

/* True if the bytes begin a valid sequence that `len` cuts short. */
bool utf8_is_cut(const char *text, size_t len);

/* The offset of the first byte that is not valid UTF-8, or `len`. */
size_t utf8_valid_prefix(const char *text, size_t len);

#endif
