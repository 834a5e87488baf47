/*
 * redrive: the last receive that a queue permits is kept in reserve.
 *
 * A message whose worker dies leaves no reason, and after its last permitted receive SQS itself moves it to the
 * dead-letter queue. So the last receive is not an attempt (settle_attempts): a message that arrives on it lost its
 * worker on the attempt before, and is dead-lettered as "interrupted" before anybody works on it.
 */
#ifndef WORKER_REDRIVE_H
#define WORKER_REDRIVE_H

#include "worker/settle.h"

/*
 * Dead-letters those of messages->list[from..] that have had all their attempts, and takes them out of the list; the
 * others keep their order. All are held before, the others after it. One that the dead-letter queue does not take is
 * taken out too: settle logs it, and it backs off. < 0: this process cannot go on.
 */
int redrive_take_out(struct settler *settler, struct sqs_messages *messages, size_t from, struct err *err) must_check;

#endif
