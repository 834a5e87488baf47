/*
 * err: why something failed. The function that fails fills it in; the worker logs it once.
 *
 * - `code`: a short stable name in snake_case. Scripts and dead letters may rely on it.
 * - `text`: what is wrong, with which thing, and what to do.
 * - `outage`: a dependency failed, and every message would fail the same way. The worker pauses receiving.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/base.h"

enum { ERR_TEXT_SIZE = 1024 };

struct err {
    const char *code; /* a string literal; NULL while nothing failed */
    bool outage;
    char text[ERR_TEXT_SIZE];
};

#define ERR_INIT     \
    {                \
        .code = NULL \
    }

/* Each fills `err` (NULL: not wanted) and returns the result it is named after. */
int err_never(struct err *err, const char *code, const char *format, ...) printf_like(3, 4);
int err_later(struct err *err, const char *code, const char *format, ...) printf_like(3, 4);
int err_outage(struct err *err, const char *code, const char *format, ...) printf_like(3, 4);
/* Appends the description of `error_number` to the text and returns -error_number. */
int err_fatal(struct err *err, int error_number, const char *format, ...) printf_like(3, 4);
int err_no_memory(struct err *err);

/* Puts "CONTEXT: " before the text. */
void err_prefix(struct err *err, const char *format, ...) printf_like(2, 3);

/* True if `err` has this code. */
bool err_is(const struct err *err, const char *code);

/*
 * Makes `text` safe for terminals, log lines and SQS attributes, in place:
 * - control characters, invalid UTF-8, U+FFFE and U+FFFF become '?'
 * - a UTF-8 sequence that is cut short at the end is removed
 */
void err_make_printable(char *text);

#endif
