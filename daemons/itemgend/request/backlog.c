#include "itemgend/request/backlog.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/log.h"

enum { FIRST_WAIT_MS = 1000, DOUBLINGS_MAX = 16 };

struct parking {
    struct parking_options options;
    int go_fd; /* an eventfd: readable while something can go on, or there is room */
    pthread_mutex_t lock;
    /* Under the lock. */
    struct job *first;
    struct job **end;
    size_t n;
    int64_t *running; /* by packages' list: those taken and not done */
    bool is_readable; /* go_fd */
    /* The registry. */
    int attempts; /* since it went down; 0: it is not known to be down */
    bool is_probed;
    int64_t probe_at_ms;
};

static void free_parking_pointer(struct parking **parking)
{
    parking_free(*parking);
}

int parking_new(const struct parking_options *options, struct parking **ret, struct err *err)
{
    cleanup(free_parking_pointer) struct parking *parking = calloc(1, sizeof(*parking));
    if (!parking)
        return err_no_memory(err);
    pthread_mutex_init(&parking->lock, NULL);
    parking->options = *options;
    parking->end = &parking->first;
    parking->running = calloc(options->packages->n + 1, sizeof(*parking->running));
    parking->go_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    parking->is_readable = true;
    if (!parking->running)
        return err_no_memory(err);
    if (parking->go_fd < 0)
        return err_fatal(err, errno, "cannot make an eventfd");
    *ret = TAKE(parking);
    return 0;
}

void parking_free(struct parking *parking)
{
    if (!parking)
        return;
    for (struct job *job = parking->first; job;) {
        struct job *next = job->next;
        job_free(job);
        job = next;
    }
    base_close_fd(&parking->go_fd);
    pthread_mutex_destroy(&parking->lock);
    free(parking->running);
    free(parking);
}

/* All of the following with the lock held. */

static int64_t *running(const struct parking *parking, const struct job *job)
{
    return &parking->running[job->package - parking->options.packages->list];
}

static bool has_place(const struct parking *parking, const struct job *job)
{
    return !job->package || !job->package->concurrency || *running(parking, job) < job->package->concurrency;
}

static bool is_full(const struct parking *parking)
{
    return parking->n > parking->options.workers;
}

static bool can_go_on(const struct parking *parking, const struct job *job)
{
    return has_place(parking, job) && !(job->awaits_registry && parking->attempts > 0);
}

static bool can_probe(const struct parking *parking, const struct job *job, int64_t now_ms)
{
    return has_place(parking, job) && job->awaits_registry && !parking->is_probed && now_ms >= parking->probe_at_ms;
}

/* Makes go_fd say what is so; after each change. */
static void tell(struct parking *parking)
{
    bool is_readable = !is_full(parking);
    for (const struct job *job = parking->first; job && !is_readable; job = job->next)
        is_readable = can_go_on(parking, job);
    if (is_readable == parking->is_readable)
        return;
    uint64_t count = 1;
    ssize_t n =
        is_readable ? write(parking->go_fd, &count, sizeof(count)) : read(parking->go_fd, &count, sizeof(count));
    (void)n; /* cannot fail: it is empty, or it is not */
    parking->is_readable = is_readable;
}

static void append(struct parking *parking, struct job *job)
{
    job->next = NULL;
    *parking->end = job;
    parking->end = &job->next;
    parking->n++;
    tell(parking);
}

static struct job *remove_at(struct parking *parking, struct job **at)
{
    struct job *job = *at;
    *at = job->next;
    if (!*at)
        parking->end = at;
    parking->n--;
    return job;
}

static void leave_place(struct parking *parking, const struct job *job)
{
    if (job->package)
        (*running(parking, job))--;
}

/* Returns after how many attempts the registry is back; 0: it was not this one that tried. */
static int end_probe(struct parking *parking, struct job *job)
{
    int attempts = job->is_probe ? parking->attempts : 0;
    if (job->is_probe) {
        parking->is_probed = false;
        parking->attempts = 0;
    }
    job->is_probe = false;
    return attempts;
}

/* Whether this is news. What another than the probe finds out once it is known to be down changes nothing. */
static bool note_failure(struct parking *parking, struct job *job, int64_t now_ms)
{
    bool is_news = parking->attempts == 0;
    if (is_news || job->is_probe) {
        int doublings = parking->attempts < DOUBLINGS_MAX ? parking->attempts : DOUBLINGS_MAX;
        int64_t wait_ms = (int64_t)FIRST_WAIT_MS << doublings;
        parking->probe_at_ms =
            now_ms + (wait_ms < parking->options.probe_interval_ms ? wait_ms : parking->options.probe_interval_ms);
        parking->attempts++;
    }
    if (job->is_probe)
        parking->is_probed = false;
    job->is_probe = false;
    job->awaits_registry = true;
    return is_news;
}

/* These take the lock. */

void parking_add(struct parking *parking, struct job *job)
{
    job->package = packages_find(parking->options.packages, job->request.package_name);
    pthread_mutex_lock(&parking->lock);
    append(parking, job);
    pthread_mutex_unlock(&parking->lock);
}

struct job *parking_take(struct parking *parking, int64_t now_ms)
{
    struct job *job = NULL;
    pthread_mutex_lock(&parking->lock);
    for (struct job **at = &parking->first; *at; at = &(*at)->next) {
        bool is_probe = !can_go_on(parking, *at) && can_probe(parking, *at, now_ms);
        if (!is_probe && !can_go_on(parking, *at))
            continue;
        job = remove_at(parking, at);
        job->awaits_registry = false;
        job->is_probe = is_probe;
        parking->is_probed |= is_probe;
        if (job->package)
            (*running(parking, job))++;
        tell(parking);
        break;
    }
    pthread_mutex_unlock(&parking->lock);
    return job;
}

void parking_done(struct parking *parking, struct job *job)
{
    pthread_mutex_lock(&parking->lock);
    leave_place(parking, job);
    int attempts = end_probe(parking, job);
    tell(parking);
    pthread_mutex_unlock(&parking->lock);
    if (attempts > 0)
        log_write(LOG_NOTICE, LOG_EVENT_DEPENDENCY_UP, NULL, "the package registry works again, after %d attempts",
                  attempts);
}

void parking_await_registry(struct parking *parking, struct job *job, const struct err *err, int64_t now_ms)
{
    pthread_mutex_lock(&parking->lock);
    leave_place(parking, job);
    bool is_news = note_failure(parking, job, now_ms);
    append(parking, job);
    pthread_mutex_unlock(&parking->lock);
    if (is_news)
        log_write(LOG_ERR, LOG_EVENT_DEPENDENCY_DOWN, LOG_FIELDS({ "ERROR_CODE", err->code }),
                  "%s; requests that need it wait until it works, and stay invisible; others go on", err->text);
}

bool parking_is_full(struct parking *parking)
{
    pthread_mutex_lock(&parking->lock);
    bool full = is_full(parking);
    pthread_mutex_unlock(&parking->lock);
    return full;
}

int64_t parking_due_in_ms(struct parking *parking, int64_t now_ms, int64_t otherwise_ms)
{
    pthread_mutex_lock(&parking->lock);
    bool is_due = false;
    for (const struct job *job = parking->first; job && !is_due; job = job->next)
        is_due = can_probe(parking, job, INT64_MAX);
    int64_t left_ms = is_due ? parking->probe_at_ms - now_ms : otherwise_ms;
    pthread_mutex_unlock(&parking->lock);
    if (left_ms < 0)
        return 0;
    return left_ms < otherwise_ms ? left_ms : otherwise_ms;
}

bool parking_wait(struct parking *parking, int stop_fd, int64_t deadline_ms)
{
    return wait_fd(parking->go_fd, POLLIN, stop_fd, deadline_ms) == WAIT_READY;
}

struct job *parking_take_any(struct parking *parking)
{
    pthread_mutex_lock(&parking->lock);
    struct job *job = parking->first ? remove_at(parking, &parking->first) : NULL;
    tell(parking);
    pthread_mutex_unlock(&parking->lock);
    return job;
}
