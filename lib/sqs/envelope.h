/*
 * envelope: what a message carries, and since when it counts.
 *
 * A body is either an SNS envelope (an object with Type "Notification", TopicArn and a string Message, and without
 * GeoJSON's "type": told by content) or raw. Attributes are SQS's own, or the envelope's MessageAttributes.
 */
#ifndef SQS_ENVELOPE_H
#define SQS_ENVELOPE_H

#include "base/json.h"
#include "sqs/sqs.h"

struct envelope {
    const char *payload; /* the published text: the envelope's Message, or the message's own body, borrowed */
    size_t payload_len;
    char *text;              /* the envelope's Message, owned; NULL: the payload is the body */
    int64_t published_at_ms; /* attribute published_at; else the SNS Timestamp; else SentTimestamp */
    bool is_sns;
};
void envelope_clear(struct envelope *envelope);
#define auto_envelope cleanup(envelope_clear)

/* Opens a received message, which outlives `ret`. A raw body is not parsed here beyond what tells it from an envelope.
 * NEVER: no such case; an envelope's Message is a string. */
int envelope_open(const struct sqs_message *message, struct envelope *ret, struct err *err) must_check;

#endif
