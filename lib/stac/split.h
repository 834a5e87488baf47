/*
 * split: where the documents of a JSON stream begin and end, found without parsing it and without holding more than
 * one.
 *
 * The stream comes in pieces of any size and is any of:
 *   - a document a line (ndjson). A line that is broken is a document of its own, which json_parse will refuse;
 *   - documents one after another, each over as many lines as it likes;
 *   - arrays of documents, and objects whose member "features" is an array (FeatureCollections), unless a member "type"
 *     before it says otherwise; the rest of such an object is passed over.
 * The first document decides: where it begins and ends on one line, or its first line cannot go on in the second,
 * the stream is ndjson from there on. Only brackets, strings and commas between documents are looked at.
 */
#ifndef STAC_SPLIT_H
#define STAC_SPLIT_H

#include "base/json.h"

enum { SPLIT_DOCUMENT_MAX = 64 << 20 }; /* bytes */

enum split_form {
    SPLIT_VALUES,   /* between documents that may take many lines */
    SPLIT_LINES,    /* between lines */
    SPLIT_ARRAY,    /* in an array of documents */
    SPLIT_FEATURES, /* in an object's features */
    SPLIT_TAIL,     /* in the rest of that object */
};

/* A place between documents, from which the stream can be split further. All zero: the beginning. */
struct split_position {
    enum split_form form;
    int64_t offset;    /* bytes before it */
    int64_t lines;     /* ends of lines before it */
    int64_t documents; /* documents before it */
};

struct split_document {
    struct buf text; /* as it stands in the stream; the caller's to clear */
    bool too_large;  /* over SPLIT_DOCUMENT_MAX: the text is not kept */
    int64_t line;    /* where it begins, from 1 */
    int64_t index;   /* from 0 */
    struct split_position end;
};
void split_document_clear(struct split_document *document);

struct split {
    struct split_position at; /* behind what has been taken */
    struct buf text;          /* of the document under way */
    int64_t begin_line;
    bool open;        /* a document is under way */
    bool too_large;   /* it is */
    bool scalar;      /* it is a bare number or word */
    bool first_line;  /* it has not seen the end of a line */
    bool second_line; /* it has seen one, and nothing but blanks since */
    bool in_string, escaped;
    char last; /* the last significant character; a string's is '"' */
    int depth;
    bool in_array[JSON_MAX_DEPTH + 3]; /* by depth: what the brackets are */
    /* Of the outermost object: the string that was read last, cut; the key before it; its type. */
    char word[24], key[24];
    size_t word_len;
    bool has_type, is_features;
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
 * `input` is taken, and at its end there are no more. NEVER "invalid_json": the brackets of an array or of a document
 * over many lines do not fit, or the end comes too early; nothing further can be found. < 0: no memory.
 */
int split_next(struct split *split, struct split_input *input, struct split_document *ret, bool *ret_found,
               struct err *err) must_check;

#endif
