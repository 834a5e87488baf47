#include "base/strv.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"

void strv_clear(struct strv *strv)
{
    for (size_t i = 0; i < strv->n; i++)
        wipe_string(strv->list[i]);
    free(strv->list);
    *strv = (struct strv)STRV_INIT;
}

void strv_add(struct strv *strv, const char *format, ...)
{
    if (strv->n + 1 >= strv->cap) {
        size_t cap = strv->cap ? strv->cap * 2 : 32;
        char **grown = reallocarray(strv->list, cap, sizeof(*grown));
        if (!grown) {
            strv->failed = true;
            return;
        }
        strv->list = grown;
        strv->cap = cap;
    }
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        strv->failed = true;
        return;
    }
    strv->list[strv->n++] = text;
    strv->list[strv->n] = NULL;
}
