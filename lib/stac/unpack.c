#include "stac/unpack.h"

#include <limits.h>
#define ZLIB_CONST
#include <zlib.h>

struct unpack {
    z_stream stream; /* must not move: zlib's state points to it */
    bool is_between; /* members */
};

struct unpack *unpack_new(void)
{
    struct unpack *unpack = calloc(1, sizeof(*unpack));
    if (unpack && inflateInit2(&unpack->stream, 16 + MAX_WBITS) != Z_OK) { /* 16: gzip's frame */
        free(unpack);
        return NULL;
    }
    return unpack;
}

void unpack_free(struct unpack *unpack)
{
    if (!unpack)
        return;
    inflateEnd(&unpack->stream);
    free(unpack);
}

/* After a member comes another one, or zeros as padding. */
static int begin_member(struct unpack *unpack, struct split_input *packed, struct err *err)
{
    while (packed->len > 0 && packed->data[0] == 0) {
        packed->data++;
        packed->len--;
    }
    if (packed->len == 0)
        return 0;
    if (packed->data[0] != 0x1f)
        return err_never(err, "wrong_encoding", "something that is not gzip follows the gzip-compressed data");
    unpack->is_between = false;
    return inflateReset(&unpack->stream) == Z_OK ? 0 : err_no_memory(err);
}

static int inflate_some(struct unpack *unpack, struct split_input *packed, size_t max, struct buf *ret, struct err *err)
{
    z_stream *stream = &unpack->stream;
    size_t room = max - ret->len, len = packed->len < INT_MAX ? packed->len : INT_MAX;
    char *to = buf_reserve(ret, room);
    if (!to)
        return err_no_memory(err);
    stream->next_in = (const unsigned char *)packed->data;
    stream->avail_in = (unsigned)len;
    stream->next_out = (unsigned char *)to;
    stream->avail_out = (unsigned)room;
    int result = inflate(stream, Z_NO_FLUSH);
    ret->len += room - stream->avail_out;
    packed->data += len - stream->avail_in;
    packed->len -= len - stream->avail_in;
    unpack->is_between = result == Z_STREAM_END;
    if (result == Z_MEM_ERROR)
        return err_no_memory(err);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return err_never(err, "wrong_encoding", "the gzip-compressed data is damaged: %s",
                         stream->msg ? stream->msg : "zlib cannot read it");
    return 0;
}

int unpack_next(struct unpack *unpack, struct split_input *packed, size_t max, struct buf *ret, bool *ret_end,
                struct err *err)
{
    int r = 0;
    *ret_end = false;
    while (r == 0 && packed->len > 0 && ret->len < max)
        r = unpack->is_between ? begin_member(unpack, packed, err) : inflate_some(unpack, packed, max, ret, err);
    if (r != 0 || packed->len > 0 || !packed->end)
        return r;
    if (ret->len < max && !unpack->is_between) /* the rest that zlib has */
        r = inflate_some(unpack, packed, max, ret, err);
    if (r != 0 || ret->len >= max)
        return r;
    if (!unpack->is_between)
        return err_never(err, "wrong_encoding", "the gzip-compressed data is cut off");
    *ret_end = true;
    return 0;
}
