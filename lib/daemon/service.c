#include "daemon/service.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/time.h"
#include "daemon/cli.h"
#include "daemon/log.h"
#include "daemon/service_run.h"
#include "daemon/status.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED true
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

enum { GRACE_MS = 10 * 1000 }; /* from the abort to exiting without the workers that have not returned */

/* The process, as its main thread sees it. */
struct process {
    const struct daemon *daemon;
    struct config_source source;
    struct status status;
    struct service_counters counters;
    int signal_fd;
    int n_stops; /* SIGTERM and SIGINT so far */
    bool was_started;
    bool has_logged_overdue;
    void *config;        /* in effect */
    void *next_config;   /* for the next run; NULL: none */
    void *former_config; /* used again if run() cannot start; NULL: none */
    /* Of the current run. */
    struct service *service;
    bool was_ready;
    int64_t abort_at_ms, give_up_at_ms;
};

static const struct daemon_config *common_config(const struct process *process)
{
    return daemon_config_of(process->daemon, process->config);
}

static void free_config(const struct process *process, void *config)
{
    if (config)
        config_clear(process->daemon->schema, config);
    free(config);
}

/* NULL: it cannot be used; `errors` has a line for each thing wrong. */
static void *load_config(const struct daemon *daemon, const struct config_source *source, struct buf *errors)
{
    void *config = calloc(1, daemon->schema->size);
    int result = config ? config_load(daemon->schema, source, config, errors) : -ENOMEM;
    if (result == 0)
        return config;
    free(config);
    if (result < 0)
        config_complain(errors, daemon->name, "cannot load the configuration: %s", strerror(-result));
    return NULL;
}

static void log_refusal(struct buf *errors)
{
    char *rest = errors->data;
    for (const char *line = strsep(&rest, "\n"); rest; line = strsep(&rest, "\n"))
        log_write(LOG_ERR, LOG_EVENT_CONFIG_REFUSED, NULL, "%s", line);
}

static void drain(struct process *process)
{
    if (service_is_draining(process->service))
        return;
    process->abort_at_ms = time_mono_ms() + common_config(process)->stop_timeout_ms;
    service_run_drain(process->service);
}

static void abort_run(struct process *process, const char *why)
{
    if (process->give_up_at_ms != INT64_MAX)
        return;
    log_write(LOG_WARNING, LOG_EVENT_DAEMON_STOPPING, NULL, "%s: aborting the work in progress", why);
    process->abort_at_ms = INT64_MAX;
    process->give_up_at_ms = time_mono_ms() + GRACE_MS;
    service_run_drain(process->service);
    service_run_abort(process->service);
}

static void stop(struct process *process, const char *why)
{
    status_stopping(&process->status, common_config(process)->stop_timeout_ms + GRACE_MS);
    log_write(LOG_NOTICE, LOG_EVENT_DAEMON_STOPPING, NULL, "%s: finishing the work in progress", why);
    drain(process);
}

static void on_reload_signal(struct process *process)
{
    if (process->n_stops > 0)
        return;
    status_reloading(&process->status);
    auto_buf struct buf errors = BUF_INIT;
    void *config = load_config(process->daemon, &process->source, &errors);
    if (!config) {
        log_refusal(&errors);
        log_write(LOG_ERR, LOG_EVENT_CONFIG_REFUSED, NULL, "keeping the previous configuration");
        status_ready(&process->status);
        return;
    }
    free_config(process, process->next_config);
    process->next_config = config;
    drain(process);
}

static void read_signals(struct process *process)
{
    struct signalfd_siginfo signal;
    while (read(process->signal_fd, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
        if (signal.ssi_signo == SIGHUP)
            on_reload_signal(process);
        else if (++process->n_stops == 1)
            stop(process, signal.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
        else
            abort_run(process, "a second signal to stop");
    }
}

static void on_ready(struct process *process)
{
    process->was_ready = true;
    status_ready(&process->status);
    const char *path = process->source.path;
    if (process->was_started)
        log_write(LOG_NOTICE, LOG_EVENT_CONFIG_RELOADED, LOG_FIELDS({ "CONFIG", path }),
                  "running with the reloaded configuration");
    else
        log_write(LOG_NOTICE, LOG_EVENT_DAEMON_STARTED, LOG_FIELDS({ "CONFIG", path }, { "VERSION", VERSION }),
                  "%s " VERSION " is ready", process->daemon->name);
    process->was_started = true;
    free_config(process, TAKE(process->former_config));
}

/* The last resort: a thread that ignores the abort cannot be joined. */
static _Noreturn void give_up(struct process *process)
{
    auto_buf struct buf names = BUF_INIT;
    service_run_busy(process->service, &names);
    log_write(LOG_ERR, LOG_EVENT_DAEMON_STOPPED, NULL,
              "exiting without waiting any longer for %s; its messages become visible again after their visibility "
              "timeout",
              names.len > 0 ? buf_str(&names) : "the start or the end of the service");
    _exit(1);
}

static void tick(struct process *process)
{
    auto_buf struct buf overdue = BUF_INIT;
    service_run_overdue(process->service, time_mono_ms(), &overdue);
    bool is_alive = overdue.len == 0;
    if (!is_alive && !process->has_logged_overdue)
        log_write(LOG_WARNING, LOG_EVENT_WARNING, NULL,
                  "no sign of life from %s; the watchdog gets no pings until there is one", buf_str(&overdue));
    process->has_logged_overdue = !is_alive;
    const char *state = process->n_stops > 0                    ? "stopping"
                        : service_is_draining(process->service) ? "draining"
                        : process->was_ready                    ? "running"
                                                                : "starting";
    status_tick(&process->status, is_alive, state);
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* As PID 1 of a container we inherit every orphan, as a child of this thread. The thread has no other children: threads
 * that start processes wait for them. */
static void reap_orphans(void)
{
    while (waitpid(-1, NULL, WNOHANG | __WNOTHREAD) > 0)
        ;
}

/* Returns when run() has returned. */
static void attend(struct process *process)
{
    struct service *service = process->service;
    while (!service->has_ended) {
        int64_t due_at_ms = min(process->abort_at_ms, process->give_up_at_ms);
        wait_fd(process->signal_fd, POLLIN, service->poke_fd, min(due_at_ms, status_due_at(&process->status)));
        service_run_unpoke(service);
        if (service->is_ready && !process->was_ready)
            on_ready(process);
        if (service->has_failed && !service->is_draining)
            stop(process, "a worker has ended");
        read_signals(process);
        int64_t now_ms = time_mono_ms();
        if (now_ms >= process->give_up_at_ms)
            give_up(process);
        if (now_ms >= process->abort_at_ms)
            abort_run(process, "the stop timeout is over");
        reap_orphans();
        tick(process);
    }
}

/* One run with the current configuration: run()'s result and err. */
static int run_once(struct process *process, struct err *err)
{
    const struct daemon_config *config = common_config(process);
    log_set_priority(log_priority(daemon_config_log_levels[config->log_level]));
    process->was_ready = false;
    process->abort_at_ms = process->give_up_at_ms = INT64_MAX;
    int result = status_begin(&process->status, config, err);
    if (result == 0)
        result = service_run_start(process->daemon, process->config, &process->counters, &process->service, err);
    if (result != 0) {
        status_end(&process->status);
        return result;
    }
    status_watch(&process->status, process->service);
    attend(process);
    result = process->service->result;
    *err = process->service->err;
    status_end(&process->status);
    service_run_end(TAKE(process->service));
    return result;
}

static int run_until_stopped(struct process *process)
{
    for (;;) {
        struct err err = ERR_INIT;
        int result = run_once(process, &err);
        /* An interrupted call is not a failure. */
        if ((process->n_stops > 0 || process->next_config) && result == LATER)
            result = 0;
        if (result != 0 && process->n_stops == 0 && !process->was_ready && process->former_config) {
            log_write(LOG_ERR, LOG_EVENT_CONFIG_REFUSED, LOG_FIELDS({ "ERROR_CODE", err.code }),
                      "cannot run with the new configuration, going back to the previous one: %s", err.text);
            free_config(process, process->config);
            process->config = TAKE(process->former_config);
            continue;
        }
        if (result != 0) {
            log_write(LOG_ERR, LOG_EVENT_DAEMON_STOPPED, LOG_FIELDS({ "ERROR_CODE", err.code }),
                      "%s; exiting with status 1; fix this and restart (messages in progress become visible again)",
                      err.text);
            return 1;
        }
        if (process->n_stops > 0 || !process->next_config)
            return 0;
        free_config(process, process->former_config);
        process->former_config = process->config;
        process->config = TAKE(process->next_config);
    }
}

static void log_end(const struct process *process)
{
    const struct service_counters *c = &process->counters;
    char counts[4][24];
    const int64_t values[] = { c->received, c->done, c->never, c->returned };
    for (size_t i = 0; i < N_ELEMENTS(values); i++)
        snprintf(counts[i], sizeof(counts[i]), "%" PRId64, values[i]);
    log_write(
        LOG_NOTICE, LOG_EVENT_DAEMON_STOPPED,
        LOG_FIELDS({ "RECEIVED", counts[0] }, { "DONE", counts[1] }, { "NEVER", counts[2] }, { "RETURNED", counts[3] }),
        "stopped");
}

/* If one of these were closed, the next file that we open would get its number, and log lines would go there. */
static void open_standard_fds(void)
{
    int fd = 0;
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDWR);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* The soft limit is usually 1024; 256 workers of itemgend open 1300 files. */
static void permit_many_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static int prepare_process(void)
{
    permit_many_files();
    /* Our environment may hold credentials: do not let other processes of the same user read it. A sanitizer's leak
     * check needs ptrace. */
    if (!IS_SANITIZED)
        prctl(PR_SET_DUMPABLE, 0);
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    return error == 0 ? signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK) : -1;
}

static int serve(const struct daemon *daemon, const struct config_source *source)
{
    log_open(daemon->name, LOG_INFO);
    struct process process = { .daemon = daemon, .source = *source, .signal_fd = prepare_process() };
    if (process.signal_fd < 0) {
        log_write(LOG_ERR, LOG_EVENT_DAEMON_STOPPED, NULL, "signalfd: %s", strerror(errno));
        return 1;
    }
    auto_buf struct buf errors = BUF_INIT;
    process.config = load_config(daemon, source, &errors);
    int code = EX_CONFIG;
    if (process.config) {
        status_init(&process.status, daemon, &process.counters);
        code = run_until_stopped(&process);
        status_close(&process.status);
        if (code == 0)
            log_end(&process);
    } else {
        log_refusal(&errors);
    }
    free_config(&process, process.config);
    free_config(&process, process.next_config);
    free_config(&process, process.former_config);
    close(process.signal_fd);
    return code;
}

int daemon_main(const struct daemon *daemon, int argc, char **argv)
{
    open_standard_fds();
    struct cli cli;
    if (!cli_parse(daemon, argc, argv, &cli))
        return EX_USAGE;
    struct config_source source = {
        .path = cli.config_path ? cli.config_path : daemon->default_config,
        .must_exist = cli.config_path != NULL,
    };
    return cli.action == CLI_RUN ? serve(daemon, &source) : cli_answer(daemon, &cli, &source);
}
