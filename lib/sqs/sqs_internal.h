/* sqs_internal: what the files of lib/sqs share. Internal to it. */
#ifndef SQS_SQS_INTERNAL_H
#define SQS_SQS_INTERNAL_H

#include "aws/aws_batch.h"
#include "base/json.h"
#include "sqs/sqs.h"

struct sqs {
    struct aws_client *client;
    char *queue_url;
    char *url;    /* where requests go: scheme, host, "/" */
    char *region; /* NULL: aws_region() */
};

/* Begins a request body: {"QueueUrl":"...", to be continued with members. */
void sqs_begin_body(const struct sqs *sqs, struct buf *ret);

/* A call of this queue. `target` is "AmazonSQS.ReceiveMessage"; `body` is borrowed until the call has been made. */
struct aws_call sqs_make_call(const struct sqs *sqs, const char *target, const struct buf *body);

/* Parses what a call brought. LATER (outage) "invalid_answer": it is no JSON object; the tree is the caller's. */
int sqs_parse_answer(const struct aws_call *call, cJSON **ret, struct err *err) must_check;

/*
 * Appends the messages of a ReceiveMessage answer. `json` loses its strings to them. *ret_n: how many messages it had,
 * those that were left out (no handle, body damaged) counted.
 */
int sqs_take_messages(cJSON *json, int64_t received_at_ms, struct sqs_messages *ret, size_t *ret_n, struct err *err)
    must_check;

/* Whether the code is this one, with or without the Query protocol's prefix. */
bool sqs_code_is(const char *code, const char *name);

/* The region that a queue URL's host shows ("sqs.eu-west-1.amazonaws.com", "eu-west-1.queue.amazonaws.com"): its place
 * and length in `queue_url`, or NULL. */
const char *sqs_region_in_url(const char *queue_url, size_t *ret_len);

/*
 * One batch operation over any number of entries: requests of ten, entries that the service gave
 * back tried again, each entry with its own result.
 */
enum sqs_batch_op { SQS_BATCH_DELETE, SQS_BATCH_VISIBILITY, SQS_BATCH_SEND };

struct sqs_batch {
    enum sqs_batch_op op;
    const struct sqs_entry *entries; /* of delete and visibility; items hold indices into them */
    const struct sqs_send *sends;    /* of send */
};
int sqs_batch_run(struct sqs *sqs, const struct sqs_batch *what, struct aws_batch_item *items, size_t n,
                  struct err *err) must_check;

#endif
