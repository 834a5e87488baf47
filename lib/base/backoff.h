/*
 * backoff: how long to wait before the next attempt. Pure.
 *
 *     wait_ms = backoff_jitter_ms(backoff_ms(1000, 2, 60000, failures), random_unit());
 */
#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H

#include "base/base.h"

/*
 * The wait after the `failures`th failed attempt in a row (from 1): first_ms * factor^(failures - 1), at most max_ms.
 * With 1000, 2 and 10000 it is 1 s, 2 s, 4 s, 8 s, then always 10 s. `factor` is at least 2.
 */
int64_t backoff_ms(int64_t first_ms, int factor, int64_t max_ms, int failures);

/* Shortens a wait by up to a quarter, so that many clients do not try again at the same moment. `unit` is in [0, 1). */
int64_t backoff_jitter_ms(int64_t wait_ms, double unit);

#endif
