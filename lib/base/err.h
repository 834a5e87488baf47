/*
 * err: the story of a failure, filled by the function that saw it, told once by the worker.
 *
 * `code` is a short stable name (snake_case) that a script or a dead letter can rely on; `text`
 * names the thing, the place and what to do. A failure that is not the message's own but a
 * dependency's, and that every message would meet alike, sets `outage`: receiving stops for it.
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

/* Each fills `err` (NULL is allowed: nobody listens) and returns the result it is named after. */
int err_never(struct err *err, const char *code, const char *format, ...) printf_like(3, 4);
int err_later(struct err *err, const char *code, const char *format, ...) printf_like(3, 4);
int err_outage(struct err *err, const char *code, const char *format, ...) printf_like(3, 4);
/* Returns -error_number, whose description is put behind the text. */
int err_fatal(struct err *err, int error_number, const char *format, ...) printf_like(3, 4);
int err_no_memory(struct err *err);

/* Puts "CONTEXT: " before the text that is there. */
void err_prefix(struct err *err, const char *format, ...) printf_like(2, 3);

/* Whether `err` holds this code. */
bool err_is(const struct err *err, const char *code);

/*
 * Makes `text` printable in place: what a terminal, a log line or an SQS attribute could not take
 * (control characters, bytes that are no UTF-8, U+FFFE, U+FFFF) becomes '?'; a sequence that was
 * cut at the end goes.
 */
void err_make_printable(char *text);

#endif
