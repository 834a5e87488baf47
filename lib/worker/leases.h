/*
 * leases: the messages this process holds, kept invisible by heartbeats.
 *
 * One table and one thread per queue and process. From leases_add (right after receiving) to
 * leases_end (by settle) the thread extends a message's visibility timeout when half of
 * it has passed (ChangeMessageVisibilityBatch), in batches. So no setting of window, timeout and visibility can make
 * work run twice on a healthy system. A heartbeat that fails is repeated each second and logged, one line a minute for
 * each kind of failure. SQS lets nobody hold a message for more than 12 hours: then it is no longer ours.
 *
 * A table of 10,000 messages is looked through at most once a second, in less than a millisecond.
 */
#ifndef WORKER_LEASES_H
#define WORKER_LEASES_H

#include "daemon/service.h"
#include "sqs/sqs.h"

struct leases;

struct leases_options {
    struct service *service; /* its abort ends a heartbeat under way; its counters are added to */
    struct aws *aws;         /* outlives the table */
    const char *queue_url;
    int visibility_s; /* what each heartbeat asks for, and what the receives ask for; from 1 */
};
/* Starts the thread, with a client of its own. The table is the caller's to stop. */
int leases_start(const struct leases_options *options, struct leases **ret, struct err *err) must_check;
/* Ends the thread and frees the table; what is still held is no longer extended. NULL is allowed. */
void leases_stop(struct leases *held);

/* Begins to hold messages; the table copies the handles, and counts their invisibility from received_at_ms.
 * < 0: no memory, some may be held. */
int leases_add(struct leases *held, const struct sqs_message *const *messages, size_t n, struct err *err) must_check;
/* Ends holding: after it returns no heartbeat for these handles is under way. Those that are not held are passed over.
 */
void leases_end(struct leases *held, const struct sqs_message *const *messages, size_t n);
/* Whether a message is held and still ours: false once SQS said that its handle is no longer in flight, or 12 hours
 * have passed. */
bool leases_is_ours(struct leases *held, const struct sqs_message *message);
size_t leases_count(struct leases *held);

#endif
