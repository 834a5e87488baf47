/*
 * brackets: finds the end of a JSON value that arrives in pieces, by its brackets and strings, without parsing it.
 *
 * It finds the end of every valid value, and of most invalid ones, which json_parse then refuses. A value is damaged
 * when its brackets cannot match any more.
 */
#ifndef STAC_BRACKETS_H
#define STAC_BRACKETS_H

#include "base/json.h"

/* The record separator before each text of a JSON text sequence (RFC 7464, RFC 8142). JSON never contains it. */
enum { BRACKETS_SEPARATOR = 0x1e };

struct brackets {
    size_t indent; /* of the line in which the value begins */
    int depth;
    bool begun, in_string, escaped, in_word;
    char last;              /* the last significant character; a string's is '"' */
    bool at_line;           /* only blanks since the last newline in the value */
    size_t column;          /* their number */
    bool has_newline;       /* in the value so far */
    bool has_type;          /* the outermost object's member "type" was seen; */
    bool is_features;       /* it is "FeatureCollection"; */
    bool is_document;       /* it is "FeatureCollection", "Feature" or "Collection" */
    char word[24], key[24]; /* of the outermost object: its last string, cut, and the key before it */
    size_t word_len;
    bool in_array[JSON_MAX_DEPTH + 3]; /* by depth: the bracket is '[' */
};

/* `indent`: the number of blanks at the beginning of the line in which the value begins. */
void brackets_init(struct brackets *brackets, size_t indent);

enum brackets_event {
    BRACKETS_GO_ON,      /* all bytes were taken, and the value goes on */
    BRACKETS_END,        /* the value ends with the last byte taken */
    BRACKETS_END_BEFORE, /* the same of a bare word, which only the next byte ends */
    BRACKETS_FEATURES, /* the last byte taken is the '[' of "features" in the outermost object, which has no other type
                          before it */
    BRACKETS_DAMAGE,   /* the next byte cannot be a part of the value, or nests too deeply */
};

/* Takes bytes up to the first event. */
enum brackets_event brackets_take(struct brackets *brackets, const char *data, size_t len, size_t *ret_len);

/* Whether the value is complete if nothing follows it. */
bool brackets_may_end(const struct brackets *brackets);

/* The caller has read the features behind BRACKETS_FEATURES, with their ']'. The object goes on. */
void brackets_leave_features(struct brackets *brackets);

/* JSON's white space. */
bool brackets_is_blank(char c);

#endif
