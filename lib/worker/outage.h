/*
 * outage: a worker's patience with a dependency that is down.
 *
 * What a call found down every message would find down: the worker keeps what it holds (heartbeats
 * go on), receives nothing more, and tries again until it works or the service drains. So an outage spends one receive
 * of what was held, not the queue. It is logged once when it begins and once when it is over; in between where what is
 * found has another code than what was told (a connection was lost, now the password is refused), and ever more seldom.
 */
#ifndef WORKER_OUTAGE_H
#define WORKER_OUTAGE_H

#include "daemon/service.h"

struct outage {
    struct worker *worker;
    int64_t probe_interval_ms; /* the longest wait */
    int attempts;              /* since it began; 0: none */
    const char *code;          /* of what was told last: a literal */
};

/*
 * Call it with each result: `do r = call(..., err); while (outage_wait(&outage, r, err));`. True: it was an outage,
 * some time (1 s, doubling to probe_interval_ms) has passed, try again. False: the result stands; where it still is an
 * outage, the service drains.
 */
bool outage_wait(struct outage *outage, int result, const struct err *err);

#endif
