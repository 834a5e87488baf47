/*
 * base: what every module shares: the four results, ownership macros, waiting.
 *
 * A function that can fail returns int, and the value means the same everywhere:
 *     0       done
 *     LATER   not now: the same message again, later (throttled, 5xx, timeout, deadlock)
 *     NEVER   this message, or this input, cannot succeed
 *     < 0     -errno: this process cannot go on; forwarded unchanged to main
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

/* Hands an owning local over: its value, and the local is NULL from then on. */
#define TAKE(pointer)                           \
    __extension__({                             \
        __typeof__(pointer) taken_ = (pointer); \
        (pointer) = NULL;                       \
        taken_;                                 \
    })

static inline void base_free_pointer(void *pointer)
{
    void *owned;
    memcpy(&owned, pointer, sizeof(owned)); /* a pointer of any type: no cast says that */
    free(owned);
}

void base_close_fd(const int *fd);

/* Owning locals; each needs an initialiser (NULL, -1). */
#define auto_free cleanup(base_free_pointer)
#define auto_close cleanup(base_close_fd)

/*
 * Waits until `fd` has one of the poll(2) `events`, until `stop_fd` is readable or until the
 * deadline. `fd` -1: wait for the other two only. `stop_fd` -1: none. `deadline_ms` is in
 * time_mono_ms() terms, INT64_MAX for none. Interrupting signals are waited through.
 */
enum wait_result { WAIT_READY, WAIT_STOPPED, WAIT_TIMEOUT };
enum wait_result wait_fd(int fd, short events, int stop_fd, int64_t deadline_ms);

/* A number in [0, 1), from the kernel's generator: for jitter, not for keys. */
double random_unit(void);

#endif
