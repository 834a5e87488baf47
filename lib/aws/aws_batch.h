/*
 * aws_batch: divides the entries of a batch operation into requests, and retries those that failed.
 *
 * A batch request of SQS or SNS has at most ten entries and a maximum size, and a 200 answer may list `Failed` entries.
 * The caller makes an item of each entry, then loops:
 *
 *     while (aws_batch_next(&batch, client)) {
 *         make one call of each batch.groups[i], with the entries batch.groups[i].items[0 .. n);
 *         aws_call_many(...);
 *         report each entry or group with one of the functions below;
 *     }
 */
#ifndef AWS_AWS_BATCH_H
#define AWS_AWS_BATCH_H

#include "aws/aws.h"

enum {
    AWS_BATCH_ENTRIES_MAX = 10,  /* of a request */
    AWS_BATCH_REQUESTS_MAX = 16, /* at once; bounds connections and memory */
};

enum aws_batch_state {
    AWS_BATCH_READY,  /* to be sent */
    AWS_BATCH_ALONE,  /* to be sent, in a request of its own */
    AWS_BATCH_AGAIN,  /* failed; to be sent again after a back-off */
    AWS_BATCH_SETTLED /* its result is final */
};

/* One entry. `result` and `err` point to the caller's; the functions below write them. */
struct aws_batch_item {
    size_t index; /* of the entry, for the caller */
    size_t size;  /* its share of size_max */
    int *result;
    struct err *err;
    enum aws_batch_state state;
};

struct aws_batch_group {
    struct aws_batch_item *items[AWS_BATCH_ENTRIES_MAX];
    size_t n;
};

struct aws_batch {
    struct aws_batch_item *items; /* borrowed */
    size_t n;
    size_t size_max; /* of a request */
    int failures;    /* rounds after which entries had to be sent again */
    bool throttled;  /* an entry of this round was throttled */
    struct aws_batch_group groups[AWS_BATCH_REQUESTS_MAX];
    size_t n_groups;
};

/* Fills `groups` with the entries to send next. Waits a back-off before retries. False: nothing is left to send. */
bool aws_batch_next(struct aws_batch *batch, struct aws_client *client);

/* The service accepted the entry. */
void aws_batch_done(struct aws_batch_item *item);

/* The service failed to handle the entry: LATER, "throttled" or "service_unavailable" depending on the code. It will be
 * sent again. */
void aws_batch_failed(struct aws_batch *batch, struct aws_batch_item *item, const char *code, const char *message);

/* The caller has written the final result. */
void aws_batch_settled(struct aws_batch_item *item);

/* The service rejected the whole request because of one entry: each will be sent alone, to find the bad one. */
void aws_batch_split(struct aws_batch_group *group);

/* The request failed: all its entries get this result. */
void aws_batch_request_failed(struct aws_batch_group *group, int result, const struct err *err);

/*
 * The entry that an Id in an answer names. NULL: no such entry, or already reported. An Id is the entry's place in its
 * group, in decimal.
 */
struct aws_batch_item *aws_batch_find(struct aws_batch_group *group, const char *id);

/* Call after reading an answer: entries that it does not mention have failed. */
void aws_batch_unanswered(struct aws_batch *batch, struct aws_batch_group *group);

/* The requests of one round: a body and a call for each group. */
struct aws_batch_round {
    struct buf bodies[AWS_BATCH_REQUESTS_MAX];
    struct aws_call calls[AWS_BATCH_REQUESTS_MAX];
};
void aws_batch_round_clear(struct aws_batch_round *round);
#define auto_aws_batch_round cleanup(aws_batch_round_clear)

#endif
