/*
 * split: splits a JSON text that arrives in pieces of any size into documents, of which one at a time is in memory.
 *
 * The text is newline-delimited JSON, or documents over many lines, or arrays and FeatureCollections of documents, or
 * any sequence of these, with blanks (or record separators, RFC 8142) in between. An object whose member "features" is
 * an array is a FeatureCollection, unless a member "type" before it says otherwise. Only the brackets of its other
 * members are checked.
 *
 * Every valid document is found, even between damaged ones. Text that cannot be a document becomes a damaged document,
 * which split_document_parse refuses; resync.h has the rules where it ends. An object is damaged, too, if something
 * other than a document follows on its last line, because a bracket too many may have cut it short.
 */
#ifndef STAC_SPLIT_H
#define STAC_SPLIT_H

#include "stac/resync.h"

enum { SPLIT_DOCUMENT_MAX = 64 << 20 }; /* bytes */

enum split_form {
    SPLIT_VALUES,   /* between documents */
    SPLIT_LINES,    /* between documents, the last of which was one line */
    SPLIT_ARRAY,    /* in an array of documents */
    SPLIT_FEATURES, /* in an object's features */
};

/* A place between documents, where splitting can continue. All zero: the beginning. */
struct split_position {
    enum split_form form;
    bool after_comma;  /* in an array: a document may follow */
    int64_t offset;    /* bytes before it */
    int64_t lines;     /* ends of lines before it */
    int64_t column;    /* bytes before it on its line */
    int64_t documents; /* documents before it */
};

struct split_document {
    struct buf text;      /* as in the input; the caller clears it */
    size_t larger_than;   /* not 0: it is larger than document_max, which is this, and its text is not kept */
    bool is_damaged;      /* it has no end, or is not a document at all */
    const char *wrong;    /* the problem, if the text does not show it; a literal */
    int64_t line, column; /* where it begins; from 1 */
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
    struct split_position at; /* behind the last document */
    size_t document_max;      /* bytes of one document; a few times as much is kept in memory at most */
    struct buf held;          /* input that is not finished with */
    size_t from, seen;        /* in it: where `at` is, and how far it was looked at */
    enum { SPLIT_BETWEEN, SPLIT_OPEN, SPLIT_CLOSING, SPLIT_FRAME, SPLIT_DAMAGED } state;
    size_t indent; /* of the line at `at` */
    bool in_indent;
    bool is_first; /* no element of the array was seen */
    int64_t array_line;
    struct brackets frame; /* of a FeatureCollection, without its features */
    /* Of the current document */
    struct brackets brackets;
    struct resync resync;
    int64_t line, column;
    size_t document_indent;
    bool too_large;
    const char *wrong;
    /* The cost of damage, in bytes: followed in total, followed in trials (resync.h), and left for trials. */
    int64_t followed, tried, may_try;
};

void split_init(struct split *split, const struct split_position *from);
void split_clear(struct split *split);

struct split_input {
    const char *data;
    size_t len;
    bool end; /* it is the last piece */
};

/*
 * Reads from `input`, and moves it on, up to the end of the next document.
 * - 0 with *ret_found: a document
 * - 0 without: `input` is read to its end; more of it is needed, unless that was the last piece
 * - < 0: no memory
 */
int split_next(struct split *split, struct split_input *input, struct split_document *ret, bool *ret_found,
               struct err *err) must_check;

#endif
