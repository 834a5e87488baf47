/*
 * publisher: publishes finished items to the topic, in batches, without waiting for a batch to fill.
 *
 * A worker that finds nobody publishing publishes its own item at once. Items that other workers finish meanwhile form
 * the next batch (at most ten items and 256 KiB), which one of these workers publishes for all. So a single item is
 * never delayed, and many items at a time need a tenth of the calls.
 */
#ifndef ITEMGEND_PUBLISHER_H
#define ITEMGEND_PUBLISHER_H

#include "aws/aws.h"
#include "daemon/service.h"
#include "itemgend/options.h"
#include "itemgend/publish/publication.h"

struct publisher; /* one per run, shared by its workers */
int publisher_new(const struct itemgend_options *options, struct publisher **ret, struct err *err) must_check;
void publisher_free(struct publisher *publisher);

/*
 * Publishes an item with the message attribute published_at, and returns the result of this item. `client` and `worker`
 * belong to the calling thread; the worker is pulsed. An item that is too large for a message goes into
 * overflow_bucket, and a pointer to it is published (overflow.h). A retry does both again.
 *
 * NEVER: "item_too_large" (no overflow_bucket is set), "invalid_message". LATER, an outage if every item would meet it:
 * the topic or the bucket cannot be reached, does not exist, or refuses access.
 */
int publisher_publish(struct publisher *publisher, struct aws_client *client, struct worker *worker,
                      const struct publication *publication, struct err *err) must_check;

#endif
