/*
 * status: shows how a process is doing. Internal to service.
 *
 * - systemd gets sd_notify(3) messages: ready, reloading, stopping, a line of counters, and the watchdog's pings.
 * - metrics_address serves HTTP:
 *       /health   200; 503 with the names of the overdue workers, while the watchdog gets no pings either
 *       /ready    200 from the end of the start until the process drains, else 503; an outage is named, but stays 200
 *       /metrics  200 with metrics_write_text
 *   GET and HEAD only, one answer per connection. At most 16 connections are open, of 16 KiB each; each is closed
 *   after 5 s without a byte.
 * - The log gets the metrics each minute, for CloudWatch.
 * - ECS is asked to protect the task (daemon/task_protection.h).
 *
 * Only the main thread calls these functions.
 */
#ifndef DAEMON_STATUS_H
#define DAEMON_STATUS_H

#include "daemon/daemon_config.h"
#include "daemon/service.h"

struct status {
    const struct daemon *daemon;
    const struct service_counters *counters;
    int64_t started_at_ms;   /* wall clock */
    pthread_mutex_t lock;    /* for `service`: it does not end while the lock is held */
    struct service *service; /* NULL: no run() is in progress */
    /* HTTP */
    char *address; /* NULL: nothing listens */
    struct MHD_Daemon *server;
    /* systemd; times as time_mono_ms() */
    int64_t ping_interval_ms, ping_at_ms; /* INT64_MAX: no watchdog */
    int64_t text_at_ms;
    char text[256]; /* the last one sent */
    /* of this run */
    struct task_protection *protection; /* NULL: none */
    const char *space;                  /* CloudWatch's namespace; NULL: no metrics in the log */
    int64_t write_at_ms;                /* the next metrics in the log */
    struct metrics written;             /* the last ones */
};
void status_init(struct status *status, const struct daemon *daemon, const struct service_counters *counters);
void status_close(struct status *status);

/* Before a run, with its configuration, borrowed until status_end. NEVER: "cannot_listen". A server that already
 * listens at the same address goes on. */
int status_begin(struct status *status, const struct daemon_config *config, struct err *err) must_check;
/* The run that has begun. */
void status_watch(struct status *status, struct service *service);
/* Before the run is freed; also after status_begin or the run failed. Waits for ECS, at most 2 s. */
void status_end(struct status *status);

/* Notify systemd. `within_ms`: how long the stop may take; systemd waits at least that long. */
void status_ready(struct status *status);
void status_reloading(struct status *status);
void status_stopping(struct status *status, int64_t within_ms);

/* When status_tick has something to do next, in time_mono_ms() terms. */
int64_t status_due_at(const struct status *status);
/* Does what is due. The watchdog gets its ping only if `is_alive`; `state` is for systemd's status line. */
void status_tick(struct status *status, bool is_alive, const char *state);

/*
 * --health, which a container's health check runs: asks a running daemon for its /health, for 3 s at most. Prints the
 * answer. Returns the exit code: 0 healthy, 1 not healthy, or no answer.
 */
int status_ask(const char *daemon_name, const char *address);

#endif
