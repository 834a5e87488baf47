/*
 * last_receive: nothing ends in the dead-letter queue without a reason.
 *
 * When whoever works on a message is killed on the last receive that the queue's redrive policy permits, the queue
 * itself moves the message to the dead-letter queue, and nobody can say why. So a message on that receive is first sent
 * to its queue anew, and the one received is deleted; what works on the copy may be killed, for the copy is received
 * again, and then dead-lettered as "interrupted". The copy has the body and the attributes of the message, and
 *     receives_before    Number  how often it was received and worked on before
 *     source_message_id  String  of the message, for a dead letter
 *     published_at       Number  as common/dead_letter.h
 *
 * Not sent anew, and worked on as they are: messages with more attributes than leave room for these three, those that
 * would be larger than the queue takes, those of a queue that permits one receive only (the copy would have no more),
 * and those that the queue does not take back (no permission to send to it; a warning says so).
 */
#ifndef COMMON_LAST_RECEIVE_H
#define COMMON_LAST_RECEIVE_H

#include "common/settle.h"

/* A copy's, with what is added to it: its message's receives count as its own. */
void last_receive_count(struct sqs_messages *messages, size_t from);

/*
 * Takes out of messages->list[from..] those that are on their last permitted receive, which were sent anew, and those
 * that are beyond it, which were dead-lettered; the order of the others stays. They are held (or nobody is).
 * < 0: this process cannot go on.
 */
int last_receive_take_out(struct settler *settler, struct sqs_messages *messages, size_t from, struct err *err)
    must_check;

#endif
