/* strings: an argv or an environment: owned strings behind an array that ends with NULL. */
#ifndef ITEMGEND_STRINGS_H
#define ITEMGEND_STRINGS_H

#include "base/base.h"

struct strings {
    char **list;
    size_t n, cap;
    bool failed; /* an addition has: for want of memory */
};
#define STRINGS_INIT \
    {                \
        .list = NULL \
    }
#define auto_strings cleanup(strings_clear)
/* Wipes them too: an environment may hold credentials. */
void strings_clear(struct strings *strings);

void strings_add(struct strings *strings, const char *format, ...) printf_like(2, 3);

#endif
