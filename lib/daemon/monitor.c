#include "daemon/monitor.h"

#include "base/time.h"
#include "daemon/log.h"
#include "daemon/status_server.h"
#include "daemon/task_protection.h"

enum { WRITE_MS = 60 * 1000 };

void monitor_init(struct monitor *monitor, const struct daemon *daemon, struct service_counters *counters)
{
    *monitor = (struct monitor){ .write_at_ms = INT64_MAX };
    status_init(&monitor->status, daemon, counters);
}

static void stop_server(struct monitor *monitor)
{
    status_server_stop(TAKE(monitor->server));
    free(TAKE(monitor->address));
}

void monitor_close(struct monitor *monitor)
{
    stop_server(monitor);
    status_destroy(&monitor->status);
}

static bool is_set(const char *text)
{
    return text && *text;
}

/* One that listens there already goes on. */
static int serve(struct monitor *monitor, const char *address, struct err *err)
{
    if (monitor->address && is_set(address) && strcmp(monitor->address, address) == 0)
        return 0;
    stop_server(monitor);
    if (!is_set(address))
        return 0;
    monitor->address = strdup(address);
    if (!monitor->address)
        return err_no_memory(err);
    int r = status_server_start(&monitor->status, address, &monitor->server, err);
    if (r != 0) {
        stop_server(monitor);
        err_prefix(err, "metrics_address");
    }
    return r;
}

int monitor_begin(struct monitor *monitor, const struct monitoring *config, struct err *err)
{
    int r = serve(monitor, config->metrics_address, err);
    if (r == 0 && config->task_protection)
        r = task_protection_start(monitor->status.counters, &monitor->protection, err);
    if (r == 0 && is_set(config->metrics_namespace) && log_takes_members()) {
        status_metrics(&monitor->status, &monitor->written);
        monitor->space = config->metrics_namespace;
        monitor->write_at_ms = time_mono_ms() + WRITE_MS;
    }
    return r;
}

void monitor_watch(struct monitor *monitor, struct service *service)
{
    status_watch(&monitor->status, service);
}

static void write_metrics(struct monitor *monitor)
{
    auto_buf struct buf members = BUF_INIT;
    struct metrics metrics;
    status_metrics(&monitor->status, &metrics);
    const struct metrics_document document = { .daemon = monitor->status.daemon,
                                               .space = monitor->space,
                                               .now_ms = time_now_ms() };
    metrics_write_embedded(&document, &metrics, &monitor->written, &members);
    log_write_members(LOG_EVENT_METRICS, &members, "metrics for CloudWatch");
    monitor->written = metrics;
}

void monitor_end(struct monitor *monitor)
{
    task_protection_stop(TAKE(monitor->protection));
    if (monitor->space)
        write_metrics(monitor);
    monitor->space = NULL;
    monitor->write_at_ms = INT64_MAX;
    status_watch(&monitor->status, NULL);
}

int64_t monitor_due_at(const struct monitor *monitor)
{
    return monitor->write_at_ms;
}

void monitor_tick(struct monitor *monitor)
{
    if (time_mono_ms() < monitor->write_at_ms)
        return;
    write_metrics(monitor);
    monitor->write_at_ms += WRITE_MS;
}
