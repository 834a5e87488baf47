#include "daemon/notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "base/time.h"

enum { STATUS_MS = 3000 };

void notify_init(struct notify *notify)
{
    uint64_t watchdog_us = 0;
    *notify = (struct notify){ .watchdog_ms = INT64_MAX, .feed_at_ms = INT64_MAX, .status_at_ms = time_mono_ms() };
    if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
        notify->watchdog_ms = watchdog_us < 20000 ? 10 : (int64_t)(watchdog_us / 2000);
        notify->feed_at_ms = time_mono_ms();
    }
}

void notify_ready(struct notify *notify)
{
    notify->status_at_ms = time_mono_ms();
    sd_notify(0, "READY=1");
}

void notify_reloading(struct notify *notify)
{
    notify->status_at_ms = time_mono_ms();
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void notify_stopping(struct notify *notify, int64_t within_ms)
{
    notify->status_at_ms = time_mono_ms();
    sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64, within_ms * 1000);
}

int64_t notify_due_at(const struct notify *notify)
{
    return notify->feed_at_ms < notify->status_at_ms ? notify->feed_at_ms : notify->status_at_ms;
}

static void send_status(struct notify *notify, const char *state, struct service_counters *counters)
{
    char status[sizeof(notify->status)];
    snprintf(status, sizeof(status),
             "%s: received %" PRId64 ", done %" PRId64 ", later %" PRId64 ", never %" PRId64 ", returned %" PRId64
             ", items %" PRId64,
             state, counters->received, counters->done, counters->later, counters->never, counters->returned,
             counters->items);
    if (strcmp(status, notify->status) == 0)
        return;
    memcpy(notify->status, status, sizeof(status));
    sd_notifyf(0, "STATUS=%s", status);
}

void notify_tick(struct notify *notify, bool is_alive, const char *state, struct service_counters *counters)
{
    int64_t now_ms = time_mono_ms();
    if (now_ms >= notify->feed_at_ms) {
        notify->feed_at_ms = now_ms + notify->watchdog_ms;
        if (is_alive)
            sd_notify(0, "WATCHDOG=1");
    }
    if (now_ms >= notify->status_at_ms) {
        notify->status_at_ms = now_ms + STATUS_MS;
        send_status(notify, state, counters);
    }
}
