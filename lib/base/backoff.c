#include "base/backoff.h"

int64_t backoff_ms(int64_t first_ms, int factor, int64_t max_ms, int failures)
{
    int64_t wait_ms = first_ms;
    for (int i = 1; i < failures && wait_ms > 0 && wait_ms < max_ms; i++)
        if (__builtin_mul_overflow(wait_ms, factor, &wait_ms))
            wait_ms = max_ms;
    return wait_ms < max_ms ? wait_ms : max_ms;
}

int64_t backoff_jitter_ms(int64_t wait_ms, double unit)
{
    return wait_ms - (int64_t)((double)wait_ms * unit / 4);
}
