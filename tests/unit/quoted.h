/* quoted: JSON in tables, written with ' for ", so that it can be read. */
#ifndef QUOTED_H
#define QUOTED_H

#include "base/json.h"
#include "test.h"

static inline cJSON *parse_quoted(const char *text)
{
    auto_buf struct buf json = BUF_INIT;
    for (const char *at = text; *at; at++)
        buf_putc(&json, *at == '\'' ? '"' : *at);
    cJSON *ret = NULL;
    struct err err = ERR_INIT;
    CHECK_ROW(json_parse(buf_str(&json), json.len, &ret, &err) == 0, "%s: %s", text, err.text);
    return ret;
}

#endif
