/* The functions of http.h that only work on text: no libcurl, no network. */
#include "http/http.h"

#include <strings.h>

void http_response_clear(struct http_response *response)
{
    buf_clear(&response->body);
    buf_clear(&response->headers);
    response->status = 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void add_trimmed(struct buf *ret, const char *text, size_t len)
{
    for (; len > 0 && is_blank(*text); len--)
        text++;
    while (len > 0 && is_blank(text[len - 1]))
        len--;
    buf_add(ret, text, len);
}

bool http_response_header(const struct http_response *response, const char *name, struct buf *ret)
{
    size_t name_len = strlen(name);
    const char *line = buf_str(&response->headers), *end = line + response->headers.len;
    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *line_end = newline ? newline : end;
        size_t len = (size_t)(line_end - line);
        if (len > name_len && line[name_len] == ':' && strncasecmp(line, name, name_len) == 0) {
            add_trimmed(ret, line + name_len + 1, len - name_len - 1);
            return true;
        }
        line = newline ? newline + 1 : end;
    }
    return false;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

void http_percent_encode(const char *text, size_t len, const char *keep, struct buf *ret)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (is_unreserved(text[i]) || (c != '\0' && strchr(keep, c)))
            buf_add(ret, &text[i], 1);
        else
            buf_add(ret, (const char[]){ '%', digits[c >> 4], digits[c & 15] }, 3);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool http_percent_decode(const char *text, size_t len, bool plus_is_space, struct buf *ret)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            buf_putc(ret, text[i] == '+' && plus_is_space ? ' ' : text[i]);
            continue;
        }
        if (len - i < 3)
            return false;
        int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
        if (high < 0 || low < 0)
            return false;
        buf_putc(ret, (char)(high << 4 | low));
        i += 2;
    }
    return true;
}
