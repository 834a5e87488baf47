/*
 * reader: reads the documents of a message, an S3 object or a file.
 *
 * The first bytes decide (encoding.h): UTF-8 text is read, without its byte order mark; gzip is unpacked if the caller
 * allows it; anything else is refused by its name. The text is split into documents (split.h). In memory are some
 * pieces of the input and a few times one document, however large the unpacked input is.
 */
#ifndef STAC_READER_H
#define STAC_READER_H

#include "stac/encoding.h"
#include "stac/split.h"
#include "stac/unpack.h"

struct reader_options {
    struct split_position from; /* where to continue; all zero: at the beginning */
    bool is_sought;             /* the input begins there, and is text; else it begins at its beginning */
    bool may_unpack;
    size_t document_max;  /* bytes of one document; 0: SPLIT_DOCUMENT_MAX */
    int64_t unpacked_max; /* bytes of the whole unpacked input; 0: no limit */
};

struct reader {
    struct reader_options options;
    struct split split; /* split.at: where the reader is */
    struct encoding encoding;
    struct buf head; /* the first bytes, until the encoding is known */
    struct split_input rest;
    int64_t to_skip; /* bytes of text before options.from */
    struct unpack *unpack;
    struct buf text;
    struct split_input unpacked;
    int64_t unpacked_len; /* in total */
    bool is_text_known;   /* the first unpacked bytes were looked at */
    int result;           /* not 0: unpacking failed, with `err` */
    struct err err;
};

void reader_init(struct reader *reader, const struct reader_options *options);
void reader_clear(struct reader *reader);

/*
 * Reads from `input`, and moves it on, up to the end of the next document.
 * - 0 with *ret_found: a document, perhaps a damaged one (split_document_parse)
 * - 0 without: `input` is read to its end; more of it is needed, unless that was the last piece
 * - NEVER: nothing more can be read. "wrong_encoding": the input is not text, or the compressed data is damaged or cut
 *   off. "document_too_large": more than unpacked_max.
 * - < 0: no memory
 */
int reader_next(struct reader *reader, struct split_input *input, struct split_document *ret, bool *ret_found,
                struct err *err) must_check;

#endif
