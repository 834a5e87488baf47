/*
 * split: the documents of a JSON text that comes in pieces of any size, without holding more than one of them.
 *
 * The text is a sequence of documents, or of arrays and FeatureCollections of documents, with nothing but blanks (or
 * record separators, RFC 8142) between them: newline-delimited JSON, documents over many lines, one array.
 * An object whose member "features" is an array is a FeatureCollection, unless a member "type" before it says
 * otherwise; of its other members only the brackets are looked at.
 *
 * Every valid document is found, whatever stands around it. What cannot be a document, or a part of an array, is given
 * as a damaged one, which split_document_parse refuses: resync.h has the rules of where it ends. An object with
 * anything but another document behind it on its last line is damaged too: it may have been cut by one bracket too
 * many.
 */
#ifndef STAC_SPLIT_H
#define STAC_SPLIT_H

#include "stac/resync.h"

enum { SPLIT_DOCUMENT_MAX = 64 << 20 }; /* bytes */

enum split_form {
    SPLIT_VALUES,   /* between documents that may take many lines */
    SPLIT_LINES,    /* between documents, the last of which was a line */
    SPLIT_ARRAY,    /* in an array of documents */
    SPLIT_FEATURES, /* in an object's features */
};

/* A place between documents, from which the text can be split further. All zero: the beginning. */
struct split_position {
    enum split_form form;
    bool after_comma;  /* in an array: a document may follow */
    int64_t offset;    /* bytes before it */
    int64_t lines;     /* ends of lines before it */
    int64_t column;    /* bytes before it on its line */
    int64_t documents; /* documents before it */
};

struct split_document {
    struct buf text;      /* as it stands in the input; the caller's to clear */
    size_t larger_than;   /* not 0: it has more bytes than that, document_max, and its text is not kept */
    bool is_damaged;      /* it has no end, or is not a document at all */
    const char *wrong;    /* what is wrong, where its text does not show it; a literal */
    int64_t line, column; /* where it begins, from 1 */
    int64_t index;        /* from 0; damaged ones count */
    struct split_position end;
};
void split_document_clear(struct split_document *document);

/*
 * Parses the document's text as stac_item_parse does. NEVER: "invalid_json", with the line and column in the whole
 * input; "document_too_large".
 */
int split_document_parse(const struct split_document *document, cJSON **ret, struct err *err) must_check;

struct split {
    struct split_position at; /* of what has not been given */
    size_t document_max;      /* bytes of one document, of which a few times as much is held at most */
    struct buf held;          /* bytes from before `at` on */
    size_t from, seen;        /* where `at` is in it, and what was looked at */
    enum { SPLIT_BETWEEN, SPLIT_OPEN, SPLIT_CLOSING, SPLIT_FRAME, SPLIT_DAMAGED } state;
    size_t indent; /* of the line at `at` */
    bool in_indent;
    bool is_first; /* nothing of the array was seen */
    int64_t array_line;
    struct brackets frame; /* of a FeatureCollection, without its features */
    /* Of the document under way */
    struct brackets brackets;
    struct resync resync;
    int64_t line, column;
    size_t document_indent;
    bool too_large;
    const char *wrong;
    /* What damage has cost: bytes looked at, in all and when a document was tried. */
    int64_t followed, tried, may_try;
};

void split_init(struct split *split, const struct split_position *from);
void split_clear(struct split *split);

struct split_input {
    const char *data;
    size_t len;
    bool end; /* nothing comes behind it */
};

/*
 * Takes of `input` (which moves on) up to the end of the next document. 0 with *ret_found: here is one; without: all of
 * `input` is taken, and at its end there are no more. < 0 only: no memory.
 */
int split_next(struct split *split, struct split_input *input, struct split_document *ret, bool *ret_found,
               struct err *err) must_check;

#endif
