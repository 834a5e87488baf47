#include "itemgend/sandbox/output.h"

#include <string.h>

enum { TAIL_MAX = 700 };

const char *output_tail(const struct buf *output)
{
    const char *text = buf_str(output);
    size_t len = strlen(text);
    if (len <= TAIL_MAX)
        return len ? text : "it printed nothing";
    const char *start = text + len - TAIL_MAX;
    const char *line = strchr(start, '\n');
    return line && line[1] ? line + 1 : start;
}

const char *output_from_line(const struct buf *output, const char *start)
{
    const char *text = buf_str(output);
    for (const char *at = text; (at = strstr(at, start)); at++)
        if (at == text || at[-1] == '\n')
            return at;
    return NULL;
}
