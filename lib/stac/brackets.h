/*
 * brackets: follows one JSON value piece by piece to its end, by its brackets and strings, without parsing it.
 *
 * Every valid value is followed to its end. Of others most are, too, and are left to json_parse; only where the
 * brackets cannot match any more is the value damaged.
 */
#ifndef STAC_BRACKETS_H
#define STAC_BRACKETS_H

#include "base/json.h"

/* The record separator that begins each text of a JSON text sequence (RFC 7464, RFC 8142): never a part of JSON. */
enum { BRACKETS_SEPARATOR = 0x1e };

struct brackets {
    size_t indent; /* of the line in which the value begins */
    int depth;
    bool begun, in_string, escaped, in_word;
    char last;              /* the last significant character; a string's is '"' */
    bool at_line;           /* nothing but blanks since the last newline in the value */
    size_t column;          /* how many */
    bool has_newline;       /* in the value so far */
    bool has_type;          /* of an object: its own member "type" was seen, ... */
    bool is_features;       /* and is "FeatureCollection", ... */
    bool is_document;       /* or that, "Feature" or "Collection" */
    char word[24], key[24]; /* of the outermost object: the string read last, cut; the key before it */
    size_t word_len;
    bool in_array[JSON_MAX_DEPTH + 3]; /* by depth: what the brackets are */
};

/* `indent`: the blanks at the beginning of the line in which the value begins. */
void brackets_init(struct brackets *brackets, size_t indent);

enum brackets_event {
    BRACKETS_GO_ON,      /* all was taken, the value goes on */
    BRACKETS_END,        /* the value ends with the last byte that was taken */
    BRACKETS_END_BEFORE, /* a bare word, the value, ends with it too, and was seen to by the byte behind it */
    BRACKETS_FEATURES,   /* the '[' of the outermost object's "features", no other type before it, was taken */
    BRACKETS_DAMAGE,     /* the byte behind what was taken cannot be a part of the value, or nests too deeply */
};

/* Takes up to the first event. */
enum brackets_event brackets_take(struct brackets *brackets, const char *data, size_t len, size_t *ret_len);

/* Whether the value is complete, if nothing comes behind it. */
bool brackets_may_end(const struct brackets *brackets);

/* The features that BRACKETS_FEATURES has found have ended: the object goes on. */
void brackets_leave_features(struct brackets *brackets);

/* JSON's white space. */
bool brackets_is_blank(char c);

#endif
