/*
 * resync: where the next document begins behind a damaged one.
 *
 *   - In line-delimited input a damaged line ends with its line, and the next line is looked at as if it were the
 * first.
 *   - A damaged document over many lines ends before the next line that begins with '{' and is not indented more than
 *     the document's own first line: such a line begins a document, and not a part of one. Where the lines of the
 *     document are not indented at all, that does not tell: then a line that begins with '{' counts where the value
 *     that begins there is complete and its "type" is that of an item, a collection or a FeatureCollection.
 *   - In an array the same goes for its elements, and for those that are on one line with others.
 *   - A record separator (RFC 8142) always begins a document.
 */
#ifndef STAC_RESYNC_H
#define STAC_RESYNC_H

#include "stac/brackets.h"

struct resync_options {
    size_t indent;      /* of the line in which the damaged document begins */
    bool in_array;      /* it is an element of an array */
    bool opens_array;   /* which begins on the document's line */
    bool by_lines;      /* line-delimited input: its documents so far took a line each */
    bool is_multi_line; /* it had seen more than its own line when it was found to be damaged */
    bool is_flat;       /* and the lines within it are not indented */
};

/* Whether the lines within the damaged document, its text so far, are not indented. */
bool resync_is_flat(const char *text, size_t len, size_t indent);

struct resync {
    struct resync_options options;
    size_t at; /* how much of the damaged text was looked at */
    enum { RESYNC_IN_LINE, RESYNC_LINE_BEGINS, RESYNC_BRACE, RESYNC_BRACE_COMMA } state;
    bool first_line;
    size_t column;
    char last; /* the last character that is not blank */
    bool is_trying;
    size_t try_from, try_at; /* a document that may begin in the text, and how much of it was followed */
    struct brackets trial;
    int64_t tried; /* bytes followed in all trials */
};

/* `from`: bytes that the next document cannot begin in: 1, the damaged one's own first, or more. */
void resync_init(struct resync *resync, const struct resync_options *options, size_t from);

enum resync_event {
    RESYNC_MORE,      /* not found in the text so far */
    RESYNC_DOCUMENT,  /* a document, or a line of its own, begins at *ret_at */
    RESYNC_ARRAY_END, /* the array's closing bracket is at *ret_at */
    RESYNC_OUTSIDE,   /* a document begins at *ret_at, and the array was cut off */
};

/* Looks at `text`, which begins with the damaged document and grows from call to call; `is_end`: nothing follows it.
 * `may_try`: so many bytes may be followed in all. */
enum resync_event resync_find(struct resync *resync, const char *text, size_t len, bool is_end, int64_t may_try,
                              size_t *ret_at);

#endif
