/*
 * shell_words: splits a line into words as a shell does, without a shell's expansions.
 *
 * The rules are those of Python's shlex.split, with which botocore reads credential_process and the headers of the
 * shared config file:
 * - blanks separate words
 * - '...' is literal
 * - in "..." a backslash escapes only " and \; outside quotes it escapes any character
 */
#ifndef AWS_SHELL_WORDS_H
#define AWS_SHELL_WORDS_H

#include "base/err.h"

struct shell_words {
    char **list; /* owned; ends with NULL, so it can be an argv */
    size_t n;
};
#define SHELL_WORDS_INIT \
    {                    \
        .list = NULL     \
    }

/* NEVER: "bad_quoting", if a quotation is not closed or the text ends with a backslash. */
int shell_words_split(const char *text, struct shell_words *ret, struct err *err) must_check;
/* Wipes and frees, because a command's arguments may be secret. */
void shell_words_clear(struct shell_words *words);
#define auto_shell_words cleanup(shell_words_clear)

#endif
