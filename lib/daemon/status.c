#include "daemon/status.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "base/time.h"
#include "daemon/address.h"
#include "daemon/log.h"
#include "daemon/service_run.h"
#include "daemon/task_protection.h"
#include "http/http.h"

enum {
    CONNECTIONS_MAX = 16,
    CONNECTION_MEMORY = 16 * 1024,
    CONNECTION_TIMEOUT_S = 5,
    TEXT_MS = 3000,
    WRITE_MS = 60 * 1000,
    ASK_TIMEOUT_MS = 3000,
    ASK_ANSWER_MAX = 64 * 1024,
};

/* ------------------------------------------------- the state of the process; with the lock */

static bool is_ready(const struct service *service)
{
    return service && service->is_ready && !service->is_draining;
}

static void read_metrics(const struct status *status, struct metrics *ret)
{
    auto_buf struct buf names = BUF_INIT; /* not used */
    struct service *service = status->service;
    *ret = (struct metrics){ .started_at_ms = status->started_at_ms, .ready = is_ready(service) };
    metrics_read(status->counters, ret);
    if (!service)
        return;
    ret->workers = (int64_t)service_run_busy(service, &names);
    ret->overdue = (int64_t)service_run_overdue(service, time_mono_ms(), &names);
    ret->waiting = (int64_t)service_run_waiting(service, &names);
}

static int answer_health(struct service *service, struct buf *ret)
{
    auto_buf struct buf names = BUF_INIT;
    size_t overdue = service ? service_run_overdue(service, time_mono_ms(), &names) : 0;
    if (overdue == 0)
        buf_puts(ret, "healthy\n");
    else
        buf_printf(ret, "no sign of life from %s\n", buf_str(&names));
    return overdue == 0 ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static int answer_ready(struct service *service, struct buf *ret)
{
    auto_buf struct buf names = BUF_INIT;
    if (!is_ready(service)) {
        buf_puts(ret, service && service->is_draining ? "draining\n" : "starting\n");
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    if (service_run_waiting(service, &names) == 0)
        buf_puts(ret, "ready\n");
    else
        buf_printf(ret, "ready; waiting for something to work again: %s\n", buf_str(&names));
    return MHD_HTTP_OK;
}

/* ------------------------------------------------------------ HTTP, in libmicrohttpd's thread */

/* Returns the HTTP status. */
static int answer_path(struct status *status, const char *path, struct buf *ret)
{
    int code = MHD_HTTP_OK;
    pthread_mutex_lock(&status->lock);
    if (strcmp(path, "/health") == 0) {
        code = answer_health(status->service, ret);
    } else if (strcmp(path, "/ready") == 0) {
        code = answer_ready(status->service, ret);
    } else if (strcmp(path, "/metrics") == 0) {
        struct metrics metrics;
        read_metrics(status, &metrics);
        metrics_write_text(status->daemon, &metrics, ret);
    } else {
        code = MHD_HTTP_NOT_FOUND;
        buf_puts(ret, "there are /health, /ready and /metrics\n");
    }
    pthread_mutex_unlock(&status->lock);
    return code;
}

/* Answers at the first call, without reading a body that may follow. */
static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *body, size_t *body_len, void **request)
{
    (void)version, (void)body, (void)body_len, (void)request;
    auto_buf struct buf text = BUF_INIT;
    int code = MHD_HTTP_METHOD_NOT_ALLOWED;
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
        code = answer_path(context, path, &text);
    else
        buf_puts(&text, "GET and HEAD only\n");
    const char *type =
        strcmp(path, "/metrics") == 0 ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain; charset=utf-8";
    size_t len = text.len;
    char *data = buf_take(&text);
    struct MHD_Response *response = data ? MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!response) {
        free(data);
        return MHD_NO; /* the connection ends */
    }
    bool ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
              MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        ok = ok && MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES;
    enum MHD_Result result = ok ? MHD_queue_response(connection, (unsigned int)code, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static void stop_server(struct status *status)
{
    if (status->server)
        MHD_stop_daemon(TAKE(status->server));
    free(TAKE(status->address));
}

static bool is_set(const char *text)
{
    return text && *text;
}

static int serve(struct status *status, const char *address, struct err *err)
{
    if (status->address && is_set(address) && strcmp(status->address, address) == 0)
        return 0;
    stop_server(status);
    if (!is_set(address))
        return 0;
    int fd;
    int r = address_listen(address, &fd, err);
    if (r != 0)
        return r;
    status->server = MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, answer, status, MHD_OPTION_LISTEN_SOCKET,
        fd, /* closed by it from now on, also if it fails */
        MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)CONNECTION_TIMEOUT_S, MHD_OPTION_END);
    if (!status->server)
        return err_fatal(err, errno ? errno : EAGAIN, "cannot serve %s", address);
    status->address = strdup(address);
    return status->address ? 0 : err_no_memory(err);
}

int status_ask(const char *daemon_name, const char *address)
{
    struct err err = ERR_INIT;
    auto_buf struct buf url = BUF_INIT;
    auto_http struct http *http = NULL;
    auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
    buf_printf(&url, "http://%s/health", address);
    const struct http_request request = { .method = "GET",
                                          .url = buf_str(&url),
                                          .timeout_ms = ASK_TIMEOUT_MS,
                                          .max_response = ASK_ANSWER_MAX,
                                          .no_proxy = true };
    int r = buf_failed(&url) ? err_no_memory(&err) : http_new(-1, &http, &err);
    if (r == 0)
        r = http_do(http, &request, &response, &err);
    if (r != 0) {
        fprintf(stderr, "%s: %s\n", daemon_name, err.text);
        return 1;
    }
    bool is_healthy = response.status == 200;
    if (response.body.data)
        err_make_printable(response.body.data);
    const char *text = buf_str(&response.body);
    fprintf(is_healthy ? stdout : stderr, "%s: %.*s\n", daemon_name, (int)strcspn(text, "\n"), text);
    return is_healthy && fflush(stdout) == 0 ? 0 : 1;
}

/* ------------------------------------------------------------ systemd */

void status_ready(struct status *status)
{
    status->text_at_ms = time_mono_ms();
    sd_notify(0, "READY=1");
}

void status_reloading(struct status *status)
{
    status->text_at_ms = time_mono_ms();
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void status_stopping(struct status *status, int64_t within_ms)
{
    status->text_at_ms = time_mono_ms();
    sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64, within_ms * 1000);
}

static void send_text(struct status *status, const char *state)
{
    const struct service_counters *counters = status->counters;
    char text[sizeof(status->text)];
    snprintf(text, sizeof(text),
             "%s: received %" PRId64 ", done %" PRId64 ", later %" PRId64 ", never %" PRId64 ", returned %" PRId64
             ", items %" PRId64,
             state, counters->received, counters->done, counters->later, counters->never, counters->returned,
             counters->items);
    if (strcmp(text, status->text) == 0)
        return;
    memcpy(status->text, text, sizeof(text));
    sd_notifyf(0, "STATUS=%s", text);
}

/* ------------------------------------------------------------ metrics in the log */

static void write_metrics(struct status *status)
{
    auto_buf struct buf members = BUF_INIT;
    struct metrics metrics;
    pthread_mutex_lock(&status->lock);
    read_metrics(status, &metrics);
    pthread_mutex_unlock(&status->lock);
    const struct metrics_document document = { .daemon = status->daemon,
                                               .space = status->space,
                                               .now_ms = time_now_ms() };
    metrics_write_embedded(&document, &metrics, &status->written, &members);
    log_write_members(LOG_EVENT_METRICS, &members, "metrics for CloudWatch");
    status->written = metrics;
}

/* ------------------------------------------------------------ the life of a process and its runs */

void status_init(struct status *status, const struct daemon *daemon, const struct service_counters *counters)
{
    *status = (struct status){
        .daemon = daemon,
        .counters = counters,
        .started_at_ms = time_now_ms(),
        .ping_interval_ms = INT64_MAX,
        .ping_at_ms = INT64_MAX,
        .text_at_ms = time_mono_ms(),
        .write_at_ms = INT64_MAX,
    };
    pthread_mutex_init(&status->lock, NULL);
    uint64_t watchdog_us = 0;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
        status->ping_interval_ms = watchdog_us < 20000 ? 10 : (int64_t)(watchdog_us / 2000);
        status->ping_at_ms = time_mono_ms();
    }
}

void status_close(struct status *status)
{
    stop_server(status);
    pthread_mutex_destroy(&status->lock);
}

int status_begin(struct status *status, const struct daemon_config *config, struct err *err)
{
    int r = serve(status, config->metrics_address, err);
    if (r != 0) {
        stop_server(status);
        err_prefix(err, "metrics_address");
        return r;
    }
    if (config->task_protection)
        r = task_protection_start(status->counters, &status->protection, err);
    if (r == 0 && is_set(config->metrics_namespace) && log_takes_members()) {
        read_metrics(status, &status->written);
        status->space = config->metrics_namespace;
        status->write_at_ms = time_mono_ms() + WRITE_MS;
    }
    return r;
}

void status_watch(struct status *status, struct service *service)
{
    pthread_mutex_lock(&status->lock);
    status->service = service;
    pthread_mutex_unlock(&status->lock);
}

void status_end(struct status *status)
{
    task_protection_stop(TAKE(status->protection));
    if (status->space)
        write_metrics(status);
    status->space = NULL;
    status->write_at_ms = INT64_MAX;
    status_watch(status, NULL);
}

int64_t status_due_at(const struct status *status)
{
    int64_t due_at_ms = status->text_at_ms;
    if (status->ping_at_ms < due_at_ms)
        due_at_ms = status->ping_at_ms;
    return status->write_at_ms < due_at_ms ? status->write_at_ms : due_at_ms;
}

void status_tick(struct status *status, bool is_alive, const char *state)
{
    int64_t now_ms = time_mono_ms();
    if (now_ms >= status->ping_at_ms) {
        status->ping_at_ms = now_ms + status->ping_interval_ms;
        if (is_alive)
            sd_notify(0, "WATCHDOG=1");
    }
    if (now_ms >= status->text_at_ms) {
        status->text_at_ms = now_ms + TEXT_MS;
        send_text(status, state);
    }
    if (now_ms >= status->write_at_ms) {
        write_metrics(status);
        status->write_at_ms += WRITE_MS;
    }
}
