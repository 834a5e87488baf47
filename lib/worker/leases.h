/*
 * leases: keeps the messages that a process works on invisible to others.
 *
 * A process has one table and one thread for each queue. From leases_add (right after the receive) to leases_end (by
 * settle) the thread renews a message's visibility timeout by heartbeats, when half of it has passed
 * (ChangeMessageVisibilityBatch). So whatever the batch window, the timeouts and the visibility timeout are, a healthy
 * system does no work twice. A heartbeat that fails is repeated each second and logged, at most one line a minute for
 * each kind of failure. SQS permits a lease of 12 hours.
 *
 * A look at a table of 10,000 messages takes less than a millisecond; there is at most one a second.
 */
#ifndef WORKER_LEASES_H
#define WORKER_LEASES_H

#include "daemon/service.h"
#include "sqs/sqs.h"

struct leases;

struct leases_options {
    struct service *service; /* its abort ends a heartbeat in progress; its counters are added to */
    struct aws *aws;         /* outlives the table */
    const char *queue_url;
    int visibility_s; /* of each heartbeat and of each receive; from 1 */
};
/* Starts the thread, with a client of its own. The caller stops it. */
int leases_start(const struct leases_options *options, struct leases **ret, struct err *err) must_check;
/* Ends the thread and frees the table. The remaining messages are not renewed any more. NULL is allowed. */
void leases_stop(struct leases *leases);

/* Copies the handles. Each visibility timeout counts from received_at_ms. < 0: no memory; some may have been added. */
int leases_add(struct leases *leases, const struct sqs_message *const *messages, size_t n, struct err *err) must_check;
/* Stops renewing these leases. When it returns, no heartbeat for them is in flight. Messages without a lease are
 * ignored. */
void leases_end(struct leases *leases, const struct sqs_message *const *messages, size_t n);
/* False: the message has no lease here, or SQS has rejected its handle, or its 12 hours are over. */
bool leases_is_ours(struct leases *leases, const struct sqs_message *message);
size_t leases_count(struct leases *leases);

#endif
