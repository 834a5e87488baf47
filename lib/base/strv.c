#include "base/strv.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"

void strings_clear(struct strings *strings)
{
    for (size_t i = 0; i < strings->n; i++)
        wipe_string(strings->list[i]);
    free(strings->list);
    *strings = (struct strings)STRINGS_INIT;
}

void strings_add(struct strings *strings, const char *format, ...)
{
    if (strings->n + 1 >= strings->cap) {
        size_t cap = strings->cap ? strings->cap * 2 : 32;
        char **grown = reallocarray(strings->list, cap, sizeof(*grown));
        if (!grown) {
            strings->failed = true;
            return;
        }
        strings->list = grown;
        strings->cap = cap;
    }
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        strings->failed = true;
        return;
    }
    strings->list[strings->n++] = text;
    strings->list[strings->n] = NULL;
}
