/*
 * base: the four results, ownership macros and waiting, shared by every module.
 *
 * A function that can fail returns int. The value means the same everywhere:
 *     0       done
 *     LATER   failed for now; retry the same message later (throttled, 5xx, timeout, deadlock)
 *     NEVER   this message, or this input, cannot succeed
 *     < 0     -errno: the process cannot go on; every caller returns it unchanged, up to main
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LATER = 1, NEVER = 2 };

#define must_check __attribute__((warn_unused_result))
#define printf_like(text, first) __attribute__((format(printf, text, first)))
#define cleanup(function) __attribute__((cleanup(function)))

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* Gives up ownership: evaluates to the pointer and sets the variable to NULL. */
#define TAKE(pointer)                           \
    __extension__({                             \
        __typeof__(pointer) taken_ = (pointer); \
        (pointer) = NULL;                       \
        taken_;                                 \
    })

static inline void base_free_pointer(void *pointer)
{
    void *owned;
    memcpy(&owned, pointer, sizeof(owned)); /* `pointer` points to a pointer of any type */
    free(owned);
}

void base_close_fd(const int *fd);

/* Owning locals; each needs an initialiser (NULL, -1). */
#define auto_free cleanup(base_free_pointer)
#define auto_close cleanup(base_close_fd)

/*
 * Waits for the first of: one of the poll(2) `events` on `fd`, `stop_fd` readable, the deadline.
 * - `fd` and `stop_fd`: -1 to leave them out.
 * - `deadline_ms`: on the clock of time_mono_ms(); INT64_MAX: no deadline.
 * - Signals do not end the wait.
 */
enum wait_result { WAIT_READY, WAIT_STOPPED, WAIT_TIMEOUT };
enum wait_result wait_fd(int fd, short events, int stop_fd, int64_t deadline_ms);

/* A random number in [0, 1) for jitter. Not for keys. */
double random_unit(void);

#endif
