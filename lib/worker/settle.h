/*
 * settle: the only place where a result becomes a queue action.
 *
 *     0        deleted
 *     LATER    invisible for the back-off of its receive count; on its last attempt dead-lettered with the reason
 *     NEVER    dead-lettered at once
 *     RETURN   given back: visible again at once; on its last attempt dead-lettered as "interrupted"
 *
 * A dead letter (worker/dead_letter.h) is sent first, and only then is the original deleted. If it cannot be sent, that
 * is logged, and the message backs off like LATER: it is received again, or after the last permitted receive the queue
 * itself moves it. Nothing is lost.
 */
#ifndef WORKER_SETTLE_H
#define WORKER_SETTLE_H

#include "worker/leases.h"

enum {
    SETTLE_RETURN = 3,
    SETTLE_ATTEMPTS = 5, /* where the queue has no redrive policy that says it */
};

struct settler;
struct settler_options {
    struct service *service;
    struct aws_client *client; /* the calling thread's; outlives the settler */
    struct leases *held;       /* NULL: messages are not held (a tool) */
    const char *queue_url;
    const char *dead_letter_url; /* NULL: from the queue's redrive policy */
    int64_t backoff_min_ms, backoff_max_ms;
};
/* NEVER, "no_dead_letter_queue": none is known for this queue, neither by `info` nor by `dead_letter_url` (or NULL). */
int settle_check_queue(const struct sqs_queue_info *info, const char *queue_url, const char *dead_letter_url,
                       struct err *err) must_check;
/*
 * Reads the queue's attributes and those of its dead-letter queue. A settler is one thread's.
 * NEVER: no dead-letter queue anywhere ("no_dead_letter_queue"), no such queue, no permission; LATER: a queue cannot be
 * reached.
 */
int settler_new(const struct settler_options *options, struct settler **ret, struct err *err) must_check;
void settler_free(struct settler *settler);
struct sqs *settler_queue(struct settler *settler);
int settler_attempts(const struct settler *settler); /* settle_attempts of the queue as it was at the start */

struct settlement {
    const struct sqs_message *message;
    int result;
    const struct err *err; /* of LATER and NEVER */
    int64_t
        published_at_ms; /* 0: not known (the body could not be opened): attribute published_at, else SentTimestamp */
};
/*
 * Settles all, in batches, and ends their being held. What SQS does not take (after retries) is logged and comes back
 * by itself. Logs one line for each message that was not done. < 0: this process cannot go on.
 */
int settle(struct settler *settler, const struct settlement *settlements, size_t n, struct err *err) must_check;

/*
 * How often a message is worked on, where its queue's redrive policy permits `max_receive_count` receives: one fewer,
 * which stays in reserve (worker/redrive.h). 1: once, without a reserve. 0, no redrive policy: SETTLE_ATTEMPTS.
 */
int settle_attempts(int max_receive_count);

/*
 * How long a message stays invisible before it is tried again: min * 3^(receive_count - 1), at most max, less up to a
 * quarter by `unit` in [0, 1). 30 s to 10 min: 30 s, 90 s, 270 s, 10 min before the fifth attempt, about 15 min in all.
 */
int64_t settle_backoff_ms(int64_t min_ms, int64_t max_ms, int receive_count, double unit);

#endif
