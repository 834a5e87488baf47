/*
 * settle: the only place where a result becomes a queue action.
 *
 *     0              deleted
 *     LATER          invisible for a back-off; on its last attempt dead-lettered with the reason
 *     NEVER          dead-lettered at once
 *     SETTLE_RETURN  returned to the queue: visible again at once; on its last attempt dead-lettered as "interrupted"
 *
 * The dead letter (worker/dead_letter.h) is sent first, and the original is deleted only after that. If the dead letter
 * cannot be sent, that is logged, and the message backs off as after LATER. It is received again, or after its last
 * permitted receive the queue moves it. Nothing is lost.
 */
#ifndef WORKER_SETTLE_H
#define WORKER_SETTLE_H

#include "worker/leases.h"

enum {
    SETTLE_RETURN = 3,
    SETTLE_ATTEMPTS = 5, /* if the queue has no redrive policy */
};

struct settler;
struct settler_options {
    struct service *service;
    struct aws_client *client; /* the calling thread's; outlives the settler */
    struct leases *leases;     /* NULL: messages have no leases (a tool) */
    const char *queue_url;
    const char *dead_letter_url; /* NULL: from the queue's redrive policy */
    int64_t backoff_min_ms, backoff_max_ms;
};
/* NEVER, "no_dead_letter_queue": neither `info` nor `dead_letter_url` (or NULL) names one for this queue. */
int settle_check_queue(const struct sqs_queue_info *info, const char *queue_url, const char *dead_letter_url,
                       struct err *err) must_check;
/*
 * Reads the attributes of the queue and of its dead-letter queue. A settler belongs to one thread.
 * NEVER: no dead-letter queue ("no_dead_letter_queue"), no such queue, no permission. LATER: a queue cannot be reached.
 */
int settler_new(const struct settler_options *options, struct settler **ret, struct err *err) must_check;
void settler_free(struct settler *settler);
struct sqs *settler_queue(struct settler *settler);
int settler_attempts(const struct settler *settler); /* settle_attempts of the queue as it was at the start */

struct settlement {
    const struct sqs_message *message;
    int result;
    const struct err *err;   /* of LATER and NEVER */
    int64_t published_at_ms; /* 0: not known; see worker/dead_letter.h */
};
/*
 * Settles all, in batches, and ends their leases. If SQS refuses an action (after retries), that is logged, and the
 * message becomes visible again. Logs one line for each message that was not done. < 0: this process cannot go on.
 */
int settle(struct settler *settler, const struct settlement *settlements, size_t n, struct err *err) must_check;

/* ------------------------------------------------------- its decisions, pure */

enum settle_action {
    SETTLE_ACTION_DELETE,
    SETTLE_ACTION_BACK_OFF,
    SETTLE_ACTION_RELEASE, /* visible at once */
    SETTLE_ACTION_DEAD_LETTER,
    SETTLE_ACTION_ABANDON, /* nothing: the lease is lost, and another consumer may have the message */
};
/* `receive_count` is the message's; `attempts` the queue's (settle_attempts). */
enum settle_action settle_decide(int result, int receive_count, int attempts, bool has_lease);

/*
 * How often a message is worked on, if its queue permits `max_receive_count` receives: one fewer, because the last one
 * stays in reserve (worker/redrive.h). With 1 there is one attempt and no reserve; with 0 (no redrive policy) there are
 * SETTLE_ATTEMPTS.
 */
int settle_attempts(int max_receive_count);

/*
 * How long a message backs off, in whole seconds, from 1: min_ms * 3^(receive_count - 1), at most max_ms, less up to a
 * quarter by `unit` in [0, 1). 30 s to 10 min gives 30 s, 90 s, 270 s, and 10 min before the fifth attempt. It ends
 * within the 12 hours that SQS permits, of which `leased_ms` have passed.
 */
int settle_backoff_s(int64_t min_ms, int64_t max_ms, int receive_count, int64_t leased_ms, double unit);

#endif
