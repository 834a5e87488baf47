/*
 * dead_letter: what is sent to the dead-letter queue for a message that failed. Pure.
 *
 * The original body, unchanged, with these message attributes (never more than SQS's ten):
 *     error_code           String  a short stable name
 *     error                String  what happened, printable, at most 1 KiB
 *     source_message_id    String  of the message as it was received
 *     receive_count        Number  how often it had been received
 *     failed_at            String  RFC 3339
 *     published_at         Number  ms since 1970, see docs/reference/messages.md
 *     original_attributes  String  JSON, {name: {"Type": "String", "Value": "..."}}, if there were any; a Binary's
 *                                  value is base64
 * A dead letter that was put back into its queue comes with all of these; its original_attributes are
 * passed on as they are.
 */
#ifndef WORKER_DEAD_LETTER_H
#define WORKER_DEAD_LETTER_H

#include "sqs/sqs.h"

enum { DEAD_LETTER_ATTRIBUTES_MAX = 7 };

struct dead_letter {
    struct sqs_send send; /* borrows the message's body, and the texts below */
    struct sqs_attribute attributes[DEAD_LETTER_ATTRIBUTES_MAX];
    struct buf texts[DEAD_LETTER_ATTRIBUTES_MAX];
};

struct dead_letter_options {
    const struct sqs_message *message;
    const char *error_code;  /* NULL or "": "unknown" */
    const char *error;       /* NULL or "": the code once more */
    int64_t published_at_ms; /* 0: the attribute published_at, else SentTimestamp */
    int64_t failed_at_ms;
    int64_t max_size; /* of the dead-letter queue, body and attributes */
};

/*
 * Builds in place: `ret` must stay where it is. Where it is over max_size it goes without the error, then without the
 * original attributes. NEVER: "message_too_large" even so. `ret` is to be cleared in every case.
 */
int dead_letter_build(const struct dead_letter_options *options, struct dead_letter *ret, struct err *err) must_check;
void dead_letter_clear(struct dead_letter *letter);

#endif
