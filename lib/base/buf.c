#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void wipe_and_free(void *data, size_t len)
{
    if (!data)
        return;
    explicit_bzero(data, len);
    free(data);
}

void wipe_string(char *text)
{
    if (text)
        wipe_and_free(text, strlen(text));
}

void wipe_string_pointer(char **text)
{
    wipe_string(*text);
}

static bool grow(struct buf *buf, size_t more)
{
    if (buf->failed)
        return false;
    if (more < buf->cap - buf->len) /* cap 0, len 0: never true */
        return true;
    if (more > SIZE_MAX / 4 || buf->len > SIZE_MAX / 4) {
        buf->failed = true;
        return false;
    }
    size_t cap = buf->cap ? buf->cap * 2 : 64;
    while (cap - buf->len <= more)
        cap *= 2;
    /* realloc would leave an unwiped copy behind. */
    char *data = malloc(cap);
    if (!data) {
        buf->failed = true;
        return false;
    }
    if (buf->data)
        memcpy(data, buf->data, buf->len);
    data[buf->len] = '\0';
    wipe_and_free(buf->data, buf->cap);
    buf->data = data;
    buf->cap = cap;
    return true;
}

char *buf_reserve(struct buf *buf, size_t len)
{
    return grow(buf, len) ? buf->data + buf->len : NULL;
}

void buf_add(struct buf *buf, const void *data, size_t len)
{
    if (len == 0 || !grow(buf, len))
        return;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_puts(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_putc(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        buf->failed = true;
    else if (grow(buf, (size_t)len)) {
        vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

void buf_add_hex(struct buf *buf, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    char *out = buf_reserve(buf, 2 * len);
    if (!out)
        return;
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
    buf->len += 2 * len;
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data)
        buf->data[0] = '\0';
}

void buf_clear(struct buf *buf)
{
    wipe_and_free(buf->data, buf->cap);
    *buf = (struct buf)BUF_INIT;
}

bool buf_failed(const struct buf *buf)
{
    return buf->failed;
}

const char *buf_str(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

char *buf_take(struct buf *buf)
{
    if (!grow(buf, 0)) {
        buf_clear(buf);
        return NULL;
    }
    char *text = TAKE(buf->data);
    *buf = (struct buf)BUF_INIT;
    return text;
}
