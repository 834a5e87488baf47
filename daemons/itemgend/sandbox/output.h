/* output: finds the parts of a program's output that explain its failure. */
#ifndef ITEMGEND_OUTPUT_H
#define ITEMGEND_OUTPUT_H

#include "base/buf.h"

/* The last lines, short enough for the error of a dead letter; "it printed nothing" if there are none. Borrowed from
 * `output`. */
const char *output_tail(const struct buf *output);

/* The rest of the output from the first line that begins with `start`; NULL: no such line. Borrowed from `output`. */
const char *output_from_line(const struct buf *output, const char *start);

#endif
