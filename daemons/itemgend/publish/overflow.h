/*
 * overflow: puts items that are too large for a message into S3.
 *
 * The message then has a pointer in the format of AWS's extended client libraries, which itemloadd follows
 * (docs/reference/messages.md). itemgend never deletes the objects; the bucket's lifecycle rule does.
 */
#ifndef ITEMGEND_OVERFLOW_H
#define ITEMGEND_OVERFLOW_H

#include "aws/aws.h"
#include "itemgend/publish/publication.h"

/* Appends the key COLLECTION/ITEM/PUBLISHED_AT.json, which differs for each version of an item. The names are
 * percent-encoded, so that neither contains '/' or is "..". A name too long for a key of 1024 bytes becomes a digest.
 */
void overflow_key(const struct publication *publication, struct buf *ret);

/* Puts the item into the bucket and appends the pointer. LATER, an outage if the bucket does not exist or refuses
 * access. */
int overflow_put(struct aws_client *client, const char *bucket, const struct publication *publication, struct buf *ret,
                 struct err *err) must_check;

#endif
