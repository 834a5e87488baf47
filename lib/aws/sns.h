/* sns: Amazon SNS, Publish and PublishBatch (Query protocol, 2010-03-31). */
#ifndef AWS_SNS_H
#define AWS_SNS_H

#include "aws/aws.h"

enum {
    SNS_BATCH_MAX = 10,
    SNS_MESSAGE_MAX = 256 * 1024 /* a topic's default MaximumMessageSize, attributes counted */
};

struct sns_attribute {
    const char *name;
    const char *type; /* "String", "Number" */
    const char *value;
};

struct sns_message {
    const char *body; /* UTF-8 of the characters SNS allows */
    const struct sns_attribute *attributes;
    size_t n_attributes;
    /*
     * 0; LATER, with outage where no message could be published (no such topic, no permission, no
     * answer); NEVER: this one cannot be: "message_too_large", "invalid_message".
     */
    int result;
    struct err err;
    char message_id[64]; /* of what was published */
};

/* The region in a topic's ARN, or NULL where it is no ARN of a topic. `ret` holds the copy. */
const char *sns_topic_region(const char *topic_arn, struct buf *ret);

/*
 * Publishes one. The result is in the message too. At least once: a publish whose answer is lost is repeated.
 * More than ten attributes are refused here, because raw delivery would drop the message without a word.
 */
int sns_publish(struct aws_client *client, const char *topic_arn, struct sns_message *message, struct err *err)
    must_check;
/*
 * Publishes any number, ten and 256 KiB a request, some requests at once (lib/aws/aws_batch.h); each
 * message has its own result. < 0: this process cannot go on.
 */
int sns_publish_many(struct aws_client *client, const char *topic_arn, struct sns_message *messages, size_t n,
                     struct err *err) must_check;

/* What a message costs of SNS_MESSAGE_MAX: body and attributes with their names and types. */
size_t sns_message_size(const struct sns_message *message);

#endif
