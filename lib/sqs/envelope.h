/*
 * envelope: the payload of a message and the time at which it was published.
 *
 * - A body is an SNS envelope or raw. An envelope is an object with Type "Notification", TopicArn and a string Message,
 *   and without GeoJSON's "type".
 * - Attributes are SQS's own, or the envelope's MessageAttributes.
 */
#ifndef SQS_ENVELOPE_H
#define SQS_ENVELOPE_H

#include "base/json.h"
#include "sqs/sqs.h"

struct envelope {
    const char *payload; /* the envelope's Message, or the borrowed body of a raw message */
    size_t payload_len;
    char *text;              /* the envelope's Message, owned; NULL: the payload is the body */
    int64_t published_at_ms; /* the attribute published_at, otherwise SNS's Timestamp, otherwise SentTimestamp */
    bool is_sns;
};
void envelope_clear(struct envelope *envelope);
#define auto_envelope cleanup(envelope_clear)

/* Opens a received message, which must outlive `ret`. Returns 0, or < 0: no memory. */
int envelope_open(const struct sqs_message *message, struct envelope *ret, struct err *err) must_check;

#endif
