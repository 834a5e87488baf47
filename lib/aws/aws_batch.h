/*
 * aws_batch: which entries of a batch operation go into which request, and which are tried again.
 *
 * SQS's and SNS's batch operations take ten entries and a sum of sizes a request, and answer 200
 * with `Failed` entries. The caller gives every entry an item, and then, as long as aws_batch_next says
 * so: makes one request of each group, performs them at once, and tells the outcome of each entry.
 *
 *     while (aws_batch_next(&batch, client)) {
 *         one call per batch.groups[i], with the entries batch.groups[i].items[0 .. n);
 *         aws_call_many(...);
 *         for each entry aws_batch_done, aws_batch_failed or aws_batch_alone;
 *     }
 */
#ifndef AWS_AWS_BATCH_H
#define AWS_AWS_BATCH_H

#include "aws/aws.h"

enum {
    AWS_BATCH_ENTRIES_MAX = 10,  /* of a request */
    AWS_BATCH_REQUESTS_MAX = 16, /* at once: bounds connections and memory, whatever is given */
};

enum aws_batch_state {
    AWS_BATCH_READY,  /* to be sent */
    AWS_BATCH_ALONE,  /* to be sent, in a request of its own */
    AWS_BATCH_AGAIN,  /* failed, may be sent once more after a back-off */
    AWS_BATCH_SETTLED /* its result stands */
};

/* One entry. `result` and `err` are the caller's, and are written by the functions below. */
struct aws_batch_item {
    size_t index; /* of the entry, for the caller */
    size_t size;  /* what it counts to size_max */
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
    int failures;    /* rounds that left entries to be sent again */
    bool throttled;  /* by one of them */
    struct aws_batch_group groups[AWS_BATCH_REQUESTS_MAX];
    size_t n_groups;
};

/* Fills `groups` with what is to be sent next, after the back-off where that is due. False: nothing is left to send. */
bool aws_batch_next(struct aws_batch *batch, struct aws_client *client);

/* The service took the entry. */
void aws_batch_done(struct aws_batch_item *item);

/* It gave the entry back, and that is not the sender's fault. LATER, "throttled" or "service_unavailable" as the code
 * says; sent again. */
void aws_batch_failed(struct aws_batch *batch, struct aws_batch_item *item, const char *code, const char *message);

/* The result stands, whatever it is; the caller has written it. */
void aws_batch_settled(struct aws_batch_item *item);

/* The whole request was refused for what one of its entries holds: each is sent alone, so that the bad one shows
 * itself. */
void aws_batch_split(struct aws_batch_group *group);

/* The request failed: each of its entries has this result. */
void aws_batch_request_failed(struct aws_batch_group *group, int result, const struct err *err);

/*
 * The entry of the group that an answer's Id names; NULL: none, or it has been answered. An Id is the entry's place in
 * its group, in decimal.
 */
struct aws_batch_item *aws_batch_find(struct aws_batch_group *group, const char *id);

/* After an answer was read: entries it did not name failed. */
void aws_batch_unanswered(struct aws_batch *batch, struct aws_batch_group *group);

#endif
