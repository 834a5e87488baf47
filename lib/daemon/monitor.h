/*
 * monitor: how a process is watched: what metrics_address serves, the metrics in the log, the protection of an ECS
 * task. Internal to service; only the main thread calls these.
 */
#ifndef DAEMON_MONITOR_H
#define DAEMON_MONITOR_H

#include "daemon/status.h"

struct monitor {
    struct status status;
    char *address; /* of the server; NULL: none */
    struct status_server *server;
    struct task_protection *protection; /* of this run; NULL: none */
    const char *space;                  /* CloudWatch's namespace, of this run; NULL: none */
    int64_t write_at_ms;                /* the next metrics into the log, in time_mono_ms() terms */
    struct metrics written;             /* the last ones */
};
void monitor_init(struct monitor *monitor, const struct daemon *daemon, struct service_counters *counters);
void monitor_close(struct monitor *monitor);

/* Before a run, with its configuration, borrowed until monitor_end. NEVER: "cannot_listen". */
int monitor_begin(struct monitor *monitor, const struct monitoring *config, struct err *err) must_check;
/* The run that has begun. */
void monitor_watch(struct monitor *monitor, struct service *service);
/* Before it is freed; also after monitor_begin or the run failed. Waits for ECS, at most 2 s. */
void monitor_end(struct monitor *monitor);

/* When monitor_tick has something to do next, in time_mono_ms() terms. */
int64_t monitor_due_at(const struct monitor *monitor);
void monitor_tick(struct monitor *monitor);

#endif
