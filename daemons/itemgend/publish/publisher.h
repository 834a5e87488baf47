/*
 * publisher: finished items to the topic, in batches that nobody waits for.
 *
 * Group commit: a worker that finds nobody publishing publishes at once what is there, its own item; those that finish
 * meanwhile are the next batch (ten items, 256 KiB), which one of them publishes for all. So a lone item is never
 * delayed, and many at a time cost a tenth of the calls.
 */
#ifndef ITEMGEND_PUBLISHER_H
#define ITEMGEND_PUBLISHER_H

#include "aws/aws.h"
#include "daemon/service.h"
#include "itemgend/options.h"

struct publisher; /* one per run, shared by its workers */
int publisher_new(const struct itemgend_options *options, struct publisher **ret, struct err *err) must_check;
void publisher_free(struct publisher *publisher);

struct publication {
    const struct buf *text; /* the item */
    const char *collection, *item_id;
    int64_t published_at_ms; /* the request's: the time that orders the item's versions */
};

/*
 * Publishes with the message attribute published_at. What is too large for a message is put into overflow_bucket, as
 * COLLECTION/ITEM/PUBLISHED_AT.json, and a pointer to it is published (docs/reference/messages.md); both happen again
 * where the item does. `client` and `worker` are the calling thread's; the worker is pulsed. Each caller has the result
 * of its own item. NEVER: "item_too_large" (there is no overflow_bucket), "invalid_message". LATER, with outage where
 * every item would meet it: the topic or the bucket cannot be reached, is gone or forbidden.
 */
int publisher_publish(struct publisher *publisher, struct aws_client *client, struct worker *worker,
                      const struct publication *publication, struct err *err) must_check;

#endif
