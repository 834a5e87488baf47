/*
 * notify: what systemd is told of one process (sd_notify(3)), and the watchdog. Nothing where no NOTIFY_SOCKET is set.
 *
 * Only the main thread calls these.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include "daemon/service.h"

struct notify {
    int64_t watchdog_ms; /* half of what systemd waits; INT64_MAX: it does not */
    int64_t feed_at_ms;  /* time_mono_ms() */
    int64_t status_at_ms;
    char status[256]; /* the last one sent */
};

/* After each of these the next tick sends the status too. */
void notify_init(struct notify *notify);
void notify_ready(struct notify *notify);
void notify_reloading(struct notify *notify);
/* `within_ms`: how long the stop may take; systemd waits at least so long. */
void notify_stopping(struct notify *notify, int64_t within_ms);

/* When notify_tick has something to do next, in time_mono_ms() terms. */
int64_t notify_due_at(const struct notify *notify);
/* Feeds the watchdog where it is time to and `is_alive`, and sends what has become of the counters. */
void notify_tick(struct notify *notify, bool is_alive, const char *state, struct service_counters *counters);

#endif
