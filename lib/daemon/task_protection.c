#include "daemon/task_protection.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/json.h"
#include "base/time.h"
#include "daemon/log.h"
#include "http/http.h"

enum {
    LOOK_MS = 1000,
    IDLE_MS = 30 * 1000,
    EXPIRES_MINUTES = 10,
    EXPIRES_MS = EXPIRES_MINUTES * 60 * 1000,
    AGAIN_MS = 60 * 1000,
    TIMEOUT_MS = 2000,
    CONNECT_TIMEOUT_MS = 1000,
    ANSWER_MAX = 64 * 1024,
};

struct task_protection {
    const struct service_counters *counters;
    int64_t received; /* as of the last look */
    char *url;
    int stop_fd;                 /* an eventfd */
    struct http *http;           /* ends with stop_fd */
    struct http *last_http;      /* for the release at the end, which does not */
    struct protection_plan plan; /* the thread's until it has ended */
    const char *refusal;         /* the code of the last refusal, as logged; NULL: it works */
    pthread_t thread;
    bool is_started;
};

/* ------------------------------------------------------------ its decisions */

enum protection_call protection_next(struct protection_plan *plan, int64_t now_ms, bool is_busy)
{
    if (is_busy)
        plan->busy_until_ms = now_ms + IDLE_MS;
    if (now_ms < plan->busy_until_ms)
        return now_ms >= plan->on_at_ms ? PROTECTION_ON : PROTECTION_NOTHING;
    return now_ms < plan->protected_until_ms && now_ms >= plan->off_at_ms ? PROTECTION_OFF : PROTECTION_NOTHING;
}

void protection_note(struct protection_plan *plan, int64_t now_ms, enum protection_call call,
                     enum protection_answer answer)
{
    if (call == PROTECTION_ON) {
        plan->on_at_ms = now_ms + (answer == PROTECTION_DONE ? EXPIRES_MS / 2 : AGAIN_MS);
        if (answer != PROTECTION_REFUSED)
            plan->protected_until_ms = now_ms + EXPIRES_MS;
        return;
    }
    plan->off_at_ms = now_ms + AGAIN_MS;
    if (answer == PROTECTION_DONE)
        plan->protected_until_ms = plan->off_at_ms = 0;
    if (answer != PROTECTION_REFUSED)
        plan->on_at_ms = 0;
}

static enum protection_answer refuse(const char *reason, int status, const char *text, struct err *err)
{
    const char *code = strcmp(reason, "DEPLOYMENT_BLOCKED") == 0 ? "deployment_blocked"
                       : strcmp(reason, "TASK_NOT_VALID") == 0   ? "task_not_valid"
                                                                 : "task_protection_failed";
    (void)err_later(err, code, "ECS answers %d %s%s%s", status, reason, text ? ": " : "", text ? text : "");
    return PROTECTION_REFUSED;
}

enum protection_answer protection_read(int status, const char *body, size_t len, struct err *err)
{
    auto_json cJSON *json = NULL;
    if (json_parse(body, len, &json, NULL) != 0)
        return refuse("without JSON", status, NULL, err);
    const cJSON *failure = json_get(json, "failure"), *error = json_get(json, "error");
    const char *reason = json_get_string(failure, "Reason"), *code = json_get_string(error, "Code");
    if (reason)
        return refuse(reason, status, json_get_string(failure, "Detail"), err);
    if (code)
        return refuse(code, status, json_get_string(error, "Message"), err);
    return status == 200 && json_get(json, "protection") ? PROTECTION_DONE
                                                         : refuse("without a protection", status, NULL, err);
}

/* ------------------------------------------------------------ the thread */

static enum protection_answer ask(const struct task_protection *protection, struct http *http,
                                  enum protection_call call, struct err *err)
{
    static const struct http_header json = { "Content-Type", "application/json" };
    char body[96];
    if (call == PROTECTION_ON)
        snprintf(body, sizeof(body), "{\"ProtectionEnabled\":true,\"ExpiresInMinutes\":%d}", EXPIRES_MINUTES);
    else
        snprintf(body, sizeof(body), "{\"ProtectionEnabled\":false}");
    const struct http_request request = { .method = "PUT",
                                          .url = protection->url,
                                          .headers = &json,
                                          .n_headers = 1,
                                          .body = body,
                                          .body_len = strlen(body),
                                          .timeout_ms = TIMEOUT_MS,
                                          .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                          .max_response = ANSWER_MAX,
                                          .no_proxy = true };
    auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
    int r = http_do(http, &request, &response, err);
    if (r != 0)
        return r == LATER ? PROTECTION_UNKNOWN : PROTECTION_REFUSED;
    return protection_read(response.status, buf_str(&response.body), response.body.len, err);
}

/* Logs each refusal once, until there is a different answer. */
static void log_refusal(struct task_protection *protection, const struct err *err)
{
    const char *code = err->code ? err->code : "task_protection_failed";
    bool is_expected = err_is(err, "deployment_blocked") || err_is(err, "task_not_valid");
    if (err_is(err, "interrupted") || (protection->refusal && strcmp(protection->refusal, code) == 0))
        return;
    protection->refusal = code;
    log_write(is_expected ? LOG_NOTICE : LOG_WARNING, LOG_EVENT_TASK_PROTECTION, LOG_FIELDS({ "ERROR_CODE", code }),
              "cannot change the task's protection from scale-in, work goes on: %s", err->text);
}

static void change(struct task_protection *protection, struct http *http, enum protection_call call)
{
    struct err err = ERR_INIT;
    bool was_protected = time_mono_ms() < protection->plan.protected_until_ms, is_protected = call == PROTECTION_ON;
    enum protection_answer answer = ask(protection, http, call, &err);
    protection_note(&protection->plan, time_mono_ms(), call, answer);
    if (answer != PROTECTION_DONE) {
        log_refusal(protection, &err);
        return;
    }
    protection->refusal = NULL;
    if (is_protected != was_protected)
        log_write(LOG_INFO, LOG_EVENT_TASK_PROTECTION, NULL,
                  is_protected ? "the task is protected from scale-in while it has messages"
                               : "the task is not protected from scale-in any longer: it has no messages");
}

/* Messages that came and were settled since the last look count too. */
static bool is_busy(struct task_protection *protection)
{
    int64_t before = protection->received;
    protection->received = protection->counters->received;
    return protection->counters->held > 0 || protection->received != before;
}

static void *watch(void *context)
{
    struct task_protection *protection = context;
    while (wait_fd(-1, 0, protection->stop_fd, time_mono_ms() + LOOK_MS) != WAIT_STOPPED) {
        enum protection_call call = protection_next(&protection->plan, time_mono_ms(), is_busy(protection));
        if (call != PROTECTION_NOTHING)
            change(protection, protection->http, call);
    }
    return NULL;
}

static int start(struct task_protection *protection, const char *agent, struct err *err)
{
    auto_buf struct buf url = BUF_INIT;
    buf_printf(&url, "%s/task-protection/v1/state", agent);
    protection->url = buf_take(&url);
    if (!protection->url)
        return err_no_memory(err);
    protection->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (protection->stop_fd < 0)
        return err_fatal(err, errno, "eventfd");
    int r = http_new(protection->stop_fd, &protection->http, err);
    if (r == 0)
        r = http_new(-1, &protection->last_http, err);
    if (r != 0)
        return r;
    int error = pthread_create(&protection->thread, NULL, watch, protection);
    if (error != 0)
        return err_fatal(err, error, "cannot start the thread of the task protection");
    pthread_setname_np(protection->thread, "task protection");
    protection->is_started = true;
    return 0;
}

int task_protection_start(const struct service_counters *counters, struct task_protection **ret, struct err *err)
{
    const char *agent = getenv("ECS_AGENT_URI");
    *ret = NULL;
    if (!agent || !*agent)
        return 0;
    struct task_protection *protection = calloc(1, sizeof(*protection));
    if (!protection)
        return err_no_memory(err);
    protection->counters = counters;
    protection->received = counters->received;
    protection->stop_fd = -1;
    int r = start(protection, agent, err);
    if (r != 0)
        task_protection_stop(protection);
    else
        *ret = protection;
    return r;
}

static void end_thread(struct task_protection *protection)
{
    uint64_t one = 1;
    ssize_t n = write(protection->stop_fd, &one, sizeof(one));
    (void)n; /* the first write cannot fail */
    pthread_join(protection->thread, NULL);
    if (time_mono_ms() < protection->plan.protected_until_ms)
        change(protection, protection->last_http, PROTECTION_OFF);
}

void task_protection_stop(struct task_protection *protection)
{
    if (!protection)
        return;
    if (protection->is_started)
        end_thread(protection);
    http_free(protection->http);
    http_free(protection->last_http);
    base_close_fd(&protection->stop_fd);
    free(protection->url);
    free(protection);
}
