/*
 * encoding: whether the bytes at the beginning of an input are JSON in UTF-8, and if not, what they are.
 */
#ifndef STAC_ENCODING_H
#define STAC_ENCODING_H

#include "base/err.h"

enum { ENCODING_LOOK = 64 }; /* bytes that are enough to decide */

enum encoding_kind {
    ENCODING_UNDECIDED, /* more bytes are needed */
    ENCODING_TEXT,      /* UTF-8, or nothing that is known */
    ENCODING_GZIP,
    ENCODING_OTHER, /* something else that is known */
};

struct encoding {
    enum encoding_kind kind;
    size_t mark_len;  /* of the byte order mark before the text */
    const char *name; /* "gzip-compressed data"; NULL: text */
    const char *hint; /* what to do about it, or NULL */
};

/* Looks at the first bytes; `is_end`: decide, whether more bytes follow or not. */
struct encoding encoding_of(const char *data, size_t len, bool is_end);

/* NEVER, "wrong_encoding". */
int encoding_refuse(const struct encoding *encoding, struct err *err);

#endif
