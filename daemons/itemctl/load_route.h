/*
 * load_route: which worker a document goes to.
 *
 * All versions of an item go to one worker, which loads them in the order of the input: so parallel connections do not
 * reorder them, and of equal published_at the last one in the input wins.
 */
#ifndef ITEMCTL_LOAD_ROUTE_H
#define ITEMCTL_LOAD_ROUTE_H

#include "base/json.h"

/*
 * A number that is the same for all documents with this collection and id, however they are written. Where they are
 * written plainly, without escapes, the document is not parsed; one that is no JSON, or has neither, gets any number.
 */
uint64_t load_route(const char *text, size_t len);

#endif
