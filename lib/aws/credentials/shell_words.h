/*
 * shell_words: splitting a line into words as a shell does, without any of a shell's expansions.
 *
 * The rules are those of Python's shlex.split, by which botocore reads credential_process and the
 * headers of the shared config file: blanks separate; '...' is literal; in "..." a backslash
 * escapes only " and \; outside quotes it escapes any character.
 */
#ifndef AWS_SHELL_WORDS_H
#define AWS_SHELL_WORDS_H

#include "base/err.h"

struct shell_words {
    char **list; /* ends with NULL: an argv; owned */
    size_t n;
};
#define SHELL_WORDS_INIT \
    {                    \
        .list = NULL     \
    }

/* NEVER: "bad_quoting", a quotation that is not closed, or nothing behind the last backslash. */
int shell_words_split(const char *text, struct shell_words *ret, struct err *err) must_check;
/* Wipes and frees: a command's arguments may hold a secret. */
void shell_words_clear(struct shell_words *words);
#define auto_shell_words cleanup(shell_words_clear)

#endif
