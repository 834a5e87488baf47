#include "itemctl/load_rejects.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/utf8.h"

enum { WRITE_FROM = 64 * 1024 };

int load_rejects_open(const char *path, int64_t keep, struct load_rejects *ret, struct err *err)
{
    *ret = (struct load_rejects){ .path = path, .fd = -1, .len = keep };
    if (!path)
        return 0;
    ret->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (keep ? 0 : O_TRUNC), 0666);
    if (ret->fd < 0)
        return err_fatal(err, errno, "%.500s", path);
    /* Documents behind the checkpoint are loaded again, and rejected again. */
    if (keep > 0 &&
        (lseek(ret->fd, 0, SEEK_END) < keep || ftruncate(ret->fd, keep) != 0 || lseek(ret->fd, keep, SEEK_SET) != keep))
        return err_fatal(err, EINVAL, "%.500s is not the --rejects file of the checkpoint's load; give that one", path);
    return 0;
}

void load_rejects_close(struct load_rejects *rejects)
{
    if (rejects->fd >= 0)
        close(rejects->fd);
    rejects->fd = -1;
    buf_clear(&rejects->lines);
}

/* As a JSON string, with '?' for bytes that a string cannot contain. */
static void write_text(const struct buf *text, struct buf *ret)
{
    auto_buf struct buf clean = BUF_INIT;
    uint32_t code_point = 0;
    for (size_t at = 0, len; at < text->len; at += len ? len : 1) {
        len = utf8_next(text->data + at, text->len - at, &code_point);
        if (len == 0 || code_point == 0)
            buf_putc(&clean, '?');
        else
            buf_add(&clean, text->data + at, len);
    }
    ret->failed |= buf_failed(&clean);
    json_write_string(buf_str(&clean), ret);
}

static void write_entry(const char *from, const struct load_entry *entry, struct buf *ret)
{
    buf_puts(ret, "{\"error_code\":");
    json_write_string(entry->why->code ? entry->why->code : "unknown", ret);
    buf_puts(ret, ",\"error\":");
    json_write_string(entry->why->text, ret);
    buf_puts(ret, ",\"file\":");
    json_write_string(from, ret);
    buf_printf(ret, ",\"line\":%lld,\"index\":%lld", (long long)entry->document.line, (long long)entry->document.index);
    if (entry->is_json) {
        buf_puts(ret, ",\"item\":");
        buf_add(ret, entry->document.text.data, entry->document.text.len);
    } else if (entry->document.text.len) {
        buf_puts(ret, ",\"text\":");
        write_text(&entry->document.text, ret);
    }
    buf_puts(ret, "}\n");
}

int load_rejects_add(struct load_rejects *rejects, const char *from, const struct load_entry *entry, struct err *err)
{
    if (rejects->fd < 0)
        return 0;
    write_entry(from, entry, &rejects->lines);
    if (buf_failed(&rejects->lines))
        return err_no_memory(err);
    return rejects->lines.len < WRITE_FROM ? 0 : load_rejects_flush(rejects, false, err);
}

int load_rejects_flush(struct load_rejects *rejects, bool sync, struct err *err)
{
    for (size_t at = 0; at < rejects->lines.len;) {
        ssize_t n = write(rejects->fd, rejects->lines.data + at, rejects->lines.len - at);
        if (n < 0 && errno != EINTR)
            return err_fatal(err, errno, "writing %.500s", rejects->path);
        at += n > 0 ? (size_t)n : 0;
    }
    rejects->len += (int64_t)rejects->lines.len;
    buf_reset(&rejects->lines);
    if (sync && rejects->fd >= 0 && fsync(rejects->fd) != 0 && errno != EINVAL) /* a pipe cannot be synced */
        return err_fatal(err, errno, "writing %.500s", rejects->path);
    return 0;
}

/* For speed: a line of a rejects file is an object whose first key begins with "error". */
static bool may_be_a_line(const struct buf *text)
{
    static const char key[] = "\"error";
    const char *blanks = " \t\r\n", *at = buf_str(text) + strspn(buf_str(text), blanks);
    if (*at != '{')
        return false;
    at++;
    return strncmp(at + strspn(at, blanks), key, sizeof(key) - 1) == 0;
}

int load_rejects_unwrap(struct buf *text, struct err *err)
{
    auto_json cJSON *json = NULL;
    if (!may_be_a_line(text))
        return 0;
    int r = json_parse(text->data, text->len, &json, NULL);
    if (r < 0)
        return err_no_memory(err);
    if (r != 0 || !json_get_string(json, "error_code") || !json_get_string(json, "error"))
        return 0; /* another document, good or bad */
    const cJSON *item = json_get(json, "item");
    const char *broken = json_get_string(json, "text");
    if (!item && !broken)
        return 0;
    buf_reset(text);
    if (item)
        json_write(item, text);
    else
        buf_puts(text, broken);
    return buf_failed(text) ? err_no_memory(err) : 0;
}
