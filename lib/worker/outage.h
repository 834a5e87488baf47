/*
 * outage: a worker waits for a dependency that is down.
 *
 * If one call finds the dependency down, every message would find it down. So the worker keeps the messages that it has
 * (their leases are renewed), receives no more, and tries again until the call works or the service drains. An outage
 * thus costs one receive of those messages, and none of the rest of the queue.
 *
 * The log has a line when the outage begins and when it ends. In between it has a warning when the error code changes
 * (first the connection was lost, now the password is refused), and after 8, 16, 32, ... attempts.
 */
#ifndef WORKER_OUTAGE_H
#define WORKER_OUTAGE_H

#include "daemon/service.h"

struct outage {
    struct worker *worker;
    int64_t probe_interval_ms; /* the longest wait */
    int attempts;              /* since it began; 0: no outage */
    const char *code;          /* as logged last: a literal */
};

/*
 * Call it with each result: `do r = call(..., err); while (outage_wait(&outage, r, err));`
 * True: it was an outage, and the wait (1 s, doubling to probe_interval_ms) is over: try again. False: use the result;
 * if it is still an outage, the service drains.
 */
bool outage_wait(struct outage *outage, int result, const struct err *err);

#endif
