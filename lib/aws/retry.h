/*
 * retry: the arithmetic of AWS's standard retry mode. Pure: it reads no clock, draws no number, waits for nothing.
 *
 * The rules are those of "Retry behavior" (AWS SDKs and Tools Reference Guide) with the costs,
 * delays of botocore's retries/standard.py: three attempts, exponential back-off with full jitter,
 * and a bucket of tokens that a process spends on repetitions and earns back by successes.
 */
#ifndef AWS_RETRY_H
#define AWS_RETRY_H

#include "base/base.h"

enum {
    RETRY_ATTEMPTS_MAX = 3,
    RETRY_QUOTA_MAX = 500,
    RETRY_SKEW_MAX_MS = 4 * 60 * 1000, /* a clock this far off is not what a refusal is about */
};

enum retry_kind {
    RETRY_NONE,      /* the same request would meet the same answer */
    RETRY_TRANSIENT, /* the service or the way to it failed */
    RETRY_THROTTLED, /* it asked for fewer requests */
};

/*
 * How long to wait after the `failures`th failed attempt (from 1). `unit` is a number in [0, 1).
 * `retry_after_ms` is the answer's x-amz-retry-after, or -1: it raises the delay by at most 5 s.
 */
int64_t retry_delay_ms(enum retry_kind kind, int failures, double unit, int64_t retry_after_ms);

/* The bucket, safe for many threads. */
struct retry_quota {
    _Atomic int tokens;
};
void retry_quota_init(struct retry_quota *quota);
/* Pays for one repetition. Returns what it cost; 0: there is not enough left, so it must not be made. */
int retry_quota_take(struct retry_quota *quota, enum retry_kind kind) must_check;
/* A call succeeded: returns what its last repetition cost (0: it needed none, and earns one token). */
void retry_quota_refund(struct retry_quota *quota, int cost);

/*
 * What to add to this machine's clock so that it reads as a Date header (RFC 9110's IMF-fixdate)
 * does. False: `date` is no such date.
 */
bool retry_clock_offset(const char *date, int64_t clock_ms, int64_t *ret_offset_ms) must_check;

#endif
