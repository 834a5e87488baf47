/* output: what a program printed, as far as it was kept, in search of what to tell of it. */
#ifndef ITEMGEND_OUTPUT_H
#define ITEMGEND_OUTPUT_H

#include "base/buf.h"

/* The last lines, within what a dead letter's error can hold; what to say where there are none. Borrowed from `output`.
 */
const char *output_tail(const struct buf *output);

/* From the first line that begins with `start` up to the end; NULL: there is none. Borrowed from `output`. */
const char *output_from_line(const struct buf *output, const char *start);

#endif
