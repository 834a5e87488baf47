/*
 * fill: receives the messages of one batch.
 *
 * While nothing comes one receive waits long. From the first message on many are under way at once, until the batch has
 * batch_items messages or batch_bytes, is batch_window old, or for batch_idle no receive has come back full: so a lone
 * item is loaded in seconds and a flood in full batches. All that is received is held from then on.
 */
#ifndef ITEMLOADD_FILL_H
#define ITEMLOADD_FILL_H

#include "worker/consumer.h"
#include "itemloadd/options.h"

/* Appends to `ret`; nothing where none came within wait_time, or while draining. */
int fill_batch(struct consumer_thread *thread, const struct itemloadd_options *options, struct sqs_messages *ret,
               struct err *err) must_check;

#endif
