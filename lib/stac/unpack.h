/* unpack: unpacks a gzip stream, of one member or several, in pieces of bounded size. */
#ifndef STAC_UNPACK_H
#define STAC_UNPACK_H

#include "base/buf.h"
#include "stac/split.h"

struct unpack;

/* NULL: no memory. */
struct unpack *unpack_new(void);
void unpack_free(struct unpack *unpack);

/*
 * Unpacks from `packed`, and moves it on, until `ret` has `max` bytes or `packed` is at its end. *ret_end: the stream
 * is at its end. NEVER: "wrong_encoding", the stream is damaged or cut off, or something else follows it; `ret` keeps
 * the data before that. < 0: no memory.
 */
int unpack_next(struct unpack *unpack, struct split_input *packed, size_t max, struct buf *ret, bool *ret_end,
                struct err *err) must_check;

#endif
