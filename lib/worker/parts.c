#include "worker/parts.h"

#include <stdio.h>

/* Of the 1 KiB: no further text once there are so many bytes, and of each so many at most; then lines. */
enum { TEXTS_MAX = 440, TEXT_MAX = 300, LINES_MAX = 180 };

void parts_clear(struct parts *parts)
{
    buf_clear(&parts->texts);
    buf_clear(&parts->lines);
}

/* LATER is worse than NEVER: while a part may still succeed, the message stays in its queue. */
static bool is_worse(int result, int than)
{
    return result != 0 && (than == 0 || (result == LATER && than == NEVER));
}

void parts_add(struct parts *parts, int64_t line, int result, const struct err *err)
{
    parts->n++;
    if (is_worse(result, parts->result)) {
        parts->result = result;
        parts->err = *err;
        parts->n_failed = parts->n_named = 0;
        buf_reset(&parts->texts);
        buf_reset(&parts->lines);
    }
    if (result == 0 || result != parts->result)
        return;
    parts->n_failed++;
    if (parts->texts.len < TEXTS_MAX) {
        buf_printf(&parts->texts, "; %.*s", TEXT_MAX, err->text);
        parts->n_named++;
    } else if (line > 0 && parts->lines.len < LINES_MAX) {
        buf_printf(&parts->lines, parts->lines.len ? ", %lld" : "; also at lines %lld", (long long)line);
        parts->n_named++;
    }
}

void parts_conclude(struct parts *parts, const char *noun)
{
    char more[40] = "";
    if (parts->result == 0 || parts->n == 1)
        return;
    if (parts->n_failed > parts->n_named)
        snprintf(more, sizeof(more), "; and %zu more", parts->n_failed - parts->n_named);
    /* Sets the text; the result stays. */
    (void)err_later(&parts->err, parts->err.code, "%zu of %zu %s%s%s%s", parts->n_failed, parts->n, noun,
                    buf_str(&parts->texts), buf_str(&parts->lines), more);
}
