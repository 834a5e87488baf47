/*
 * resync: finds the beginning of the next document after a damaged one.
 *
 *   - In line-delimited input a damaged document ends with its line.
 *   - A damaged document over many lines ends before the next line that begins with '{' and is not indented more than
 *     the document's own first line: a part of a document would be. If the lines of the document are not indented at
 *     all, the value that begins with this '{' must also be complete, and its "type" be that of an item, a collection
 *     or a FeatureCollection.
 *   - In an array the same is true of its elements, also if they are on one line with others.
 *   - A record separator (RFC 8142) always begins a document.
 */
#ifndef STAC_RESYNC_H
#define STAC_RESYNC_H

#include "stac/brackets.h"

struct resync_options {
    size_t indent;      /* of the line in which the damaged document begins */
    bool in_array;      /* the document is an element of an array, */
    bool opens_array;   /* and the array begins on the document's line */
    bool by_lines;      /* line-delimited input: each document so far took one line */
    bool is_multi_line; /* the damage is not on the document's first line, */
    bool is_flat;       /* and the lines in between are not indented */
};

/* Whether the lines of the damaged document, after its first, are not indented. `text`: the document so far. */
bool resync_is_flat(const char *text, size_t len, size_t indent);

struct resync {
    struct resync_options options;
    size_t at; /* bytes of the damaged text that were looked at */
    enum { RESYNC_IN_LINE, RESYNC_LINE_BEGINS, RESYNC_BRACE, RESYNC_BRACE_COMMA } state;
    bool first_line;
    size_t column;
    char last; /* the last character that is not blank */
    bool is_trying;
    size_t try_from, try_at; /* where a document may begin, and how far it was followed */
    struct brackets trial;
    int64_t tried; /* bytes followed in all trials */
};

/* `from`: the next document does not begin in so many bytes: at least 1, the first of the damaged one. */
void resync_init(struct resync *resync, const struct resync_options *options, size_t from);

enum resync_event {
    RESYNC_MORE,      /* not found in the text so far */
    RESYNC_DOCUMENT,  /* a document, or a line of its own, begins at *ret_at */
    RESYNC_ARRAY_END, /* the array's closing bracket is at *ret_at */
    RESYNC_OUTSIDE,   /* a document begins at *ret_at, and the array was cut off */
};

/* `text` begins with the damaged document, and grows from call to call. `is_end`: nothing follows it. `may_try`: the
 * number of bytes that may be followed in all trials. */
enum resync_event resync_find(struct resync *resync, const char *text, size_t len, bool is_end, int64_t may_try,
                              size_t *ret_at);

#endif
