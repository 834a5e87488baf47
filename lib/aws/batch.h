/*
 * batch: which entries of a batch operation go into which request, and which are tried again.
 *
 * SQS's and SNS's batch operations take ten entries and a sum of sizes a request, and answer 200
 * with `Failed` entries. The caller gives every entry an item, and then, as long as batch_next says
 * so: makes one request of each group, performs them at once, and tells the outcome of each entry.
 *
 *     while (batch_next(&batch, client)) {
 *         one call per batch.groups[i], with the entries batch.groups[i].items[0 .. n);
 *         aws_call_many(...);
 *         for each entry batch_done, batch_failed or batch_alone;
 *     }
 */
#ifndef AWS_BATCH_H
#define AWS_BATCH_H

#include "aws/aws.h"

enum {
    BATCH_ENTRIES_MAX = 10,  /* of a request */
    BATCH_REQUESTS_MAX = 16, /* at once: bounds connections and memory, whatever is given */
};

enum batch_state {
    BATCH_READY,  /* to be sent */
    BATCH_ALONE,  /* to be sent, in a request of its own */
    BATCH_AGAIN,  /* failed, may be sent once more after a back-off */
    BATCH_SETTLED /* its result stands */
};

/* One entry. `result` and `err` are the caller's, and are written by the functions below. */
struct batch_item {
    size_t index; /* of the entry, for the caller */
    size_t size;  /* what it counts to size_max */
    int *result;
    struct err *err;
    enum batch_state state;
};

struct batch_group {
    struct batch_item *items[BATCH_ENTRIES_MAX];
    size_t n;
};

struct batch {
    struct batch_item *items; /* borrowed */
    size_t n;
    size_t size_max; /* of a request */
    int failures;    /* rounds that left entries to be sent again */
    bool throttled;  /* by one of them */
    struct batch_group groups[BATCH_REQUESTS_MAX];
    size_t n_groups;
};

/* Fills `groups` with what is to be sent next, after the back-off where that is due. False: nothing is left to send. */
bool batch_next(struct batch *batch, struct aws_client *client);

/* The service took the entry. */
void batch_done(struct batch_item *item);

/* It gave the entry back, and that is not the sender's fault. LATER, "throttled" or "service_unavailable" as the code
 * says; sent again. */
void batch_failed(struct batch *batch, struct batch_item *item, const char *code, const char *message);

/* The result stands, whatever it is; the caller has written it. */
void batch_settled(struct batch_item *item);

/* The whole request was refused for what one of its entries holds: each is sent alone, so that the bad one shows
 * itself. */
void batch_split(struct batch_group *group);

/* The request failed: each of its entries has this result. */
void batch_request_failed(struct batch_group *group, int result, const struct err *err);

/*
 * The entry of the group that an answer's Id names; NULL: none, or it has been answered. An Id is the entry's place in
 * its group, in decimal.
 */
struct batch_item *batch_find(struct batch_group *group, const char *id);

/* After an answer was read: entries it did not name failed. */
void batch_unanswered(struct batch *batch, struct batch_group *group);

#endif
