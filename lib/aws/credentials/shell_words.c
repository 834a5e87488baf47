#include "aws/credentials/shell_words.h"

#include "base/buf.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Reads the quotation at *at and moves *at behind it. False: it is not closed. */
static bool read_quoted(const char **at, struct buf *word)
{
    char quote = *(*at)++;
    for (; **at && **at != quote; (*at)++) {
        if (quote == '"' && **at == '\\' && ((*at)[1] == '"' || (*at)[1] == '\\'))
            (*at)++;
        buf_putc(word, **at);
    }
    return *(*at)++ == quote;
}

/* Reads the word at *at and moves *at behind it. */
static int read_word(const char **at, struct buf *word, struct err *err)
{
    while (**at && !is_blank(**at)) {
        if (**at == '\'' || **at == '"') {
            if (!read_quoted(at, word))
                return err_never(err, "bad_quoting", "a quotation is not closed");
            continue;
        }
        if (**at == '\\' && *++(*at) == '\0')
            return err_never(err, "bad_quoting", "the text ends with a backslash");
        buf_putc(word, *(*at)++);
    }
    return 0;
}

static int add_word(struct shell_words *words, struct buf *word, struct err *err)
{
    char *text = buf_take(word);
    char **list = reallocarray(words->list, words->n + 2, sizeof(*list));
    if (list)
        words->list = list;
    if (!text || !list) {
        wipe_string(text);
        return err_no_memory(err);
    }
    list[words->n++] = text;
    list[words->n] = NULL;
    return 0;
}

int shell_words_split(const char *text, struct shell_words *ret, struct err *err)
{
    auto_shell_words struct shell_words words = SHELL_WORDS_INIT;
    auto_buf struct buf word = BUF_INIT;
    for (const char *at = text;;) {
        while (is_blank(*at))
            at++;
        if (!*at)
            break;
        int r = read_word(&at, &word, err);
        if (r == 0)
            r = add_word(&words, &word, err);
        if (r != 0)
            return r;
    }
    *ret = words;
    words = (struct shell_words)SHELL_WORDS_INIT;
    return 0;
}

void shell_words_clear(struct shell_words *words)
{
    for (size_t i = 0; i < words->n; i++)
        wipe_string(words->list[i]);
    free(words->list);
    *words = (struct shell_words)SHELL_WORDS_INIT;
}
