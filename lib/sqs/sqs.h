/*
 * sqs: a client for one queue, for one thread (JSON protocol 1.0).
 *
 * - Batches have any size. They are sent as requests of ten, several at once (lib/aws/aws_batch.h).
 * - Each entry has its own result. If a 200 answer lists an entry as `Failed`, only that entry has failed. It is
 *   retried if SQS is at fault.
 * - LATER with outage: no entry could have succeeded (no such queue, no permission, no answer).
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
    char *type;  /* "String", "Number", "Binary", or one of these with a suffix like ".custom" */
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
    int64_t received_at_ms;       /* time_mono_ms() before the request; the visibility timeout begins after it */
};

/* A growing list of received messages. */
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
/*
 * `queue_url`: as AWS writes it. Requests go to its host, or to the overridden endpoint. Its region, if the host shows
 * one, is used instead of aws_region(). NEVER: "invalid_queue_url".
 */
int sqs_new(struct aws_client *client, const char *queue_url, struct sqs **ret, struct err *err) must_check;
void sqs_free(struct sqs *sqs);
static inline void sqs_free_pointer(struct sqs **sqs)
{
    sqs_free(*sqs);
}
#define auto_sqs cleanup(sqs_free_pointer)
const char *sqs_queue_url(const struct sqs *sqs);

struct sqs_receive {
    size_t n_requests; /* sent at once; use at most HTTP_AT_ONCE */
    int max_messages;  /* of one request, 1..10 */
    int wait_s;        /* long poll, 0..20 */
    int visibility_s;  /* 0: the queue's own */
};
/*
 * Receives messages and appends them to `ret`. *ret_full: the number of requests answered with max_messages.
 * - It waits for all requests, because the messages of an abandoned one would stay invisible for a while.
 * - A request without an answer is not retried. A throttled request, or one with 5xx, is, unless another succeeded.
 * - Failed requests are ignored unless all failed. Then LATER: outage or throttled; NEVER: no such queue, or no
 *   permission.
 * - A message whose MD5OfBody is wrong is dropped. SQS delivers it again.
 */
int sqs_receive(struct sqs *sqs, const struct sqs_receive *options, struct sqs_messages *ret, size_t *ret_full,
                struct err *err) must_check;

/* One entry of a batch, and its result. */
struct sqs_entry {
    const char *receipt_handle;
    int visibility_s; /* only for sqs_change_visibility_many */
    int result;       /* 0; LATER; NEVER: "not_in_flight", the handle is not valid any more */
    struct err err;
};
/* Entries may repeat a handle. Both return 0, or < 0: the process cannot go on. */
int sqs_delete_many(struct sqs *sqs, struct sqs_entry *entries, size_t n, struct err *err) must_check;
int sqs_change_visibility_many(struct sqs *sqs, struct sqs_entry *entries, size_t n, struct err *err) must_check;

/* A message to send, and its result. Body and attributes are borrowed. */
struct sqs_send {
    const char *body;
    const struct sqs_attribute *attributes;
    size_t n_attributes;
    int result;     /* 0; LATER; NEVER */
    struct err err; /* NEVER: "message_too_large", "invalid_message" */
};
/*
 * Sends any number of messages, up to ten and SQS_MESSAGE_MAX bytes per request. If an answer is lost, the message is
 * sent again. Returns 0, or < 0: the process cannot go on.
 */
int sqs_send_many(struct sqs *sqs, struct sqs_send *entries, size_t n, struct err *err) must_check;

/* The attributes of a queue. */
struct sqs_queue_info {
    int visibility_s;
    int max_receive_count;      /* 0: no redrive policy */
    char *dead_letter_arn;      /* NULL: no redrive policy */
    int64_t max_message_size;   /* bytes */
    int64_t visible, in_flight; /* approximate */
};
int sqs_get_info(struct sqs *sqs, struct sqs_queue_info *ret, struct err *err) must_check;
void sqs_queue_info_clear(struct sqs_queue_info *info);

/* Finds the URL of a queue by its ARN, with GetQueueUrl. The caller frees it. NEVER: "invalid_queue_arn", or SQS's. */
int sqs_url_from_arn(struct aws_client *client, const char *queue_arn, char **ret_url, struct err *err) must_check;

/* A message's size for SQS_MESSAGE_MAX: the body and each attribute's name, type and value. */
size_t sqs_send_size(const struct sqs_send *entry);

#endif
