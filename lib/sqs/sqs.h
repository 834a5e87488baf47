/*
 * sqs: the queue client (JSON protocol 1.0).
 *
 * One struct sqs is one queue as one thread sees it. Batches of any size are cut into SQS's tens,
 * up to AWS_BATCH_REQUESTS_MAX requests (lib/aws/aws_batch.h) are under way at once, and each entry has its own result:
 * a 200 answer with `Failed` entries is a failure of those entries, and those that are not the sender's fault are tried
 * again. LATER with outage: no entry could have passed (no such queue, no permission, no answer).
 */
#ifndef SQS_SQS_H
#define SQS_SQS_H

#include "aws/aws.h"

enum {
    SQS_BATCH_MAX = 10,
    SQS_ATTRIBUTES_MAX = 10,
    SQS_MESSAGE_MAX = 1024 * 1024, /* body and attributes */
    SQS_VISIBILITY_MAX_S = 12 * 60 * 60,
};

struct sqs_attribute {
    char *name;
    char *type;  /* "String", "Number", "Binary", or one of these with ".custom" behind it */
    char *value; /* base64 for Binary */
};

struct sqs_message {
    char *message_id;
    char *receipt_handle;
    char *body;
    size_t body_len;
    struct sqs_attribute *attributes;
    size_t n_attributes;
    int receive_count;            /* ApproximateReceiveCount, from 1 */
    int64_t sent_at_ms;           /* SentTimestamp */
    int64_t first_received_at_ms; /* ApproximateFirstReceiveTimestamp */
    int64_t received_at_ms; /* when the request for it was sent, in time_mono_ms() terms: its invisibility counts from
                               after that */
};

/* Messages as they were received; grows. */
struct sqs_messages {
    struct sqs_message *list;
    size_t n, cap;
};
void sqs_message_clear(struct sqs_message *message);
void sqs_messages_clear(struct sqs_messages *messages);
#define auto_sqs_messages cleanup(sqs_messages_clear)
/* The attribute's value, or NULL. */
const char *sqs_message_attribute(const struct sqs_message *message, const char *name);

struct sqs;
/* `queue_url` as AWS writes it; requests go to its host, or to the overridden endpoint; the region is taken from it
 * where it shows one. */
int sqs_new(struct aws_client *client, const char *queue_url, struct sqs **ret, struct err *err) must_check;
void sqs_free(struct sqs *sqs);
static inline void sqs_free_pointer(struct sqs **sqs)
{
    sqs_free(*sqs);
}
#define auto_sqs cleanup(sqs_free_pointer)
const char *sqs_queue_url(const struct sqs *sqs);

struct sqs_receive {
    size_t n_requests; /* under way at once; more than HTTP_AT_ONCE would wait for each other */
    int max_messages;  /* of one request, 1..10 */
    int wait_s;        /* long poll, 0..20 */
    int visibility_s;  /* 0: the queue's own */
};
/*
 * Receives, and appends to `ret`. *ret_full: how many requests came back with max_messages.
 * A message whose MD5OfBody does not fit is left out (it comes again). A request that failed is left out unless
 * all failed: then its result (LATER: outage or throttled; NEVER: no such queue, no permission).
 * Requests in flight are awaited, because their messages would be lost to sight until their visibility ends.
 * One that was lost (no answer) is not repeated; one that was refused (throttled, 5xx) is, unless another brought
 * something.
 */
int sqs_receive(struct sqs *sqs, const struct sqs_receive *options, struct sqs_messages *ret, size_t *ret_full,
                struct err *err) must_check;

/* One entry of a batch: its handle, and what became of it. */
struct sqs_entry {
    const char *receipt_handle;
    int visibility_s; /* of sqs_change_visibility only */
    int result;       /* 0; LATER; NEVER: the handle is no longer valid ("not_in_flight"), nothing to be done */
    struct err err;
};
/* A handle that is there twice is sent once. < 0: this process cannot go on. */
int sqs_delete_many(struct sqs *sqs, struct sqs_entry *entries, size_t n, struct err *err) must_check;
int sqs_change_visibility_many(struct sqs *sqs, struct sqs_entry *entries, size_t n, struct err *err) must_check;

/* What to send. Attributes are borrowed (the pointers are not written through). */
struct sqs_send {
    const char *body;
    const struct sqs_attribute *attributes;
    size_t n_attributes;
    int result;     /* 0; LATER; NEVER */
    struct err err; /* NEVER: "message_too_large", "invalid_message" */
};
/*
 * Sends one message a request where they are large, ten where they are not; each entry has its own
 * result. At least once: a send whose answer is lost is repeated.
 */
int sqs_send_many(struct sqs *sqs, struct sqs_send *entries, size_t n, struct err *err) must_check;

/* What GetQueueAttributes tells. */
struct sqs_queue_info {
    int visibility_s;
    int max_receive_count;      /* 0: no redrive policy */
    char *dead_letter_arn;      /* NULL: no redrive policy */
    int64_t max_message_size;   /* bytes */
    int64_t visible, in_flight; /* approximate */
};
int sqs_get_info(struct sqs *sqs, struct sqs_queue_info *ret, struct err *err) must_check;
void sqs_queue_info_clear(struct sqs_queue_info *info);

/* The URL of the queue that an ARN names, by GetQueueUrl; the caller's to free. */
int sqs_url_from_arn(struct aws_client *client, const char *queue_arn, char **ret_url, struct err *err) must_check;

/* What a message counts to a size limit: body, and each attribute's name, type and value. */
size_t sqs_send_size(const struct sqs_send *entry);

#endif
