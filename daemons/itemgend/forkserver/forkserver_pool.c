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
#include "itemgend/forkserver/forkserver.h"

enum {
    TICK_MS = 1000,
    SPARE = 4, /* idle ones beside one for each worker: each takes the memory of an imported package */
};

enum state {
    ASKED_FOR, /* the thread is to start it */
    STARTED,   /* the worker that asked for it waits until it is ready */
    READY,
    RETIRED, /* takes no more items; ended when the last of them is */
};

/* A server, from the first worker that needs it until the thread has ended it. */
struct entry {
    struct entry *next;
    struct environment *environment; /* held */
    char *place;
    struct limits limits; /* for its import */
    struct server server;
    enum state state;
    int settled_fd; /* an eventfd, readable once it is READY or RETIRED */
    int result;     /* of the start, with err */
    struct err err;
    size_t users;
    int64_t items, started_at_ms, used_at_ms;
    const char *reason; /* for its end */
};

struct servers {
    const struct itemgend_options *options;
    const struct sandbox *sandbox;
    struct environments *environments;
    char *program;
    pthread_t thread; /* that starts all of them: they end with it */
    bool has_thread;

    pthread_mutex_t lock; /* of what follows, and of the entries but for their servers */
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

static void settle_start(struct servers *servers, struct entry *entry, int result, const struct err *err)
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
    (void)n; /* it can only be readable already */
    pthread_cond_broadcast(&servers->changed);
}

/* One that takes another item. Those that should take no more are retired on the way. */
static struct entry *find(struct servers *servers, const struct environment *environment)
{
    const struct itemgend_options *options = servers->options;
    struct entry *found = NULL;
    for (struct entry *entry = servers->entries; entry; entry = entry->next) {
        if (entry->state == RETIRED || strcmp(entry->environment->requirement, environment->requirement) != 0)
            continue;
        bool is_its_own = strcmp(entry->environment->directory, environment->directory) == 0;
        if (entry->state != READY)
            found = is_its_own ? entry : found;
        else if (!is_its_own)
            retire(entry, "its environment was made anew");
        else if (entry->items >= options->server_items)
            retire(entry, "it has made server_items");
        else if (time_mono_ms() - entry->started_at_ms > options->server_age_ms)
            retire(entry, "it is server_age old");
        else
            found = entry;
    }
    return found;
}

static struct entry *ask_for_one(struct servers *servers, const struct server_job *job)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    char *place = strdup(job->place);
    int settled_fd = eventfd(0, EFD_CLOEXEC);
    if (!entry || !place || settled_fd < 0) {
        free(entry);
        free(place);
        base_close_fd(&settled_fd);
        return NULL;
    }
    environments_hold(servers->environments, job->environment);
    *entry = (struct entry){ .next = servers->entries,
                             .environment = job->environment,
                             .place = place,
                             .limits = *job->limits,
                             .server = SERVER_INIT,
                             .settled_fd = settled_fd,
                             .started_at_ms = time_mono_ms() };
    servers->entries = entry;
    pthread_cond_broadcast(&servers->changed);
    return entry;
}

/* --------------------------------------------------------------- for a worker */

static struct server_start start_of(const struct servers *servers, const struct entry *entry)
{
    return (struct server_start){ .environment = entry->environment,
                                  .sandbox = servers->sandbox,
                                  .program = servers->program,
                                  .place = entry->place,
                                  .limits = &entry->limits };
}

static void log_started(const struct entry *entry)
{
    char duration[24], pid[24];
    snprintf(duration, sizeof(duration), "%" PRId64, entry->server.import_ms);
    snprintf(pid, sizeof(pid), "%d", (int)entry->server.pid);
    log_write(
        LOG_INFO, LOG_EVENT_SERVER_STARTED,
        LOG_FIELDS({ "PACKAGE", entry->environment->requirement }, { "SERVER_PID", pid }, { "DURATION_MS", duration }),
        "process %s has imported %s in %s ms; its items %s", pid, entry->environment->requirement, duration,
        entry->server.apart ? "are apart from each other" : "could see each other");
}

/* The one who has asked for it sees to it that it becomes ready. */
static void bring_up(struct servers *servers, struct entry *entry, int stop_fd)
{
    pthread_mutex_lock(&servers->lock);
    while (entry->state == ASKED_FOR) /* the thread is quick: it waits for nothing */
        pthread_cond_wait(&servers->changed, &servers->lock);
    bool started = entry->state == STARTED;
    pthread_mutex_unlock(&servers->lock);
    if (!started)
        return;
    struct err err = ERR_INIT;
    struct server_start start = start_of(servers, entry);
    int r = server_wait_ready(&entry->server, &start, stop_fd, &err);
    if (r == 0)
        log_started(entry);
    pthread_mutex_lock(&servers->lock);
    settle_start(servers, entry, r, &err);
    pthread_mutex_unlock(&servers->lock);
}

static void leave(struct servers *servers, struct entry *entry)
{
    pthread_mutex_lock(&servers->lock);
    entry->users--;
    entry->used_at_ms = time_mono_ms();
    if (entry->state == RETIRED)
        pthread_cond_broadcast(&servers->changed);
    pthread_mutex_unlock(&servers->lock);
}

/* Whose start has gone well; to be left. */
static int enter(struct servers *servers, const struct server_job *job, struct entry **ret, struct err *err)
{
    pthread_mutex_lock(&servers->lock);
    struct entry *entry = find(servers, job->environment);
    bool is_new = !entry;
    if (is_new)
        entry = ask_for_one(servers, job);
    if (entry) {
        entry->users++;
        entry->items++;
    }
    pthread_mutex_unlock(&servers->lock);
    if (!entry)
        return err_no_memory(err);
    if (is_new)
        bring_up(servers, entry, job->stop_fd);
    int r = 0;
    if (wait_fd(entry->settled_fd, POLLIN, job->stop_fd, INT64_MAX) == WAIT_STOPPED)
        r = err_later(err, "interrupted", "create-item was interrupted because the service stops");
    pthread_mutex_lock(&servers->lock);
    if (r == 0 && entry->result != 0) {
        *err = entry->err;
        r = entry->result;
    }
    pthread_mutex_unlock(&servers->lock);
    if (r != 0)
        leave(servers, entry);
    else
        *ret = entry;
    return r;
}

/* `failed`: what it said makes no sense, or it ended. */
static void look_after(struct servers *servers, struct entry *entry, bool failed)
{
    if (failed)
        server_kill(&entry->server);
    if (!failed && !server_has_ended(&entry->server))
        return;
    pthread_mutex_lock(&servers->lock);
    retire(entry, "it has failed");
    pthread_mutex_unlock(&servers->lock);
}

int servers_run(struct servers *servers, const struct server_job *job, struct command_result *ret, struct err *err)
{
    struct entry *entry = NULL;
    int r = enter(servers, job, &entry, err);
    if (r != 0 || !entry)
        return r;
    r = server_run(&entry->server, job, ret, err);
    look_after(servers, entry, r != 0 && !err_is(err, "interrupted"));
    leave(servers, entry);
    return r;
}

/* ------------------------------------------------------------------ the thread */

static void start(struct servers *servers, struct entry *entry)
{
    struct err err = ERR_INIT;
    struct server_start start = start_of(servers, entry);
    int r = server_start(&start, &entry->server, &err);
    pthread_mutex_lock(&servers->lock);
    if (r == 0) {
        entry->state = STARTED;
        pthread_cond_broadcast(&servers->changed);
    } else {
        settle_start(servers, entry, r, &err);
    }
    pthread_mutex_unlock(&servers->lock);
}

static void end(struct servers *servers, struct entry *entry)
{
    if (entry->server.pid) {
        char pid[24], items[24];
        snprintf(pid, sizeof(pid), "%d", (int)entry->server.pid);
        snprintf(items, sizeof(items), "%" PRId64, entry->items);
        log_write(LOG_INFO, LOG_EVENT_SERVER_ENDED,
                  LOG_FIELDS({ "PACKAGE", entry->environment->requirement }, { "SERVER_PID", pid }, { "ITEMS", items }),
                  "process %s of %s is ended after %s items: %s", pid, entry->environment->requirement, items,
                  entry->reason);
    }
    server_clear(&entry->server);
    environments_release(servers->environments, entry->environment);
    base_close_fd(&entry->settled_fd);
    free(entry->place);
    free(entry);
}

/* With the lock held: what nobody uses and nobody will. */
static bool is_over(const struct servers *servers, struct entry *entry)
{
    if (entry->users > 0 || entry->state == ASKED_FOR || entry->state == STARTED)
        return false;
    if (servers->closing)
        retire(entry, "the service stops");
    else if (server_has_ended(&entry->server))
        retire(entry, "it has ended by itself");
    else if (time_mono_ms() - entry->used_at_ms >= servers->options->server_idle_ms)
        retire(entry, "it was idle for server_idle");
    return entry->state == RETIRED;
}

/* With the lock held: of more idle ones than are kept, the one that was used longest ago. */
static void retire_surplus(struct servers *servers)
{
    struct entry *oldest = NULL;
    int64_t n = 0;
    for (struct entry *entry = servers->entries; entry; entry = entry->next) {
        if (entry->state != READY || entry->users > 0)
            continue;
        n++;
        if (!oldest || entry->used_at_ms < oldest->used_at_ms)
            oldest = entry;
    }
    if (oldest && n > servers->options->common.workers + SPARE)
        retire(oldest, "others were used since");
}

/* With the lock held: one to be started, else one to be ended, which is taken out of the table; NULL: none. */
static struct entry *next_to_do(struct servers *servers)
{
    for (struct entry *entry = servers->entries; entry; entry = entry->next)
        if (entry->state == ASKED_FOR)
            return entry;
    retire_surplus(servers);
    for (struct entry **at = &servers->entries; *at; at = &(*at)->next) {
        struct entry *entry = *at;
        if (!is_over(servers, entry))
            continue;
        *at = entry->next;
        return entry;
    }
    return NULL;
}

static void wait_for_change(struct servers *servers)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += TICK_MS / 1000;
    if (servers->entries)
        pthread_cond_timedwait(&servers->changed, &servers->lock, &until);
    else
        pthread_cond_wait(&servers->changed, &servers->lock);
}

static void *run(void *context)
{
    struct servers *servers = context;
    pthread_mutex_lock(&servers->lock);
    while (!servers->closing || servers->entries) {
        struct entry *entry = next_to_do(servers);
        if (!entry) {
            wait_for_change(servers);
            continue;
        }
        pthread_mutex_unlock(&servers->lock);
        if (entry->state == ASKED_FOR)
            start(servers, entry);
        else
            end(servers, entry);
        pthread_mutex_lock(&servers->lock);
    }
    pthread_mutex_unlock(&servers->lock);
    return NULL;
}

int servers_open(const struct itemgend_options *options, const struct sandbox *sandbox,
                 struct environments *environments, struct servers **ret, struct err *err)
{
    struct servers *servers = calloc(1, sizeof(*servers));
    if (!servers)
        return err_no_memory(err);
    *servers = (struct servers){ .options = options, .sandbox = sandbox, .environments = environments };
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&servers->lock, NULL);
    pthread_cond_init(&servers->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int r = libexec_find("forkserver.py", &servers->program, err);
    if (r == 0) {
        int error_number = pthread_create(&servers->thread, NULL, run, servers);
        servers->has_thread = error_number == 0;
        r = error_number == 0 ? 0 : err_fatal(err, error_number, "cannot start a thread");
    }
    if (r != 0)
        servers_close(servers);
    else
        *ret = servers;
    return r;
}

void servers_close(struct servers *servers)
{
    if (!servers)
        return;
    pthread_mutex_lock(&servers->lock);
    servers->closing = true;
    pthread_cond_broadcast(&servers->changed);
    pthread_mutex_unlock(&servers->lock);
    if (servers->has_thread)
        pthread_join(servers->thread, NULL);
    pthread_cond_destroy(&servers->changed);
    pthread_mutex_destroy(&servers->lock);
    free(servers->program);
    free(servers);
}
