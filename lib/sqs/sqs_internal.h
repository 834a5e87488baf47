/* sqs_internal: shared by the files of lib/sqs. Internal to lib/sqs. */
#ifndef SQS_SQS_INTERNAL_H
#define SQS_SQS_INTERNAL_H

#include "aws/aws_batch.h"
#include "base/json.h"
#include "sqs/sqs.h"

struct sqs {
    struct aws_client *client;
    char *queue_url;
    char *url;    /* of requests: scheme, host, "/" */
    char *region; /* NULL: aws_region() */
};

/* Begins a request body with the queue's URL. The caller adds more members and the closing brace. */
void sqs_begin_body(const struct sqs *sqs, struct buf *ret);

/* Makes a call for this queue. `target`: "AmazonSQS.ReceiveMessage", ...; `body`: borrowed until the call is done. */
struct aws_call sqs_make_call(const struct sqs *sqs, const char *target, const struct buf *body);

/* If the call failed because the queue does not exist, prefixes the text with its name, its region and the next step.
 */
void sqs_explain(const struct sqs *sqs, const struct aws_call *call, struct err *err);

/* Parses a call's answer; the caller frees the tree. LATER with outage: "invalid_answer", not a JSON object. */
int sqs_parse_answer(const struct aws_call *call, cJSON **ret, struct err *err) must_check;

/*
 * Appends the messages of a ReceiveMessage answer, and moves their strings out of `json`. *ret_n: the number of
 * messages in the answer, also those that are dropped (no handle, damaged body).
 */
int sqs_take_messages(cJSON *json, int64_t received_at_ms, struct sqs_messages *ret, size_t *ret_n, struct err *err)
    must_check;

/* True if the code is `name`, with or without the Query protocol's prefix. */
bool sqs_code_is(const char *code, const char *name);

/* The region in a queue URL's host ("sqs.eu-west-1.amazonaws.com", "eu-west-1.queue.amazonaws.com"): its place and
 * length in `queue_url`. NULL: the host shows no region. */
const char *sqs_region_in_url(const char *queue_url, size_t *ret_len);

/*
 * Performs a batch operation on any number of entries, with retries. Each entry gets its own result.
 */
enum sqs_batch_op { SQS_BATCH_DELETE, SQS_BATCH_VISIBILITY, SQS_BATCH_SEND };

struct sqs_batch {
    enum sqs_batch_op op;
    const struct sqs_entry *entries; /* for delete and visibility; items have indices into them */
    const struct sqs_send *sends;    /* for send */
};
int sqs_batch_run(struct sqs *sqs, const struct sqs_batch *what, struct aws_batch_item *items, size_t n,
                  struct err *err) must_check;

#endif
