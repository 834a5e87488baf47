/* service: a daemon whose workers only behave well or badly, for the tests of lib/daemon. */
#include <stdio.h>

#include "base/time.h"
#include "daemon/log.h"
#include "worker/outage.h"
#include "daemon/service.h"

enum { WORKERS_MAX = 8 };

struct settings {
    int64_t workers;
    int behaviour;
    struct daemon_config daemon;
};

enum { WAIT, SLOW, STUCK, FAIL, FATAL, END, OVERDUE, REFUSE, START_WAITS, HOLD, HOLD_ONCE, OUTAGE, IDLE };
static const char *const behaviours[] = { "wait",   "slow",        "stuck", "fail",      "fatal",  "end",  "overdue",
                                          "refuse", "start_waits", "hold",  "hold_once", "outage", "idle", NULL };

static const struct config_key keys[] = {
    { "workers", CONFIG_INT, offsetof(struct settings, workers), 1, WORKERS_MAX, .default_text = "2",
      .help = "How many." },
    { "behaviour", CONFIG_CHOICE, offsetof(struct settings, behaviour), .choices = behaviours, .default_text = "wait",
      .help = "Behaviour of the last worker; the others wait." },
    DAEMON_CONFIG_KEYS(struct settings, daemon, "How long a stop waits for the work in progress."),
};

static void check(const void *config, struct buf *errors)
{
    daemon_config_check(&((const struct settings *)config)->daemon, errors);
}

static const struct config_schema schema = {
    .prefix = "TOOL_SERVICE", .keys = keys, .n_keys = N_ELEMENTS(keys), .size = sizeof(struct settings), .check = check
};

static bool describe(const void *config, struct buf *ret)
{
    buf_printf(ret, "the last worker will %s\n", behaviours[((const struct settings *)config)->behaviour]);
    return true;
}

/* One that does not end. */
static void wait_out(struct worker *worker)
{
    struct outage outage = { .worker = worker, .probe_interval_ms = 100 };
    struct err err = ERR_INIT;
    int result;
    do
        result = err_outage(&err, "database_unavailable", "the server does not answer");
    while (outage_wait(&outage, result, &err));
}

static void hold(struct service *service, int64_t until_ms)
{
    service_counters(service)->held++;
    wait_fd(-1, 0, service_drain_fd(service), until_ms);
    service_counters(service)->held--;
}

static int work(struct worker *worker, struct err *err)
{
    int behaviour = *(const int *)worker->context;
    struct service *service = worker->service;
    service_counters(service)->received += behaviour != IDLE && behaviour != HOLD && behaviour != HOLD_ONCE;
    service_pulse(worker, behaviour == OVERDUE ? 300 : INT64_MAX);
    int stop_fd = behaviour == SLOW ? service_abort_fd(service) : service_drain_fd(service);
    if (behaviour == FAIL)
        return err_never(err, "no_such_queue", "the queue does not exist; create it");
    if (behaviour == FATAL)
        return err_fatal(err, 12, "cannot allocate");
    if (behaviour == END)
        return 0;
    if (behaviour == OUTAGE)
        wait_out(worker);
    if (behaviour == HOLD || behaviour == HOLD_ONCE)
        hold(service, behaviour == HOLD ? INT64_MAX : time_mono_ms() + 1500);
    wait_fd(-1, 0, behaviour == STUCK ? -1 : stop_fd, INT64_MAX);
    service_counters(service)->done++;
    return behaviour == SLOW ? err_later(err, "interrupted", "interrupted") : 0;
}

static int run(const void *config, struct service *service, struct err *err)
{
    const struct settings *settings = config;
    if (settings->behaviour == REFUSE)
        return err_never(err, "no_such_table", "the table does not exist");
    if (settings->behaviour == START_WAITS) {
        wait_fd(-1, 0, service_drain_fd(service), INT64_MAX);
        return err_later(err, "interrupted", "did not start");
    }
    static const int waits = WAIT;
    struct worker workers[WORKERS_MAX] = { { .name = NULL } };
    char names[WORKERS_MAX][32];
    size_t n = (size_t)settings->workers;
    for (size_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof(names[i]), "worker %zu", i + 1);
        workers[i].name = names[i];
        workers[i].work = work;
        workers[i].context = (void *)(i + 1 == n ? &settings->behaviour : &waits);
    }
    int result = 0;
    for (size_t i = 0; i < n && result == 0; i++)
        result = service_start(service, &workers[i], err);
    return service_wait(service, workers, n, err);
}

int main(int argc, char **argv)
{
    static const struct daemon daemon = {
        .name = "tool-service",
        .summary = "waits",
        .schema = &schema,
        .default_config = "/nowhere/tool-service.yaml",
        .config_offset = offsetof(struct settings, daemon),
        .metrics = METRICS_ITEMLOADD,
        .run = run,
        .describe = describe,
    };
    return daemon_main(&daemon, argc, argv);
}
