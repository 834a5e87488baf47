/* unpack: a gzip stream of one member or several, unpacked a bounded piece at a time. */
#ifndef STAC_UNPACK_H
#define STAC_UNPACK_H

#include "base/buf.h"
#include "stac/split.h"

struct unpack;

/* NULL: no memory. */
struct unpack *unpack_new(void);
void unpack_free(struct unpack *unpack);

/*
 * Takes of `packed` (which moves on) and appends what it unpacks to, until `ret` has `max` bytes or `packed` is taken;
 * *ret_end: nothing follows. NEVER, "wrong_encoding": the stream is damaged or cut off, or something else follows it;
 * what was unpacked before stands. < 0: no memory.
 */
int unpack_next(struct unpack *unpack, struct split_input *packed, size_t max, struct buf *ret, bool *ret_end,
                struct err *err) must_check;

#endif
