#include "stac/reader.h"

#include <string.h>

enum { UNPACK_PIECE = 64 * 1024 };

void reader_init(struct reader *reader, const struct reader_options *options)
{
    *reader = (struct reader){ .options = *options };
    split_init(&reader->split, &options->from);
    if (options->document_max)
        reader->split.document_max = options->document_max;
    if (options->is_sought)
        reader->encoding.kind = ENCODING_TEXT;
    else
        reader->to_skip = options->from.offset;
}

void reader_clear(struct reader *reader)
{
    split_clear(&reader->split);
    buf_clear(&reader->head);
    buf_clear(&reader->text);
    unpack_free(TAKE(reader->unpack));
}

/* Skips the text before options.from. */
static void skip(struct reader *reader, struct split_input *text)
{
    size_t len = (int64_t)text->len < reader->to_skip ? text->len : (size_t)reader->to_skip;
    text->data += len;
    text->len -= len;
    reader->to_skip -= (int64_t)len;
}

/* Skips the byte order mark. */
static void skip_mark(struct reader *reader, struct split_input *text, size_t mark_len)
{
    if (reader->options.from.offset > 0)
        return; /* then it is a part of the text that is skipped */
    text->data += mark_len;
    text->len -= mark_len;
    reader->split.at.offset = (int64_t)mark_len;
}

static int decide(struct reader *reader, struct split_input *input, struct err *err)
{
    size_t room = ENCODING_LOOK - reader->head.len, len = input->len < room ? input->len : room;
    buf_add(&reader->head, input->data, len);
    input->data += len;
    input->len -= len;
    if (buf_failed(&reader->head))
        return err_no_memory(err);
    struct encoding *encoding = &reader->encoding;
    *encoding = encoding_of(buf_str(&reader->head), reader->head.len, input->end && input->len == 0);
    reader->rest = (struct split_input){ .data = buf_str(&reader->head), .len = reader->head.len };
    if (encoding->kind == ENCODING_TEXT)
        skip_mark(reader, &reader->rest, encoding->mark_len);
    if (encoding->kind == ENCODING_OTHER || (encoding->kind == ENCODING_GZIP && !reader->options.may_unpack))
        return encoding_refuse(encoding, err);
    if (encoding->kind != ENCODING_GZIP)
        return 0;
    reader->unpack = unpack_new();
    return reader->unpack ? 0 : err_no_memory(err);
}

/* The rest of the head comes first. */
static struct split_input *next_input(struct reader *reader, struct split_input *input)
{
    return reader->rest.len > 0 ? &reader->rest : input;
}

/* ------------------------------------------------------------------ unpacking */

/* The unpacked data may be something other than text, too. */
static int decide_text(struct reader *reader, struct err *err)
{
    struct encoding encoding = encoding_of(buf_str(&reader->text), reader->text.len, true);
    reader->is_text_known = true;
    if (encoding.kind != ENCODING_TEXT) {
        reader->unpacked.len = 0;
        return encoding_refuse(&encoding, err);
    }
    skip_mark(reader, &reader->unpacked, encoding.mark_len);
    return 0;
}

/* Unpacks the next piece of text. *ret_any false: more input is needed. */
static int unpack_piece(struct reader *reader, struct split_input *input, bool *ret_any, struct err *err)
{
    struct buf *text = &reader->text;
    bool is_end = false, is_more = true;
    if (reader->is_text_known)
        buf_reset(text);
    size_t before = text->len;
    int r = 0;
    while (r == 0 && is_more && !is_end && text->len < UNPACK_PIECE) {
        struct split_input *from = next_input(reader, input);
        r = unpack_next(reader->unpack, from, UNPACK_PIECE, text, &is_end, err);
        is_more = from != input || input->len > 0;
    }
    reader->unpacked_len += (int64_t)(text->len - before);
    *ret_any = is_end || r != 0 || text->len >= (reader->is_text_known ? 1 : ENCODING_LOOK);
    if (r < 0 || !*ret_any)
        return r;
    reader->unpacked = (struct split_input){ .data = buf_str(text), .len = text->len, .end = is_end };
    if (!reader->is_text_known && (r == 0 || text->len > 0)) {
        int decided = decide_text(reader, err);
        r = decided != 0 ? decided : r;
    }
    skip(reader, &reader->unpacked);
    if (r == 0 && reader->options.unpacked_max && reader->unpacked_len > reader->options.unpacked_max)
        r = err_never(err, "document_too_large", "unpacked, it has more than %lld bytes",
                      (long long)reader->options.unpacked_max);
    return r;
}

/* A document that ends where unpacking failed is cut off. The error of unpacking is reported in its place. */
static bool is_cut(struct reader *reader, struct split_document *document)
{
    if (reader->result == 0 || !document->is_damaged || document->end.offset < reader->unpacked_len)
        return false;
    split_document_clear(document);
    reader->split.at.documents--;
    return true;
}

static int next_unpacked(struct reader *reader, struct split_input *input, struct split_document *ret, bool *ret_found,
                         struct err *err)
{
    for (;;) {
        int r = split_next(&reader->split, &reader->unpacked, ret, ret_found, err);
        if (r == 0 && *ret_found && is_cut(reader, ret))
            *ret_found = false;
        if (r != 0 || *ret_found)
            return r;
        if (reader->result != 0) {
            if (err)
                *err = reader->err;
            return reader->result;
        }
        if (reader->unpacked.end)
            return 0;
        bool any = false;
        r = unpack_piece(reader, input, &any, &reader->err);
        if (r < 0)
            return err_no_memory(err);
        if (r != 0) { /* the documents before the failure come first */
            reader->result = r;
            reader->unpacked.end = true;
        } else if (!any) {
            return 0;
        }
    }
}

int reader_next(struct reader *reader, struct split_input *input, struct split_document *ret, bool *ret_found,
                struct err *err)
{
    *ret_found = false;
    if (reader->encoding.kind == ENCODING_UNDECIDED) {
        int r = decide(reader, input, err);
        if (r != 0 || reader->encoding.kind == ENCODING_UNDECIDED)
            return r;
    }
    if (reader->encoding.kind == ENCODING_GZIP)
        return next_unpacked(reader, input, ret, ret_found, err);
    if (reader->rest.len > 0) {
        skip(reader, &reader->rest);
        int r = split_next(&reader->split, &reader->rest, ret, ret_found, err);
        if (r != 0 || *ret_found)
            return r;
    }
    skip(reader, input);
    return split_next(&reader->split, input, ret, ret_found, err);
}
