/*
 * service: the life of a daemon: signals, systemd, worker threads.
 *
 * daemon_main handles what both daemons have in common: arguments, configuration, log, and then run() until a signal
 * arrives. run() has a thread of its own. The main thread reads the signals (signalfd; they are blocked in all other
 * threads), watches the deadlines, and shows the state of the process (daemon/status.h), even while run() starts.
 *
 * - SIGTERM and SIGINT drain: `drain_fd` becomes readable, and the workers finish what they have and return. After
 *   stop_timeout, or at a second signal, `abort_fd` becomes readable too, and every wait ends. Ten seconds later the
 *   process exits without the workers that have not returned, and logs their names.
 * - SIGHUP reloads the configuration. One with errors is refused, and the errors are logged. A good one drains the
 *   workers and calls run() again. If run() cannot start with it, the previous configuration is used again.
 *
 * A child process inherits the blocked signals and the ignored SIGPIPE. Code that starts one must reset both.
 */
#ifndef DAEMON_SERVICE_H
#define DAEMON_SERVICE_H

#include <pthread.h>

#include "daemon/daemon_config.h"
#include "daemon/metrics.h"

struct service; /* one call of run() */

struct service_counters { /* since the start of the process; daemon/metrics.h says what each counts */
#define SERVICE_COUNTER(member, ...) _Atomic int64_t member;
    METRICS_COUNTED(SERVICE_COUNTER)
#undef SERVICE_COUNTER
};

struct daemon {
    const char *name;
    const char *summary; /* for --help: what the daemon does, in one line */
    const struct config_schema *schema;
    const char *default_config; /* path */
    size_t config_offset;       /* of the struct daemon_config in the config struct */
    int metrics;                /* METRICS_ITEMGEND or METRICS_ITEMLOADD */
    /*
     * Starts the workers (service_start), calls service_wait, and frees what it allocated. `config` stays valid until
     * it returns. Returns 0, or < 0 / LATER / NEVER with err if it could not start or a worker could not continue. A
     * start that waits for something must watch drain_fd.
     */
    int (*run)(const void *config, struct service *service, struct err *err);
    /* --check-config: adds lines about what the configuration means on this machine. False: the daemon could not start
     * here. NULL: no such lines. */
    bool (*describe)(const void *config, struct buf *ret);
    /* --prepare: makes in advance what the service would make later, and adds lines about it. The configuration may be
     * incomplete. NULL: the daemon has no such option. */
    int (*prepare)(const void *config, struct buf *ret, struct err *err);
};

/* Exit codes: 0; 1 failed; 64 usage; 78 bad configuration (sysexits). */
int daemon_main(const struct daemon *daemon, int argc, char **argv);

int service_drain_fd(const struct service *service); /* readable: start no new work */
int service_abort_fd(const struct service *service); /* readable: end every wait */
bool service_is_draining(const struct service *service);
struct service_counters *service_counters(struct service *service);

/*
 * A worker thread. When `work` returns, the service ends; a result other than 0, with its err, becomes that of the
 * service. Before each step the worker calls service_pulse with the longest time that the step may take. The watchdog
 * is fed only while no worker is overdue.
 */
struct worker {
    struct service *service;
    const char *name; /* for the log: "loader 2" */
    int (*work)(struct worker *worker, struct err *err);
    void *context;
    _Atomic int64_t due_at_ms;       /* time_mono_ms(); INT64_MAX: never */
    _Atomic(const char *) waits_for; /* during an outage: its error code, a literal; else NULL */
    pthread_t thread;
    bool started;
    _Atomic bool has_ended; /* result and err are valid */
    int result;
    struct err err;
};
/*
 * The caller zeroes the worker, fills in name, work and context, and does not move it until it is joined.
 * After a failure the caller still calls service_wait with all workers: it drains the running ones and returns the
 * failure.
 */
int service_start(struct service *service, struct worker *worker, struct err *err) must_check;
/* Does nothing for a worker that was not started. */
void service_join(struct worker *worker);
/* The worker is alive, and will call this again within `within_ms` (INT64_MAX: no limit). */
void service_pulse(struct worker *worker, int64_t within_ms);

/*
 * Sends READY=1 to systemd, then waits until all `n` workers have returned, and joins them. They return when the
 * service drains, or because one of them has ended, which drains the others. Called by run(), in its thread. Returns
 * the first result that was not 0, with its err.
 */
int service_wait(struct service *service, struct worker *workers, size_t n, struct err *err) must_check;

#endif
