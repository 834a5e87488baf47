/*
 * redrive: the last receive that a queue permits is kept in reserve.
 *
 * If a worker dies, nobody can say why its message failed, and after the last permitted receive SQS moves the message
 * to the dead-letter queue without a reason. So the last receive is not an attempt (settle_attempts). A message that
 * arrives on it lost its worker on the attempt before, and is dead-lettered as "interrupted" without being worked on.
 */
#ifndef WORKER_REDRIVE_H
#define WORKER_REDRIVE_H

#include "worker/settle.h"

/*
 * Dead-letters those of messages->list[from..] that have had all their attempts, and removes them from the list. The
 * others keep their order. All have leases before the call, and the others still have them after it. A message that
 * cannot be dead-lettered is removed too: settle logs it, and it backs off. < 0: this process cannot go on.
 */
int redrive_take_out(struct settler *settler, struct sqs_messages *messages, size_t from, struct err *err) must_check;

#endif
