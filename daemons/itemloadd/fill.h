/*
 * fill: receives the messages of one batch.
 *
 * While the queue is empty, one receive at a time waits for a message. After the first message many receives are open
 * at once, until the batch has batch_items messages or batch_bytes, or is batch_window old, or no receive was full for
 * batch_idle. So a single item is loaded within seconds, and a flood in full batches. The leases of the messages are
 * renewed from their receive on.
 */
#ifndef ITEMLOADD_FILL_H
#define ITEMLOADD_FILL_H

#include "worker/consumer.h"
#include "itemloadd/options.h"

/* Appends to `ret`: nothing if no message came within wait_time, or if the service drains. */
int fill_batch(struct consumer_thread *thread, const struct itemloadd_options *options, struct sqs_messages *ret,
               struct err *err) must_check;

#endif
