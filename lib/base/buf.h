/*
 * buf: a byte string that grows.
 *
 * A failed allocation is sticky: later additions do nothing, and buf_failed() tells at the end, so
 * that a run of additions is tested once. The content is always followed by a NUL that `len` does
 * not count. buf_clear wipes what was held: a buf may hold a secret.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/base.h"

struct buf {
    char *data; /* NULL while empty */
    size_t len;
    size_t cap;
    bool failed;
};

#define BUF_INIT     \
    {                \
        .data = NULL \
    }
#define auto_buf cleanup(buf_clear)

void buf_add(struct buf *buf, const void *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_putc(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) printf_like(2, 3);
void buf_add_hex(struct buf *buf, const void *data, size_t len); /* lower case */

/* Room for `len` more bytes behind the content: where to write them, then add to buf->len. NULL: failed. */
char *buf_reserve(struct buf *buf, size_t len);

/* Forgets the content and keeps the memory. */
void buf_reset(struct buf *buf);
/* Wipes and frees; the buf is as after BUF_INIT. */
void buf_clear(struct buf *buf);

/* Whether an addition has failed since the last reset or clear. */
bool buf_failed(const struct buf *buf);
/* The content, NUL-terminated ("" when empty), valid until the next change. */
const char *buf_str(const struct buf *buf);
/* Hands the content over as a malloced, NUL-terminated string; NULL if it failed. The buf is empty from then on. */
char *buf_take(struct buf *buf) must_check;

/* Overwrites `len` bytes in a way that the compiler does not remove, and frees. NULL is allowed. */
void wipe_and_free(void *data, size_t len);
/* The same for a string. */
void wipe_string(char *text);
void wipe_string_pointer(char **text);
#define auto_wipe cleanup(wipe_string_pointer)

#endif
