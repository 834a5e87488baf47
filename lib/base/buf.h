/*
 * buf: a byte string that grows.
 *
 * - A failed allocation is sticky: later additions do nothing. Add all you need, then test buf_failed() once.
 * - A NUL that `len` does not count always follows the content.
 * - A buf may hold a secret, so buf_clear wipes the content.
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

/* Makes room for `len` more bytes. Write them to the returned address, then add to buf->len. NULL: failed. */
char *buf_reserve(struct buf *buf, size_t len);

/* Empties the buf but keeps its memory. */
void buf_reset(struct buf *buf);
/* Wipes and frees. The buf can be used again, as after BUF_INIT. */
void buf_clear(struct buf *buf);

/* True if an addition has failed since the last reset or clear. */
bool buf_failed(const struct buf *buf);
/* The content as a string ("" when empty), valid until the next change. */
const char *buf_str(const struct buf *buf);
/* Returns the content as a malloced string and empties the buf. NULL if an addition had failed. */
char *buf_take(struct buf *buf) must_check;

/* Overwrites `len` bytes, which the compiler does not optimise away, then frees. NULL is allowed. */
void wipe_and_free(void *data, size_t len);
/* The same for a string. */
void wipe_string(char *text);
void wipe_string_pointer(char **text);
#define auto_wipe cleanup(wipe_string_pointer)

#endif
