/*
 * last_receive: nothing ends in the dead-letter queue without a reason.
 *
 * When whoever works on a message is killed on the last receive that the queue's redrive policy permits, the queue
 * itself moves the message to the dead-letter queue, and nobody can say why. So a message on that receive is first sent
 * to its queue anew, and the one received is deleted; what works on the copy may be killed, for the copy is received
 * again, and then dead-lettered as "interrupted", as is what comes again after five receives from a queue without a
 * redrive policy. The copy has the body and the attributes of the message, but for those that common/copy.h adds.
 *
 * Not sent anew, and worked on as they are: messages with more attributes than leave room for these, those that would
 * leave no room for a dead letter in the queue's MaximumMessageSize, those of a queue that permits one receive only
 * (the copy would have no more), and those that the queue does not take back (no permission to send to it, no answer; a
 * warning says so).
 */
#ifndef COMMON_LAST_RECEIVE_H
#define COMMON_LAST_RECEIVE_H

#include "common/settle.h"

/* Adds to the copies' receive counts those of their messages. */
void last_receive_count(struct sqs_messages *messages, size_t from);

/*
 * Takes out of messages->list[from..] those that are on their last permitted receive, which were sent anew, and those
 * that are beyond it, which were dead-lettered; the order of the others stays. All are held before, the others after
 * it. < 0: this process cannot go on.
 */
int last_receive_take_out(struct settler *settler, struct sqs_messages *messages, size_t from, struct err *err)
    must_check;

#endif
