/*
 * s3_event: the S3 objects that a message names in place of holding a document. Pure.
 *
 * An event notification ("Event message structure", Amazon S3 User Guide) has one record or more; the test event that
 * S3 sends when notifications are set up has none. EventBridge's event ("EventBridge event message structure", ibid.)
 * names one object, in "detail". A pointer is what the extended clients for SQS and SNS leave of a
 * payload that they have put into S3: ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "",
 * "s3Key": ""}], or the older com.amazon.sqs.javamessaging.MessageS3Pointer.
 */
#ifndef AWS_S3_EVENT_H
#define AWS_S3_EVENT_H

#include "base/json.h"

enum s3_reference_kind {
    S3_REFERENCE_LOAD,    /* a pointer; ObjectCreated, Object Created: the object is there to be read */
    S3_REFERENCE_REMOVED, /* ObjectRemoved, LifecycleExpiration, Object Deleted: it is gone */
    S3_REFERENCE_OTHER,   /* a test event, or one that is not about an object's content */
    S3_REFERENCE_BAD,     /* a record that names no object */
};

struct s3_reference {
    enum s3_reference_kind kind;
    size_t message; /* the caller's number of the message, and of the record in it, from 1 */
    size_t record;
    /* In the message's tree, but for the key. */
    const char *bucket;      /* NULL where there is none (S3_REFERENCE_OTHER, _BAD) */
    char *key;               /* decoded; owned; NULL likewise */
    const char *version_id;  /* NULL: the current one */
    const char *sequencer;   /* NULL: none */
    const char *event;       /* "ObjectCreated:Put", "Object Created"; of a pointer NULL */
    const char *wrong;       /* of S3_REFERENCE_BAD: what, a literal */
    int64_t published_at_ms; /* the record's eventTime, the event's time; else what the caller gave */
};

struct s3_references {
    struct s3_reference *list;
    size_t n, cap;
};
void s3_references_clear(struct s3_references *references);

/* Whether the message is one of these: told by content, and never what has GeoJSON's "type". */
bool s3_is_reference(const cJSON *json);

/*
 * Appends what a message for which s3_is_reference holds names. The tree must outlive the references.
 * `published_at_ms`: of the message. Keys of records are URL-decoded, with '+' for a blank; EventBridge's are as they
 * are. < 0 only.
 */
int s3_references_add(struct s3_references *references, const cJSON *json, size_t message, int64_t published_at_ms,
                      struct err *err) must_check;

/*
 * Sorts by bucket and key, those of one object in the order of their events: by sequencer (the times of S3's servers
 * may contradict it, then the later event gets the time of the earlier), before them by time what has none, then as
 * they were added.
 */
void s3_references_sort(struct s3_references *references);

/* Whether both name the same bytes: an event may come twice, and without versions only the current ones are there. */
bool s3_reference_is_same(const struct s3_reference *a, const struct s3_reference *b);

#endif
