/*
 * reader: the documents of an input, whatever way it came: a message, an S3 object, a file.
 *
 * The first bytes tell what it is: UTF-8 text, of which a byte order mark is skipped; gzip, which is unpacked where the
 * caller allows it; anything else is refused by its name (encoding.h). The text is split into documents (split.h). The
 * reader holds some pieces of the input and a few times one document, however much is packed in it.
 */
#ifndef STAC_READER_H
#define STAC_READER_H

#include "stac/encoding.h"
#include "stac/split.h"
#include "stac/unpack.h"

struct reader_options {
    struct split_position from; /* where to go on; all zero: the beginning */
    bool is_sought;             /* the input comes from there on, and is text; else from its beginning */
    bool may_unpack;
    size_t document_max;  /* bytes of one document; 0: SPLIT_DOCUMENT_MAX */
    int64_t unpacked_max; /* bytes of all that is unpacked; 0: no limit */
};

struct reader {
    struct reader_options options;
    struct split split; /* its `at`: where the reader is */
    struct encoding encoding;
    struct buf head; /* the first bytes, which tell the encoding */
    struct split_input rest;
    int64_t to_skip; /* bytes of text before options.from */
    struct unpack *unpack;
    struct buf text;
    struct split_input unpacked;
    int64_t unpacked_len; /* in all */
    bool is_text_known;   /* the first of the unpacked bytes were looked at */
    int result;           /* not 0: unpacking has failed, for this reason */
    struct err err;
};

void reader_init(struct reader *reader, const struct reader_options *options);
void reader_clear(struct reader *reader);

/*
 * Takes of `input` (which moves on) up to the end of the next document. 0 with *ret_found: here is one, perhaps a
 * damaged one (split_document_parse); without: all of `input` is taken, and at its end there are no more.
 * NEVER: nothing more can be read; "wrong_encoding": it is not text, or what is packed is damaged or cut off;
 * "document_too_large": more than unpacked_max. < 0: no memory.
 */
int reader_next(struct reader *reader, struct split_input *input, struct split_document *ret, bool *ret_found,
                struct err *err) must_check;

#endif
