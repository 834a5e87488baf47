/*
 * lease_table: the leases of a process, and when each is renewed. Pure: the caller gives the time (time_mono_ms()),
 * locks, and makes the requests. Internal to leases.
 *
 * A lease is renewed when half of its visibility timeout has passed. SQS permits 12 hours from the receive: the last
 * renewals ask for the rest of that time, and then the lease is lost.
 */
#ifndef WORKER_LEASE_TABLE_H
#define WORKER_LEASE_TABLE_H

#include "sqs/sqs.h"

enum {
    LEASE_ROUND_MAX = 500, /* renewals of one round; leases_end may have to wait for it */
    LEASE_RETRY_MS = 1000, /* after a renewal that failed */
    LEASE_SLACK_MS = 1000, /* a renewal that is due this soon is made now, for fewer and fuller requests */
};

struct lease {
    int64_t renew_at_ms;
    int64_t ends_at_ms; /* the 12 hours */
    bool is_renewing;   /* a round has a pointer to it */
    bool is_lost;       /* SQS rejected its handle, or the 12 hours are over */
    const char *handle; /* in the same block of memory */
};

struct lease_table {
    int64_t visibility_ms;
    int64_t next_at_ms; /* when the next round is due; INT64_MAX: never */
    size_t n;
    void *tree; /* of tsearch(3), by handle */
};

/* Renewals that are made together. */
struct lease_round {
    size_t n, n_expired; /* n_expired: leases that were lost because their 12 hours are over */
    struct lease *leases[LEASE_ROUND_MAX];
    struct sqs_entry requests[LEASE_ROUND_MAX];
};

void lease_table_init(struct lease_table *table, int64_t visibility_ms);
void lease_table_clear(struct lease_table *table);

/* Does nothing if the handle has a lease. < 0: no memory. */
int lease_table_add(struct lease_table *table, const char *handle, int64_t received_at_ms, struct err *err) must_check;
/* NULL: there is none. */
struct lease *lease_table_find(const struct lease_table *table, const char *handle);
/* Frees it. It must not be renewing. */
void lease_table_remove(struct lease_table *table, struct lease *lease);

/* Gathers the renewals that are due, and sets when to look again. */
void lease_table_begin_round(struct lease_table *table, int64_t now_ms, struct lease_round *ret);
/*
 * Takes the results. `result`: of the whole call; if it is 0, each request has its own. `sent_at_ms`: before the call.
 * Returns how many leases were renewed. If all failed, the next round comes LEASE_RETRY_MS later.
 */
size_t lease_table_end_round(struct lease_table *table, const struct lease_round *round, int result, int64_t sent_at_ms,
                             int64_t now_ms);

#endif
