/*
 * settle: the only place where a result becomes a queue action.
 *
 *     0       deleted
 *     LATER   invisible for the back-off of its receive count; on its last permitted receive dead-lettered with the
 * reason NEVER   dead-lettered at once RETURN  given back: visible again at once; on its last permitted receive
 * dead-lettered as "interrupted"
 *
 * A dead letter is the original body, unchanged, with the attributes error_code, error, source_message_id,
 * receive_count, failed_at, published_at and, if there were any, original_attributes (JSON): sent first, and only then
 * is the original deleted. One that is too big loses the error, and failing that is logged and left to the queue's
 * redrive policy.
 */
#ifndef COMMON_SETTLE_H
#define COMMON_SETTLE_H

#include "common/held.h"

enum { SETTLE_RETURN = 3 };

struct settler;
struct settler_options {
    struct service *service;
    struct aws_client *client;
    struct held *held;
    const char *queue_url;
    const char *dead_letter_url; /* NULL: from the queue's redrive policy */
    int64_t backoff_min_ms, backoff_max_ms;
};
/* Reads the queue's redrive policy. NEVER: no dead-letter queue anywhere, no such queue; LATER: the queue cannot be
 * reached. */
int settler_new(const struct settler_options *options, struct settler **ret, struct err *err) must_check;
void settler_free(struct settler *settler);
struct sqs *settler_queue(struct settler *settler);
/* From the queue, for the log and for what is derived of them. */
int settler_visibility_s(const struct settler *settler);
int settler_max_receive_count(const struct settler *settler); /* 0: unlimited */

struct settlement {
    const struct sqs_message *message;
    int result;
    const struct err *err;   /* of LATER and NEVER */
    int64_t published_at_ms; /* 0: not known (the body could not be opened): SentTimestamp */
};
/*
 * Settles all, in batches. What SQS does not take (after retries) is logged and comes back by itself. Logs one line for
 * each message that was not done. < 0: this process cannot go on.
 */
int settle(struct settler *settler, const struct settlement *settlements, size_t n, struct err *err) must_check;

#endif
