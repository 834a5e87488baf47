/* sns: Amazon SNS, Publish and PublishBatch (Query protocol, 2010-03-31). */
#ifndef AWS_SNS_H
#define AWS_SNS_H

#include "aws/aws.h"

enum {
    SNS_BATCH_MAX = 10,
    SNS_MESSAGE_MAX = 256 * 1024 /* a topic's default MaximumMessageSize, with attributes */
};

struct sns_attribute {
    const char *name;
    const char *type; /* "String", "Number" */
    const char *value;
};

struct sns_message {
    const char *body; /* UTF-8, of the characters that SNS accepts */
    const struct sns_attribute *attributes;
    size_t n_attributes;
    /*
     * The result: 0, LATER, or NEVER ("message_too_large", "invalid_message"). LATER with outage: no message could be
     * published (no such topic, no permission, no answer).
     */
    int result;
    struct err err;
    char message_id[64]; /* set if result is 0 */
};

/* The region in a topic's ARN, copied to `ret`. NULL: not a topic's ARN. */
const char *sns_topic_region(const char *topic_arn, struct buf *ret);

/*
 * Publishes one message and returns its result.
 * - If the answer is lost, the message is published again.
 * - More than ten attributes are rejected here, because raw delivery would silently drop the message.
 */
int sns_publish(struct aws_client *client, const char *topic_arn, struct sns_message *message, struct err *err)
    must_check;
/*
 * Publishes any number of messages, up to ten and 256 KiB per request, several requests at once (lib/aws/aws_batch.h).
 * Each message gets its own result. Returns 0, or < 0: the process cannot go on.
 */
int sns_publish_many(struct aws_client *client, const char *topic_arn, struct sns_message *messages, size_t n,
                     struct err *err) must_check;

/* A message's size for SNS_MESSAGE_MAX: the body and each attribute's name, type and value. */
size_t sns_message_size(const struct sns_message *message);

#endif
