/* strv: a growing vector of strings that ends with NULL, for example an argv or an environ. */
#ifndef BASE_STRV_H
#define BASE_STRV_H

#include "base/base.h"

struct strv {
    char **list; /* NULL: nothing was added yet */
    size_t n, cap;
    bool failed; /* an addition failed: no memory */
};
#define STRV_INIT    \
    {                \
        .list = NULL \
    }
#define auto_strv cleanup(strv_clear)
/* Wipes and frees the strings: an environ may hold credentials. */
void strv_clear(struct strv *strv);

/* Appends a formatted string. A failure is sticky in `failed`. */
void strv_add(struct strv *strv, const char *format, ...) printf_like(2, 3);

#endif
