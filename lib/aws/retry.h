/*
 * retry: the arithmetic of AWS's standard retry mode. It uses no clock and no random numbers, and does not wait.
 *
 * Follows "Retry behavior" (AWS SDKs and Tools Reference Guide), with the costs and delays of botocore's
 * retries/standard.py:
 * - three attempts, exponential back-off with full jitter
 * - a bucket of tokens for the process: retries take tokens, successes return them
 */
#ifndef AWS_RETRY_H
#define AWS_RETRY_H

#include "base/base.h"

enum {
    RETRY_ATTEMPTS_MAX = 3,
    RETRY_QUOTA_MAX = 500,
    RETRY_SKEW_MAX_MS = 4 * 60 * 1000, /* AWS tolerates 5 minutes: up to here the clock is not the cause */
};

enum retry_kind {
    RETRY_NONE,      /* the same request would get the same answer */
    RETRY_TRANSIENT, /* the service or the network failed */
    RETRY_THROTTLED, /* the service asks for fewer requests */
};

/*
 * The delay before the next attempt.
 * - `failures`: failed attempts so far, from 1. `unit`: a random number in [0, 1).
 * - `retry_after_ms`: the answer's x-amz-retry-after, or -1. It raises the delay by at most 5 s.
 */
int64_t retry_delay_ms(enum retry_kind kind, int failures, double unit, int64_t retry_after_ms);

/* The bucket. Thread-safe. */
struct retry_quota {
    _Atomic int tokens;
};
void retry_quota_init(struct retry_quota *quota);
/* Takes the tokens for one retry and returns their number. 0: not enough are left, so do not retry. */
int retry_quota_take(struct retry_quota *quota, enum retry_kind kind) must_check;
/* After a success: gives back `cost`, the tokens of the call's last retry; one token if it needed no retry (0). */
void retry_quota_refund(struct retry_quota *quota, int cost);

/*
 * The difference between a Date header (RFC 9110's IMF-fixdate) and this host's clock: add it to the clock.
 * False: `date` is not valid.
 */
bool retry_clock_offset(const char *date, int64_t clock_ms, int64_t *ret_offset_ms) must_check;

#endif
