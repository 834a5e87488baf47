/* swar: eight bytes of text compared at once ("SIMD within a register"). A byte is named by its place in the word, 0
 * to 7. */
#ifndef BASE_SWAR_H
#define BASE_SWAR_H

#include <endian.h>

#include "base/base.h"

#define SWAR_REPEAT(byte) (UINT64_C(0x0101010101010101) * (byte)) /* the byte, eight times */

/* `text` has at least eight bytes. */
static inline uint64_t swar_load(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof(word));
    return le64toh(word);
}

/*
 * Marks the bytes of the word that are less than `limit` (1 to 128). Bytes of 128 or more get no mark.
 * Only the first mark is reliable: the subtraction may borrow from the bytes after it.
 */
static inline uint64_t swar_less(uint64_t word, unsigned char limit)
{
    return (word - SWAR_REPEAT(limit)) & ~word & SWAR_REPEAT(0x80);
}

/* Marks the bytes that equal `byte`. Only the first mark is reliable. */
static inline uint64_t swar_equal(uint64_t word, unsigned char byte)
{
    return swar_less(word ^ SWAR_REPEAT(byte), 1);
}

/* The place of the first mark; `marks` must have one. Marks of one word may be combined with |. */
static inline size_t swar_first(uint64_t marks)
{
    return (size_t)__builtin_ctzll(marks) / 8;
}

#endif
