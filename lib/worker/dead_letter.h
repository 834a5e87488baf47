/*
 * dead_letter: builds the dead letter of a message that failed. Pure.
 *
 * It has the original body, unchanged, and these message attributes (SQS permits ten):
 *     error_code           String  a short stable name
 *     error                String  the error, printable, at most 1 KiB
 *     source_message_id    String  the id of the message as it was received
 *     receive_count        Number  how often it was received
 *     failed_at            String  RFC 3339
 *     published_at         Number  ms since 1970, see docs/reference/messages.md
 *     original_attributes  String  if the message had any: JSON, {name: {"Type": "String", "Value": "..."}}; the value
 *                                  of a Binary is base64
 * A dead letter that an operator moved back to its queue has these attributes already. If it fails again, its
 * original_attributes stay as they are.
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
    const char *error;       /* NULL or "": the code */
    int64_t published_at_ms; /* 0: the attribute published_at, else SentTimestamp */
    int64_t failed_at_ms;
    int64_t max_size; /* of the dead-letter queue, body and attributes */
};

/*
 * Builds in place: `ret` must not move. If the letter is over max_size, it is built without the error, then also
 * without the original attributes. NEVER: "message_too_large", even without them. Clear `ret` in every case.
 */
int dead_letter_build(const struct dead_letter_options *options, struct dead_letter *ret, struct err *err) must_check;
void dead_letter_clear(struct dead_letter *letter);

#endif
