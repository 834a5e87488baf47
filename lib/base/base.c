#include "base/base.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/time.h"

void base_close_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static int timeout_until(int64_t deadline_ms)
{
    if (deadline_ms == INT64_MAX)
        return -1;
    int64_t left = deadline_ms - time_mono_ms();
    if (left < 0)
        return 0;
    return left > INT_MAX ? INT_MAX : (int)left;
}

enum wait_result wait_fd(int fd, short events, int stop_fd, int64_t deadline_ms)
{
    /* poll(2) skips negative descriptors, so absent ones need no special case. */
    struct pollfd fds[2] = { { .fd = stop_fd, .events = POLLIN }, { .fd = fd, .events = events } };

    for (;;) {
        int timeout_ms = timeout_until(deadline_ms);
        int ready = poll(fds, N_ELEMENTS(fds), timeout_ms);
        if (ready < 0 && errno != EINTR)
            return WAIT_READY; /* the caller's next call on fd fails and shows why */
        if (ready <= 0) {
            if (timeout_until(deadline_ms) == 0)
                return WAIT_TIMEOUT;
            continue;
        }
        return fds[0].revents ? WAIT_STOPPED : WAIT_READY;
    }
}

double random_unit(void)
{
    uint32_t bits = 0;
    if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
        return 0.5;
    return (double)bits / ((double)UINT32_MAX + 1.0);
}
