/* word: eight bytes of text looked at together. What is found first is named by its place, 0 to 7. */
#ifndef BASE_WORD_H
#define BASE_WORD_H

#include <endian.h>

#include "base/base.h"

#define WORD_OF(byte) (UINT64_C(0x0101010101010101) * (byte)) /* the byte, eight times */

/* `text` has eight bytes or more. */
static inline uint64_t word_load(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof(word));
    return le64toh(word);
}

/*
 * A mark where a byte of the word is less than `limit` (1 to 128), and none where it is 128 or more. Only the first
 * mark is sure: behind it the subtraction may have borrowed.
 */
static inline uint64_t word_less(uint64_t word, unsigned char limit)
{
    return (word - WORD_OF(limit)) & ~word & WORD_OF(0x80);
}

/* The same where a byte is this one. */
static inline uint64_t word_equal(uint64_t word, unsigned char byte)
{
    return word_less(word ^ WORD_OF(byte), 1);
}

/* The place of the first mark, of which there is one; those of several words may be or-ed. */
static inline size_t word_first(uint64_t marks)
{
    return (size_t)__builtin_ctzll(marks) / 8;
}

#endif
