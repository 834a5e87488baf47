/*
 * encoding: decides by the first bytes of an input whether it is text in UTF-8, and if not, what it is.
 */
#ifndef STAC_ENCODING_H
#define STAC_ENCODING_H

#include "base/err.h"

enum { ENCODING_LOOK = 64 }; /* bytes that are enough to decide */

enum encoding_kind {
    ENCODING_UNDECIDED, /* more bytes are needed */
    ENCODING_TEXT,      /* UTF-8, or not recognised */
    ENCODING_GZIP,
    ENCODING_OTHER, /* another format, which has a name */
};

struct encoding {
    enum encoding_kind kind;
    size_t mark_len;  /* of the byte order mark before the text */
    const char *name; /* "gzip-compressed data"; NULL: text */
    const char *hint; /* what to do about it, or NULL */
};

/* `is_end`: no more bytes can be had, so decide now. */
struct encoding encoding_of(const char *data, size_t len, bool is_end);

/* NEVER: "wrong_encoding", with the name of the format. */
int encoding_refuse(const struct encoding *encoding, struct err *err);

#endif
