/*
 * list: the documents in a text, one after the other, without a tree of the whole.
 *
 * A text is one JSON value, an array, a GeoJSON FeatureCollection, or several objects with nothing but blanks between
 * them (newline-delimited JSON). What is found is where each document begins and ends, by its brackets: whether it is
 * valid JSON shows when it is parsed, so that a bad one among thousands is bad alone. What lies around the features of
 * a FeatureCollection is parsed here.
 */
#ifndef STAC_LIST_H
#define STAC_LIST_H

#include "base/json.h"
#include "base/json_slice.h"

struct stac_list {
    const char *at, *end; /* what is left, in the text */
    bool has_commas;      /* between documents: an array's */
    size_t n;             /* documents found so far */
};

/*
 * Looks at the text, which must outlive the list. NEVER, "invalid_json": the brackets do not match, the text is
 * cut off, or what lies around the features is no JSON; "no_items": nothing but blanks.
 */
int stac_list_open(const char *text, size_t len, struct stac_list *ret, struct err *err) must_check;

/*
 * The next document's text; ret->text NULL: there is no other. NEVER, "invalid_json": what follows is no list (a comma
 * is missing or one too many, a line is no object); the documents before it stand.
 */
int stac_list_next(struct stac_list *list, struct json_slice *ret, struct err *err) must_check;

#endif
