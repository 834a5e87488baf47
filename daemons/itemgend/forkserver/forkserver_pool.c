#include "itemgend/forkserver/forkserver_pool.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "daemon/log.h"
#include "itemgend/sandbox/libexec.h"

enum {
    TICK_MS = 1000,
    SPARE = 4, /* idle servers besides one for each worker; each has the memory of an imported package */
};

enum state {
    ASKED_FOR, /* the pool's thread will start it */
    STARTED,   /* the worker that asked for it waits until it is ready */
    READY,
    RETIRED, /* takes no more items; the thread ends it after its last one */
};

/* A server, from the first request for it until the pool's thread has ended it. */
struct entry {
    struct entry *next;
    const struct venv *venv; /* held */
    char *place;
    struct limits limits; /* of the import */
    struct forkserver server;
    enum state state;
    int settled_fd; /* an eventfd, readable once the start has succeeded or failed */
    int result;     /* of the start, with err */
    struct err err;
    size_t users;
    int64_t items, started_at_ms, used_at_ms;
    const char *reason; /* why it was retired */
};

struct forkserver_pool {
    const struct itemgend_options *options;
    const struct sandbox *sandbox;
    struct venv_cache *venvs;
    char *program;
    pthread_t thread; /* starts all servers: they end when it ends */
    bool has_thread;

    pthread_mutex_t lock; /* of all that follows, and of the entries except their servers */
    pthread_cond_t changed;
    struct entry *entries;
    bool closing;
};

/* ------------------------------------------------- the table: with the lock held */

static void retire(struct entry *entry, const char *reason)
{
    if (entry->state != RETIRED)
        entry->reason = reason;
    entry->state = RETIRED;
}

static void settle_start(struct forkserver_pool *pool, struct entry *entry, int result, const struct err *err)
{
    entry->result = result;
    if (result != 0) {
        entry->err = *err;
        retire(entry, "it could not be started");
    } else if (entry->state != RETIRED) {
        entry->state = READY;
    }
    uint64_t one = 1;
    ssize_t n = write(entry->settled_fd, &one, sizeof(one));
    (void)n; /* it can fail only if it is readable already */
    pthread_cond_broadcast(&pool->changed);
}

/* A server that can take another item; NULL: none. Retires those that should take no more. */
static struct entry *find(struct forkserver_pool *pool, const struct venv *venv)
{
    const struct itemgend_options *options = pool->options;
    struct entry *found = NULL;
    for (struct entry *entry = pool->entries; entry; entry = entry->next) {
        if (entry->state == RETIRED || strcmp(entry->venv->requirement, venv->requirement) != 0)
            continue;
        bool is_same = strcmp(entry->venv->directory, venv->directory) == 0;
        if (entry->state != READY)
            found = is_same ? entry : found;
        else if (!is_same)
            retire(entry, "its environment was built again");
        else if (entry->items >= options->server_items)
            retire(entry, "it has made server_items");
        else if (time_mono_ms() - entry->started_at_ms > options->server_age_ms)
            retire(entry, "it is server_age old");
        else
            found = entry;
    }
    return found;
}

/* NULL: no memory, or no file descriptors. */
static struct entry *ask_for_server(struct forkserver_pool *pool, const struct venv *venv, const char *place,
                                    const struct limits *limits)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    char *copy = strdup(place);
    int settled_fd = eventfd(0, EFD_CLOEXEC);
    if (!entry || !copy || settled_fd < 0) {
        free(entry);
        free(copy);
        base_close_fd(&settled_fd);
        return NULL;
    }
    venv_cache_hold(pool->venvs, venv);
    *entry = (struct entry){ .next = pool->entries,
                             .venv = venv,
                             .place = copy,
                             .limits = *limits,
                             .server = FORKSERVER_INIT,
                             .settled_fd = settled_fd,
                             .started_at_ms = time_mono_ms() };
    pool->entries = entry;
    pthread_cond_broadcast(&pool->changed);
    return entry;
}

/* --------------------------------------------------------------- for a worker */

static struct forkserver_start start_of(const struct forkserver_pool *pool, const struct entry *entry)
{
    return (struct forkserver_start){ .venv = entry->venv,
                                      .sandbox = pool->sandbox,
                                      .program = pool->program,
                                      .place = entry->place,
                                      .limits = &entry->limits };
}

static void log_started(const struct entry *entry)
{
    char duration[24], pid[24];
    snprintf(duration, sizeof(duration), "%" PRId64, entry->server.import_ms);
    snprintf(pid, sizeof(pid), "%d", (int)entry->server.pid);
    log_write(LOG_INFO, LOG_EVENT_SERVER_STARTED,
              LOG_FIELDS({ "PACKAGE", entry->venv->requirement }, { "SERVER_PID", pid }, { "DURATION_MS", duration }),
              "process %s has imported %s in %s ms; its items %s", pid, entry->venv->requirement, duration,
              entry->server.apart ? "are isolated from each other" : "can see each other");
}

/* For the worker that asked for the server: waits for the import. */
static void bring_up(struct forkserver_pool *pool, struct entry *entry, int stop_fd)
{
    pthread_mutex_lock(&pool->lock);
    while (entry->state == ASKED_FOR) /* the thread starts it without waiting for anything */
        pthread_cond_wait(&pool->changed, &pool->lock);
    bool started = entry->state == STARTED;
    pthread_mutex_unlock(&pool->lock);
    if (!started)
        return;
    struct err err = ERR_INIT;
    struct forkserver_start start = start_of(pool, entry);
    int r = forkserver_wait_ready(&entry->server, &start, stop_fd, &err);
    if (r == 0)
        log_started(entry);
    pthread_mutex_lock(&pool->lock);
    settle_start(pool, entry, r, &err);
    pthread_mutex_unlock(&pool->lock);
}

/* The result of the start, which all workers share that wait for this server. */
static int await_start(struct forkserver_pool *pool, struct entry *entry, int stop_fd, struct err *err)
{
    if (wait_fd(entry->settled_fd, POLLIN, stop_fd, INT64_MAX) == WAIT_STOPPED)
        return err_later(err, "interrupted", "create-item was interrupted because the service stops");
    pthread_mutex_lock(&pool->lock);
    int r = entry->result;
    if (r != 0)
        *err = entry->err;
    pthread_mutex_unlock(&pool->lock);
    return r;
}

int forkserver_pool_run(struct forkserver_pool *pool, const struct venv *venv, const char *place,
                        const struct forkserver_job *job, struct command_result *ret, struct err *err)
{
    pthread_mutex_lock(&pool->lock);
    struct entry *entry = find(pool, venv);
    bool is_new = !entry;
    if (is_new)
        entry = ask_for_server(pool, venv, place, job->limits);
    if (entry) {
        entry->users++;
        entry->items++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!entry)
        return err_no_memory(err);

    if (is_new)
        bring_up(pool, entry, job->stop_fd);
    int r = await_start(pool, entry, job->stop_fd, err);
    bool has_failed = false;
    if (r == 0) {
        r = forkserver_run(&entry->server, job, ret, err);
        has_failed = r != 0 && !err_is(err, "interrupted");
        if (has_failed)
            forkserver_kill(&entry->server);
        else
            has_failed = forkserver_has_ended(&entry->server);
    }

    pthread_mutex_lock(&pool->lock);
    if (has_failed)
        retire(entry, "it has failed");
    entry->users--;
    entry->used_at_ms = time_mono_ms();
    if (entry->state == RETIRED)
        pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    return r;
}

/* ------------------------------------------------------------------ the thread */

static void start(struct forkserver_pool *pool, struct entry *entry)
{
    struct err err = ERR_INIT;
    struct forkserver_start start = start_of(pool, entry);
    int r = forkserver_start(&start, &entry->server, &err);
    pthread_mutex_lock(&pool->lock);
    if (r == 0) {
        entry->state = STARTED;
        pthread_cond_broadcast(&pool->changed);
    } else {
        settle_start(pool, entry, r, &err);
    }
    pthread_mutex_unlock(&pool->lock);
}

static void end(struct forkserver_pool *pool, struct entry *entry)
{
    if (entry->server.pid) {
        char pid[24], items[24];
        snprintf(pid, sizeof(pid), "%d", (int)entry->server.pid);
        snprintf(items, sizeof(items), "%" PRId64, entry->items);
        log_write(LOG_INFO, LOG_EVENT_SERVER_ENDED,
                  LOG_FIELDS({ "PACKAGE", entry->venv->requirement }, { "SERVER_PID", pid }, { "ITEMS", items }),
                  "ending process %s of %s after %s items: %s", pid, entry->venv->requirement, items, entry->reason);
    }
    forkserver_clear(&entry->server);
    venv_cache_release(pool->venvs, entry->venv);
    base_close_fd(&entry->settled_fd);
    free(entry->place);
    free(entry);
}

/* With the lock held: no item is made in it, and none will be. */
static bool is_over(const struct forkserver_pool *pool, struct entry *entry)
{
    if (entry->users > 0 || entry->state == ASKED_FOR || entry->state == STARTED)
        return false;
    if (pool->closing)
        retire(entry, "the service stops");
    else if (forkserver_has_ended(&entry->server))
        retire(entry, "it has ended by itself");
    else if (time_mono_ms() - entry->used_at_ms >= pool->options->server_idle_ms)
        retire(entry, "it was idle for server_idle");
    return entry->state == RETIRED;
}

/* With the lock held: retires the least recently used server if more are idle than the pool keeps. */
static void retire_surplus(struct forkserver_pool *pool)
{
    struct entry *oldest = NULL;
    int64_t n = 0;
    for (struct entry *entry = pool->entries; entry; entry = entry->next) {
        if (entry->state != READY || entry->users > 0)
            continue;
        n++;
        if (!oldest || entry->used_at_ms < oldest->used_at_ms)
            oldest = entry;
    }
    if (oldest && n > pool->options->common.workers + SPARE)
        retire(oldest, "more servers were idle than are kept");
}

/* With the lock held: a server to start, or else a server to end, which is taken out of the table; NULL: neither. */
static struct entry *next_to_do(struct forkserver_pool *pool)
{
    for (struct entry *entry = pool->entries; entry; entry = entry->next)
        if (entry->state == ASKED_FOR)
            return entry;
    retire_surplus(pool);
    for (struct entry **at = &pool->entries; *at; at = &(*at)->next) {
        struct entry *entry = *at;
        if (!is_over(pool, entry))
            continue;
        *at = entry->next;
        return entry;
    }
    return NULL;
}

static void wait_for_change(struct forkserver_pool *pool)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += TICK_MS / 1000;
    if (pool->entries)
        pthread_cond_timedwait(&pool->changed, &pool->lock, &until);
    else
        pthread_cond_wait(&pool->changed, &pool->lock);
}

static void *run(void *context)
{
    struct forkserver_pool *pool = context;
    pthread_mutex_lock(&pool->lock);
    while (!pool->closing || pool->entries) {
        struct entry *entry = next_to_do(pool);
        if (!entry) {
            wait_for_change(pool);
            continue;
        }
        pthread_mutex_unlock(&pool->lock);
        if (entry->state == ASKED_FOR)
            start(pool, entry);
        else
            end(pool, entry);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int forkserver_pool_open(const struct itemgend_options *options, const struct sandbox *sandbox,
                         struct venv_cache *venvs, struct forkserver_pool **ret, struct err *err)
{
    struct forkserver_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return err_no_memory(err);
    *pool = (struct forkserver_pool){ .options = options, .sandbox = sandbox, .venvs = venvs };
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int r = libexec_find("forkserver.py", &pool->program, err);
    if (r == 0) {
        int error_number = pthread_create(&pool->thread, NULL, run, pool);
        pool->has_thread = error_number == 0;
        r = error_number == 0 ? 0 : err_fatal(err, error_number, "cannot start a thread");
    }
    if (r != 0)
        forkserver_pool_close(pool);
    else
        *ret = pool;
    return r;
}

void forkserver_pool_close(struct forkserver_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    if (pool->has_thread)
        pthread_join(pool->thread, NULL);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool->program);
    free(pool);
}
