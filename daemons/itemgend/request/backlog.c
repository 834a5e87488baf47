#include "itemgend/request/backlog.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/backoff.h"
#include "daemon/log.h"

enum { FIRST_WAIT_MS = 1000 };

struct backlog {
    struct backlog_options options;
    int go_fd; /* an eventfd: readable while a request can go on, or there is room for another */
    pthread_mutex_t lock;
    /* Under the lock. */
    struct job *first;
    struct job **end;
    size_t n;
    int64_t *running; /* for each entry of packages->list: requests that are taken and not done */
    bool is_readable; /* state of go_fd */
    int attempts;     /* since the registry went down; 0: it works, as far as we know */
    bool is_probed;   /* a worker has the probe */
    int64_t probe_at_ms;
};

static void free_backlog_pointer(struct backlog **backlog)
{
    backlog_free(*backlog);
}

int backlog_new(const struct backlog_options *options, struct backlog **ret, struct err *err)
{
    cleanup(free_backlog_pointer) struct backlog *backlog = calloc(1, sizeof(*backlog));
    if (!backlog)
        return err_no_memory(err);
    pthread_mutex_init(&backlog->lock, NULL);
    backlog->options = *options;
    backlog->end = &backlog->first;
    backlog->running = calloc(options->packages->n + 1, sizeof(*backlog->running));
    backlog->go_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    backlog->is_readable = true;
    if (!backlog->running)
        return err_no_memory(err);
    if (backlog->go_fd < 0)
        return err_fatal(err, errno, "cannot make an eventfd");
    *ret = TAKE(backlog);
    return 0;
}

void backlog_free(struct backlog *backlog)
{
    if (!backlog)
        return;
    for (struct job *job = backlog->first; job;) {
        struct job *next = job->next;
        job_free(job);
        job = next;
    }
    base_close_fd(&backlog->go_fd);
    pthread_mutex_destroy(&backlog->lock);
    free(backlog->running);
    free(backlog);
}

/* The caller of each of these holds the lock. */

static int64_t *running(const struct backlog *backlog, const struct job *job)
{
    return &backlog->running[job->package - backlog->options.packages->list];
}

static bool has_place(const struct backlog *backlog, const struct job *job)
{
    return !job->package || !job->package->concurrency || *running(backlog, job) < job->package->concurrency;
}

static bool is_full(const struct backlog *backlog)
{
    return backlog->n > backlog->options.workers;
}

static bool can_go_on(const struct backlog *backlog, const struct job *job)
{
    return has_place(backlog, job) && !(job->awaits_registry && backlog->attempts > 0);
}

static bool can_probe(const struct backlog *backlog, const struct job *job, int64_t now_ms)
{
    return has_place(backlog, job) && job->awaits_registry && !backlog->is_probed && now_ms >= backlog->probe_at_ms;
}

/* Call it after each change. */
static void update_go_fd(struct backlog *backlog)
{
    bool is_readable = !is_full(backlog);
    for (const struct job *job = backlog->first; job && !is_readable; job = job->next)
        is_readable = can_go_on(backlog, job);
    if (is_readable == backlog->is_readable)
        return;
    uint64_t count = 1;
    ssize_t n =
        is_readable ? write(backlog->go_fd, &count, sizeof(count)) : read(backlog->go_fd, &count, sizeof(count));
    (void)n; /* cannot fail: is_readable knows whether it is empty */
    backlog->is_readable = is_readable;
}

static void append(struct backlog *backlog, struct job *job)
{
    job->next = NULL;
    *backlog->end = job;
    backlog->end = &job->next;
    backlog->n++;
    update_go_fd(backlog);
}

static struct job *remove_at(struct backlog *backlog, struct job **at)
{
    struct job *job = *at;
    *at = job->next;
    if (!*at)
        backlog->end = at;
    backlog->n--;
    return job;
}

static void leave_place(struct backlog *backlog, const struct job *job)
{
    if (job->package)
        (*running(backlog, job))--;
}

/* Each of these takes the lock. */

void backlog_add(struct backlog *backlog, struct job *job)
{
    job->package = packages_find(backlog->options.packages, job->request.package_name);
    pthread_mutex_lock(&backlog->lock);
    append(backlog, job);
    pthread_mutex_unlock(&backlog->lock);
}

struct job *backlog_take(struct backlog *backlog, int64_t now_ms)
{
    struct job *job = NULL;
    pthread_mutex_lock(&backlog->lock);
    for (struct job **at = &backlog->first; *at; at = &(*at)->next) {
        bool is_probe = !can_go_on(backlog, *at) && can_probe(backlog, *at, now_ms);
        if (!is_probe && !can_go_on(backlog, *at))
            continue;
        job = remove_at(backlog, at);
        job->awaits_registry = false;
        job->is_probe = is_probe;
        backlog->is_probed |= is_probe;
        if (job->package)
            (*running(backlog, job))++;
        update_go_fd(backlog);
        break;
    }
    pthread_mutex_unlock(&backlog->lock);
    return job;
}

void backlog_done(struct backlog *backlog, struct job *job)
{
    int attempts = 0; /* after how many the registry works again */
    pthread_mutex_lock(&backlog->lock);
    leave_place(backlog, job);
    if (job->is_probe) {
        attempts = backlog->attempts;
        backlog->attempts = 0;
        backlog->is_probed = job->is_probe = false;
    }
    update_go_fd(backlog);
    pthread_mutex_unlock(&backlog->lock);
    if (attempts > 0)
        log_write(LOG_NOTICE, LOG_EVENT_DEPENDENCY_UP, NULL, "the package registry works again, after %d attempts",
                  attempts);
}

void backlog_await_registry(struct backlog *backlog, struct job *job, const struct err *err, int64_t now_ms)
{
    pthread_mutex_lock(&backlog->lock);
    leave_place(backlog, job);
    bool is_news = backlog->attempts == 0;
    if (is_news || job->is_probe) { /* other requests that fail now say nothing new */
        int64_t wait_ms = backoff_ms(FIRST_WAIT_MS, 2, backlog->options.probe_interval_ms, ++backlog->attempts);
        backlog->probe_at_ms = now_ms + wait_ms;
    }
    if (job->is_probe)
        backlog->is_probed = job->is_probe = false;
    job->awaits_registry = true;
    append(backlog, job);
    pthread_mutex_unlock(&backlog->lock);
    if (is_news)
        log_write(LOG_ERR, LOG_EVENT_DEPENDENCY_DOWN, LOG_FIELDS({ "ERROR_CODE", err->code }),
                  "%s; requests that need the registry wait until it works, their leases are kept; others go on",
                  err->text);
}

bool backlog_is_full(struct backlog *backlog)
{
    pthread_mutex_lock(&backlog->lock);
    bool full = is_full(backlog);
    pthread_mutex_unlock(&backlog->lock);
    return full;
}

int64_t backlog_due_in_ms(struct backlog *backlog, int64_t now_ms, int64_t otherwise_ms)
{
    pthread_mutex_lock(&backlog->lock);
    bool is_due = false;
    for (const struct job *job = backlog->first; job && !is_due; job = job->next)
        is_due = can_probe(backlog, job, INT64_MAX);
    int64_t left_ms = is_due ? backlog->probe_at_ms - now_ms : otherwise_ms;
    pthread_mutex_unlock(&backlog->lock);
    if (left_ms < 0)
        return 0;
    return left_ms < otherwise_ms ? left_ms : otherwise_ms;
}

bool backlog_wait(struct backlog *backlog, int stop_fd, int64_t deadline_ms)
{
    return wait_fd(backlog->go_fd, POLLIN, stop_fd, deadline_ms) == WAIT_READY;
}

struct job *backlog_take_any(struct backlog *backlog)
{
    pthread_mutex_lock(&backlog->lock);
    struct job *job = backlog->first ? remove_at(backlog, &backlog->first) : NULL;
    update_go_fd(backlog);
    pthread_mutex_unlock(&backlog->lock);
    return job;
}
