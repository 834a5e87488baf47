/*
 * s3_event: messages that name S3 objects instead of containing a document. No network, no clock.
 *
 * - Event notification ("Event message structure", Amazon S3 User Guide): one or more records. The test event that S3
 *   sends when notifications are set up has none.
 * - EventBridge event ("EventBridge event message structure", same guide): names one object in "detail".
 * - Pointer: the extended clients for SQS and SNS put a large payload into S3 and send
 *   ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "", "s3Key": ""}].
 *   Older clients write com.amazon.sqs.javamessaging.MessageS3Pointer.
 */
#ifndef AWS_S3_EVENT_H
#define AWS_S3_EVENT_H

#include "base/json.h"

enum s3_reference_kind {
    S3_REFERENCE_LOAD,    /* the object can be read: a pointer, ObjectCreated, Object Created */
    S3_REFERENCE_REMOVED, /* the object was deleted: ObjectRemoved, LifecycleExpiration, Object Deleted */
    S3_REFERENCE_OTHER,   /* a test event, or an event about something else than an object's content */
    S3_REFERENCE_BAD,     /* names no object; see `wrong` */
};

struct s3_reference {
    enum s3_reference_kind kind;
    size_t message; /* the caller's number of the message */
    size_t record;  /* of the record in the message, from 1 */
    /* The strings are the message tree's, except `key`. */
    const char *bucket;      /* NULL for S3_REFERENCE_OTHER and _BAD without an object */
    char *key;               /* decoded; owned; NULL likewise */
    const char *version_id;  /* NULL: the current version */
    const char *sequencer;   /* NULL: the message has none */
    const char *event;       /* "ObjectCreated:Put", "Object Created"; NULL for a pointer */
    const char *wrong;       /* for S3_REFERENCE_BAD: the fault, a literal */
    int64_t published_at_ms; /* the record's eventTime or the event's time; otherwise the caller's */
};

struct s3_references {
    struct s3_reference *list;
    size_t n, cap;
};
void s3_references_clear(struct s3_references *references);

/* True for these three kinds of messages, recognised by their content. Never true for GeoJSON (it has "type"). */
bool s3_is_reference(const cJSON *json);

/*
 * Appends the references in a message for which s3_is_reference is true. Fails only with < 0: no memory.
 * - The tree must outlive the references.
 * - `published_at_ms`: of the message, for references without a time.
 * - Keys in records are URL-decoded ('+' is a blank). EventBridge's keys are not encoded.
 */
int s3_references_add(struct s3_references *references, const cJSON *json, size_t message, int64_t published_at_ms,
                      struct err *err) must_check;

/*
 * Sorts by bucket and key, then in the order of the events:
 * - first those without a sequencer, by time
 * - then those with one, by sequencer; if the times contradict it, a later event gets the time of the earlier
 * - equal ones in the order in which they were added
 */
void s3_references_sort(struct s3_references *references);

/* True if both name the same bytes: the same object and version. An event may be delivered twice. */
bool s3_reference_is_same(const struct s3_reference *a, const struct s3_reference *b);

#endif
