#include "daemon/service_run.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/time.h"

enum { PULSE_MS = 60 * 1000 };

static void set_event(int fd)
{
    uint64_t one = 1;
    /* Fails only if the counter is full, and then the descriptor is readable already. */
    ssize_t n = write(fd, &one, sizeof(one));
    (void)n;
}

static void clear_event(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));
    (void)n;
}

const struct daemon_config *daemon_config_of(const struct daemon *daemon, const void *config)
{
    return (const struct daemon_config *)((const char *)config + daemon->config_offset);
}

int service_drain_fd(const struct service *service)
{
    return service->drain_fd;
}

int service_abort_fd(const struct service *service)
{
    return service->abort_fd;
}

bool service_is_draining(const struct service *service)
{
    return service->is_draining;
}

struct service_counters *service_counters(struct service *service)
{
    return service->counters;
}

void service_run_drain(struct service *service)
{
    service->is_draining = true;
    set_event(service->drain_fd);
}

void service_run_abort(struct service *service)
{
    service->is_aborting = true;
    set_event(service->abort_fd);
}

void service_run_unpoke(struct service *service)
{
    clear_event(service->poke_fd);
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct service *service = worker->service;
    worker->result = worker->work(worker, &worker->err);
    worker->has_ended = true;
    set_event(service->worker_fd);
    return NULL;
}

int service_start(struct service *service, struct worker *worker, struct err *err)
{
    worker->service = service;
    worker->has_ended = false;
    worker->waits_for = NULL;
    worker->result = 0;
    worker->err = (struct err)ERR_INIT;
    service_pulse(worker, PULSE_MS);
    int error = pthread_create(&worker->thread, NULL, work, worker);
    worker->started = error == 0;
    if (error != 0) {
        worker->result = err_fatal(&worker->err, error, "cannot start its thread");
        *err = worker->err;
        err_prefix(err, "%s", worker->name);
        return worker->result;
    }
    char name[16]; /* the limit of pthread_setname_np */
    snprintf(name, sizeof(name), "%s", worker->name);
    pthread_setname_np(worker->thread, name);
    return 0;
}

void service_join(struct worker *worker)
{
    if (worker->started)
        pthread_join(worker->thread, NULL);
    worker->started = false;
}

void service_pulse(struct worker *worker, int64_t within_ms)
{
    worker->due_at_ms = within_ms == INT64_MAX ? INT64_MAX : time_mono_ms() + within_ms;
}

static void lend_workers(struct service *service, struct worker *workers, size_t n)
{
    pthread_mutex_lock(&service->lock);
    service->workers = workers;
    service->n_workers = n;
    pthread_mutex_unlock(&service->lock);
}

static bool is_working(const struct worker *worker)
{
    return worker->started && !worker->has_ended;
}

static size_t count_working(const struct worker *workers, size_t n)
{
    size_t working = 0;
    for (size_t i = 0; i < n; i++)
        working += is_working(&workers[i]);
    return working;
}

int service_wait(struct service *service, struct worker *workers, size_t n, struct err *err)
{
    lend_workers(service, workers, n);
    size_t working = count_working(workers, n);
    service->is_ready = working == n;
    set_event(service->poke_fd);
    for (; working > 0 || !service->is_draining; working = count_working(workers, n)) {
        if (working < n && !service->is_draining) {
            service->has_failed = true;
            set_event(service->poke_fd);
        }
        /* Without a deadline: the main thread watches those. */
        wait_fd(service->worker_fd, POLLIN, service->is_draining ? -1 : service->drain_fd, INT64_MAX);
        clear_event(service->worker_fd);
    }
    lend_workers(service, NULL, 0);
    int result = 0;
    for (size_t i = 0; i < n; i++) {
        service_join(&workers[i]);
        if (result == 0 && workers[i].result != 0) {
            result = workers[i].result;
            *err = workers[i].err;
            err_prefix(err, "%s", workers[i].name);
        }
    }
    return result;
}

static void add_name(const char *name, struct buf *ret)
{
    buf_printf(ret, "%s%s", ret->len > 0 ? ", " : "", name);
}

size_t service_run_busy(struct service *service, struct buf *ret)
{
    size_t n = 0;
    pthread_mutex_lock(&service->lock);
    for (size_t i = 0; i < service->n_workers; i++) {
        if (!is_working(&service->workers[i]))
            continue;
        add_name(service->workers[i].name, ret);
        n++;
    }
    pthread_mutex_unlock(&service->lock);
    return n;
}

size_t service_run_overdue(struct service *service, int64_t now_ms, struct buf *ret)
{
    size_t n = 0;
    pthread_mutex_lock(&service->lock);
    for (size_t i = 0; i < service->n_workers; i++) {
        if (!is_working(&service->workers[i]) || service->workers[i].due_at_ms >= now_ms)
            continue;
        add_name(service->workers[i].name, ret);
        n++;
    }
    pthread_mutex_unlock(&service->lock);
    return n;
}

size_t service_run_waiting(struct service *service, struct buf *ret)
{
    size_t n = 0;
    pthread_mutex_lock(&service->lock);
    for (size_t i = 0; i < service->n_workers; i++) {
        const char *code = service->workers[i].waits_for;
        if (!is_working(&service->workers[i]) || !code)
            continue;
        add_name(service->workers[i].name, ret);
        buf_printf(ret, " (%s)", code);
        n++;
    }
    pthread_mutex_unlock(&service->lock);
    return n;
}

static void *run(void *context)
{
    struct service *service = context;
    service->result = service->daemon->run(service->config, service, &service->err);
    service->has_ended = true;
    set_event(service->poke_fd);
    return NULL;
}

static void free_service(struct service *service)
{
    base_close_fd(&service->drain_fd);
    base_close_fd(&service->abort_fd);
    base_close_fd(&service->poke_fd);
    base_close_fd(&service->worker_fd);
    pthread_mutex_destroy(&service->lock);
    free(service);
}

static int start(struct service *service, struct err *err)
{
    int *const events[] = { &service->drain_fd, &service->abort_fd, &service->poke_fd, &service->worker_fd };
    for (size_t i = 0; i < N_ELEMENTS(events); i++) {
        *events[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (*events[i] < 0)
            return err_fatal(err, errno, "eventfd");
    }
    int error = pthread_create(&service->thread, NULL, run, service);
    return error == 0 ? 0 : err_fatal(err, error, "cannot start a thread");
}

int service_run_start(const struct daemon *daemon, const void *config, struct service_counters *counters,
                      struct service **ret, struct err *err)
{
    struct service *service = calloc(1, sizeof(*service));
    if (!service)
        return err_no_memory(err);
    service->daemon = daemon;
    service->config = config;
    service->counters = counters;
    service->drain_fd = service->abort_fd = service->poke_fd = service->worker_fd = -1;
    pthread_mutex_init(&service->lock, NULL);
    int result = start(service, err);
    if (result != 0)
        free_service(service);
    else
        *ret = service;
    return result;
}

void service_run_end(struct service *service)
{
    pthread_join(service->thread, NULL);
    free_service(service);
}
