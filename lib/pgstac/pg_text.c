/* What pg.h has for SQL texts and rows. */
#include "pgstac/pg.h"

#include <string.h>

int pg_find_row(const PGresult *rows, const char *value)
{
    for (int row = 0; row < PQntuples(rows); row++)
        if (strcmp(PQgetvalue(rows, row, 0), value) == 0)
            return row;
    return -1;
}

void pg_array_add(struct buf *array, const char *text)
{
    buf_puts(array, array->len ? ",\"" : "{\"");
    for (const char *at = text; *at; at++) {
        if (*at == '"' || *at == '\\')
            buf_putc(array, '\\');
        buf_putc(array, *at);
    }
    buf_putc(array, '"');
}

void pg_array_end(struct buf *array)
{
    buf_puts(array, array->len ? "}" : "{}");
}

static void put_doubled(char quote, const char *text, struct buf *ret)
{
    buf_putc(ret, quote);
    for (const char *at = text; *at; at++) {
        if (*at == quote)
            buf_putc(ret, quote);
        buf_putc(ret, *at);
    }
    buf_putc(ret, quote);
}

void pg_quote_identifier(const char *name, struct buf *ret)
{
    put_doubled('"', name, ret);
}

/* A backslash means the same in an E'' string whatever standard_conforming_strings says. */
void pg_quote_literal(const char *text, struct buf *ret)
{
    auto_buf struct buf escaped = BUF_INIT;
    for (const char *at = text; *at; at++) {
        if (*at == '\\')
            buf_putc(&escaped, '\\');
        buf_putc(&escaped, *at);
    }
    ret->failed |= buf_failed(&escaped);
    buf_putc(ret, 'E');
    put_doubled('\'', buf_str(&escaped), ret);
}
