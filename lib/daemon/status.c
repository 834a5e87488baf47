#include "daemon/status.h"

#include "base/time.h"
#include "daemon/service_run.h"

void status_init(struct status *status, const struct daemon *daemon, const struct service_counters *counters)
{
    *status = (struct status){ .daemon = daemon, .counters = counters, .started_at_ms = time_now_ms() };
    pthread_mutex_init(&status->lock, NULL);
}

void status_destroy(struct status *status)
{
    pthread_mutex_destroy(&status->lock);
}

void status_watch(struct status *status, struct service *service)
{
    pthread_mutex_lock(&status->lock);
    status->service = service;
    pthread_mutex_unlock(&status->lock);
}

/* Of a run, with the lock held. */

static bool is_ready(const struct service *service)
{
    return service && service->is_ready && !service->is_draining;
}

static int answer_health(struct service *service, struct buf *ret)
{
    auto_buf struct buf names = BUF_INIT;
    size_t overdue = service ? service_run_overdue(service, time_mono_ms(), &names) : 0;
    if (overdue == 0)
        buf_puts(ret, "healthy\n");
    else
        buf_printf(ret, "no sign of life from %s\n", buf_str(&names));
    return overdue == 0 ? 200 : 503;
}

static int answer_ready(struct service *service, struct buf *ret)
{
    auto_buf struct buf names = BUF_INIT;
    if (!is_ready(service)) {
        buf_puts(ret, service && service->is_draining ? "draining\n" : "starting\n");
        return 503;
    }
    if (service_run_waiting(service, &names) == 0)
        buf_puts(ret, "ready\n");
    else
        buf_printf(ret, "ready; waiting for something to work again: %s\n", buf_str(&names));
    return 200;
}

static void read_metrics(const struct status *status, struct metrics *ret)
{
    auto_buf struct buf names = BUF_INIT; /* nobody asks */
    struct service *service = status->service;
    *ret = (struct metrics){ .started_at_ms = status->started_at_ms, .ready = is_ready(service) };
    metrics_read(status->counters, ret);
    if (!service)
        return;
    ret->workers = (int64_t)service_run_busy(service, &names);
    ret->overdue = (int64_t)service_run_overdue(service, time_mono_ms(), &names);
    ret->waiting = (int64_t)service_run_waiting(service, &names);
}

static int answer_metrics(const struct status *status, struct buf *ret)
{
    struct metrics metrics;
    read_metrics(status, &metrics);
    metrics_write_text(status->daemon, &metrics, ret);
    return 200;
}

/* These take the lock. */

void status_metrics(struct status *status, struct metrics *ret)
{
    pthread_mutex_lock(&status->lock);
    read_metrics(status, ret);
    pthread_mutex_unlock(&status->lock);
}

int status_answer(struct status *status, const char *path, struct buf *ret)
{
    int answer = 404;
    pthread_mutex_lock(&status->lock);
    if (strcmp(path, "/health") == 0)
        answer = answer_health(status->service, ret);
    else if (strcmp(path, "/ready") == 0)
        answer = answer_ready(status->service, ret);
    else if (strcmp(path, "/metrics") == 0)
        answer = answer_metrics(status, ret);
    else
        buf_puts(ret, "there are /health, /ready and /metrics\n");
    pthread_mutex_unlock(&status->lock);
    return answer;
}
