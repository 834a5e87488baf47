#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

__attribute__((format(printf, 4, 0))) static void fill(struct err *err, const char *code, bool outage,
                                                       const char *format, va_list args)
{
    if (!err)
        return;
    /* The arguments may point into err->text itself. */
    char text[ERR_TEXT_SIZE];
    vsnprintf(text, sizeof(text), format, args);
    memcpy(err->text, text, sizeof(text));
    err_make_printable(err->text);
    err->code = code;
    err->outage = outage;
}

#define FILL(err, code, outage, format)         \
    do {                                        \
        va_list args_;                          \
        va_start(args_, format);                \
        fill(err, code, outage, format, args_); \
        va_end(args_);                          \
    } while (0)

int err_never(struct err *err, const char *code, const char *format, ...)
{
    FILL(err, code, false, format);
    return NEVER;
}

int err_later(struct err *err, const char *code, const char *format, ...)
{
    FILL(err, code, false, format);
    return LATER;
}

int err_outage(struct err *err, const char *code, const char *format, ...)
{
    FILL(err, code, true, format);
    return LATER;
}

int err_fatal(struct err *err, int error_number, const char *format, ...)
{
    FILL(err, "fatal", false, format);
    if (err) {
        size_t used = strlen(err->text);
        snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(error_number));
    }
    return -error_number;
}

int err_no_memory(struct err *err)
{
    return err_fatal(err, ENOMEM, "cannot allocate");
}

void err_prefix(struct err *err, const char *format, ...)
{
    if (!err)
        return;
    char text[ERR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text) - 2, format, args);
    va_end(args);
    strcat(text, ": ");
    size_t used = strlen(text), more = strlen(err->text);
    if (more > sizeof(text) - 1 - used)
        more = sizeof(text) - 1 - used;
    memcpy(text + used, err->text, more);
    text[used + more] = '\0';
    memcpy(err->text, text, sizeof(text));
    err_make_printable(err->text);
}

bool err_is(const struct err *err, const char *code)
{
    return err->code && strcmp(err->code, code) == 0;
}

void err_make_printable(char *text)
{
    size_t len = strlen(text);
    char *out = text;
    for (size_t at = 0; at < len;) {
        uint32_t c = 0;
        size_t n = utf8_next(text + at, len - at, &c);
        if (n == 0) {
            bool cut = utf8_is_cut(text + at, len - at);
            if (!cut)
                *out++ = '?';
            at += cut ? len - at : 1;
            continue;
        }
        bool printable =
            c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f && (c < 0x80 || c > 0x9f) && c != 0xfffe && c != 0xffff);
        if (printable)
            memmove(out, text + at, n);
        else
            *out = '?';
        out += printable ? n : 1;
        at += n;
    }
    *out = '\0';
}
