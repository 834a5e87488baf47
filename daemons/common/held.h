/*
 * held: the messages this process holds, kept invisible by heartbeats.
 *
 * One table and one thread per queue and process. From held_add (right after receiving) to
 * held_take (right before settling) the thread extends a message's visibility timeout when half of
 * it has passed, in batches. So no setting of window, timeout and visibility can make work run twice on a healthy
 * system.
 */
#ifndef COMMON_HELD_H
#define COMMON_HELD_H

#include "common/service.h"
#include "sqs/sqs.h"

struct held;

struct held_options {
    struct service *service;
    struct aws *aws;
    const char *queue_url;
    int visibility_s; /* what each heartbeat asks for, and what the receives ask for */
};
/* Starts the thread. */
int held_start(const struct held_options *options, struct held **ret, struct err *err) must_check;
/* Ends the thread; what is still held is no longer extended. */
void held_stop(struct held *held);

/* Begins to hold messages; the table copies the handles. `received_at_ms`: time_mono_ms() when the receive began. */
int held_add(struct held *held, const struct sqs_message *const *messages, size_t n, struct err *err) must_check;
/* Ends holding: after it returns no heartbeat for these handles is under way. */
void held_take(struct held *held, const struct sqs_message *const *messages, size_t n);
/* Whether a message is still ours: false once SQS said that its handle is no longer in flight, or 12 hours have passed.
 */
bool held_is_ours(struct held *held, const struct sqs_message *message);
size_t held_count(struct held *held);

#endif
