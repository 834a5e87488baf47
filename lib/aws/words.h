/*
 * words: splitting a line into words as a shell does, without any of a shell's expansions.
 *
 * The rules are those of Python's shlex.split, by which botocore reads credential_process and the
 * headers of the shared config file: blanks separate; '...' is literal; in "..." a backslash
 * escapes only " and \; outside quotes it escapes any character.
 */
#ifndef AWS_WORDS_H
#define AWS_WORDS_H

#include "base/err.h"

struct words {
    char **list; /* ends with NULL: an argv; owned */
    size_t n;
};
#define WORDS_INIT   \
    {                \
        .list = NULL \
    }

/* NEVER: "bad_quoting", a quotation that is not closed, or nothing behind the last backslash. */
int words_split(const char *text, struct words *ret, struct err *err) must_check;
/* Wipes and frees: a command's arguments may hold a secret. */
void words_clear(struct words *words);
#define auto_words cleanup(words_clear)

#endif
