/* publication: a finished item that is to be published. */
#ifndef ITEMGEND_PUBLICATION_H
#define ITEMGEND_PUBLICATION_H

#include "base/buf.h"

struct publication {
    const struct buf *text; /* the item */
    const char *collection, *item_id;
    int64_t published_at_ms; /* the request's: the time that orders the versions of the item */
};

#endif
