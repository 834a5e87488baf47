/*
 * overflow: what is too large for a message, put into S3, with a pointer in its place.
 *
 * The pointer is that of AWS's extended client libraries, which itemloadd follows (docs/reference/messages.md). An
 * object is never deleted here: the bucket's lifecycle rule does that.
 */
#ifndef ITEMGEND_OVERFLOW_H
#define ITEMGEND_OVERFLOW_H

#include "itemgend/publish/publisher.h"

/* Appends COLLECTION/ITEM/PUBLISHED_AT.json: one key for a version of an item, and no other version has it. The names
 * are percent-encoded, so that neither has a '/' or is "..", and what would not fit S3's 1024 bytes is a digest. */
void overflow_key(const struct publication *publication, struct buf *ret);

/* Puts the item into the bucket, and appends the pointer's text. LATER, an outage where the bucket is not there or may
 * not be written to. */
int overflow_put(struct aws_client *client, const char *bucket, const struct publication *publication, struct buf *ret,
                 struct err *err) must_check;

#endif
