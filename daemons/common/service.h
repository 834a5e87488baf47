/*
 * service: one daemon's life: signals, systemd, worker threads.
 *
 * daemon_main does what both daemons have in common: arguments, config, log, then run() until a
 * signal. The main thread reads the signals (signalfd; blocked in every other thread), keeps the deadlines and talks to
 * systemd and to whoever asks how it is (common/monitor.h), also while run(), in a thread of its own, still starts.
 * SIGTERM and SIGINT drain: `drain_fd` becomes readable, workers begin nothing new and come home; after stop_timeout
 * (or at a second signal) `abort_fd` becomes readable too and every wait ends. Who has not come home ten seconds later
 * is named in the log, and the process exits without it. SIGHUP reads the config again: a bad one is refused with its
 * errors in the log, a good one drains the workers and runs anew; one that run() cannot start with gives way to the one
 * before.
 *
 * Whoever starts a process: it inherits the blocked signals and the ignored SIGPIPE, and has to put both back.
 */
#ifndef COMMON_SERVICE_H
#define COMMON_SERVICE_H

#include <pthread.h>

#include "common/metrics.h"
#include "common/monitoring.h"

struct service; /* one run, from start to drained */

struct service_counters { /* since the start of the process; common/metrics.h says what each counts */
#define SERVICE_COUNTER(member, ...) _Atomic int64_t member;
    METRICS_COUNTED(SERVICE_COUNTER)
#undef SERVICE_COUNTER
};

struct daemon {
    const char *name;
    const char *summary; /* for --help: what it does, in a line */
    const struct config_schema *schema;
    const char *default_config; /* path */
    /* Where common settings lie in the config struct. */
    const char *(*log_level)(const void *config); /* as log_priority reads it */
    int64_t (*stop_timeout_ms)(const void *config);
    const struct monitoring *(*monitoring)(const void *config); /* NULL: none of it */
    int metrics;                                                /* METRICS_ITEMGEND or METRICS_ITEMLOADD */
    /*
     * Starts workers (service_start), calls service_wait, joins them, frees what it made. `config` lives until it
     * returns. Returns 0, or < 0 / LATER / NEVER with err where it could not start or a worker could not go on.
     * A start that has to wait for something heeds drain_fd.
     */
    int (*run)(const void *config, struct service *service, struct err *err);
    /* --check-config: further lines on what will be in force. False: it could not start here. NULL: nothing to tell. */
    bool (*describe)(const void *config, struct buf *ret);
    /* --prepare: makes ahead what the service would make, with a configuration that may be incomplete; adds lines on
     * what is there then. NULL: there is no such option. */
    int (*prepare)(const void *config, struct buf *ret, struct err *err);
};

/* Exit codes: 0; 1 failed; 64 usage; 78 bad configuration (sysexits). */
int daemon_main(const struct daemon *daemon, int argc, char **argv);

int service_drain_fd(const struct service *service); /* readable: begin nothing new */
int service_abort_fd(const struct service *service); /* readable: end every wait */
bool service_is_draining(const struct service *service);
struct service_counters *service_counters(struct service *service);

/*
 * A worker thread: `work` runs until it returns, which ends the service; a result other than 0 is the service's, with
 * its err. Before each step that may take longer than a minute it tells so with service_pulse; the watchdog is fed only
 * while no worker is overdue.
 */
struct worker {
    struct service *service;
    const char *name; /* for the log: "loader 2" */
    int (*work)(struct worker *worker, struct err *err);
    void *context;
    _Atomic int64_t due_at_ms;       /* time_mono_ms(); INT64_MAX: never */
    _Atomic(const char *) waits_for; /* the code of the outage that it waits through, a literal; NULL: none */
    pthread_t thread;
    bool started;
    _Atomic bool has_ended; /* result and err are there */
    int result;
    struct err err;
};
/*
 * The caller fills in name, work and context, and keeps the (else zeroed) worker where it is until it is joined.
 * After a failure go on to service_wait with all workers: it drains those that run and returns the failure.
 */
int service_start(struct service *service, struct worker *worker, struct err *err) must_check;
/* Nothing where it was not started. */
void service_join(struct worker *worker);
/* The worker moves, and its next sign of life comes within `within_ms` (INT64_MAX: no limit). */
void service_pulse(struct worker *worker, int64_t within_ms);

/*
 * Has systemd told READY=1, then waits in the calling thread, which is run()'s, until all `n` workers have returned:
 * draining has been asked for, or one of them has ended and so made the others drain. After it all workers are joined.
 * Returns the first result that was not 0, with its err.
 */
int service_wait(struct service *service, struct worker *workers, size_t n, struct err *err) must_check;

#endif
