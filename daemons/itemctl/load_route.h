/*
 * load_route: chooses the worker that loads a document.
 *
 * All versions of an item go to one worker, in the order of the input. So parallel connections do not reorder them, and
 * if their published_at is the same, the last one in the input wins.
 */
#ifndef ITEMCTL_LOAD_ROUTE_H
#define ITEMCTL_LOAD_ROUTE_H

#include "base/json.h"

/*
 * A number that is the same for all documents with this collection and id, also if they are written with escapes; only
 * then the document is parsed. A document without them, or that is not JSON, gets any number.
 */
uint64_t load_route(const char *text, size_t len);

#endif
