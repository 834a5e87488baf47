#include "itemgend/environment.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/time.h"
#include "common/log.h"
#include "itemgend/environment_build.h"
#include "itemgend/environment_files.h"
#include "itemgend/environment_store.h"

enum {
    LOOK_MS = 50,                      /* between two looks at a lock that somebody else has */
    REFRESH_RETRY_MS = 15 * 60 * 1000, /* after a refresh that failed */
};

/* What this process knows of a requirement. Stays while there is an environment or somebody who waits for one. */
struct entry {
    struct entry *next;
    char *requirement;
    struct environment *current; /* NULL: none known */
    size_t waiters;
    uint64_t failures; /* builds that failed while there were waiters; of the last one: */
    int result;
    struct err err;
    bool wants_refresh;
    int64_t refresh_after_ms; /* time_mono_ms(): not before it */
};

struct environments {
    struct itemgend_options options; /* borrowed, but for: */
    char *cache_dir;                 /* absolute */
    const struct sandbox *sandbox;
    int stop_fd, wake_fd; /* eventfds, for the thread */
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* of what follows, and of all that is in the entries and environments */
    struct entry *entries;
    bool wants_tidy;
};

static void set_event(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof(one)); /* full: it is readable already */
    (void)n;
}

static int interrupted(struct err *err)
{
    return err_later(err, "interrupted", "waiting for an environment was interrupted because the service stops");
}

/* ------------------------------------------- the table: call with the lock held */

static struct entry *enter(struct environments *environments, const char *requirement)
{
    struct entry *entry = environments->entries;
    while (entry && strcmp(entry->requirement, requirement) != 0)
        entry = entry->next;
    if (!entry) {
        auto_free char *copy = strdup(requirement);
        entry = copy ? calloc(1, sizeof(*entry)) : NULL;
        if (!entry)
            return NULL;
        entry->requirement = TAKE(copy);
        entry->next = environments->entries;
        environments->entries = entry;
    }
    entry->waiters++;
    return entry;
}

/* Requests may name anything: only what came to be is kept. */
static void leave(struct environments *environments, struct entry *entry)
{
    entry->waiters--;
    if (entry->waiters > 0 || entry->current)
        return;
    struct entry **at = &environments->entries;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    free(entry->requirement);
    free(entry);
}

static void retire(struct environments *environments, struct entry *entry)
{
    struct environment *environment = TAKE(entry->current);
    if (!environment)
        return;
    environment->retired = true;
    environments->wants_tidy = true;
    if (environment->users == 0)
        environment_free(environment);
}

static void ask_for_refresh(struct environments *environments, struct entry *entry)
{
    if (entry->wants_refresh ||
        time_now_ms() - entry->current->built_at_ms < environments->options.environment_ttl_ms ||
        time_mono_ms() < entry->refresh_after_ms)
        return;
    entry->wants_refresh = true;
    set_event(environments->wake_fd);
}

/* NULL: there is none, or it was removed meanwhile. */
static struct environment *take(struct environments *environments, struct entry *entry)
{
    if (entry->current && !environment_store_hold(entry->current))
        retire(environments, entry);
    if (!entry->current)
        return NULL;
    entry->current->users++;
    ask_for_refresh(environments, entry);
    return entry->current;
}

static void put(struct environments *environments, struct entry *entry, struct environment *environment)
{
    retire(environments, entry);
    entry->current = environment;
    environments->wants_tidy = true;
    set_event(environments->wake_fd);
}

/* What was evicted meanwhile. */
static void forget_removed(struct environments *environments)
{
    struct entry *next = NULL;
    for (struct entry *entry = environments->entries; entry; entry = next) {
        next = entry->next;
        if (!entry->current || environment_store_is_there(entry->current))
            continue;
        retire(environments, entry);
        entry->waiters++; /* its last one */
        leave(environments, entry);
    }
}

/* ------------------------------------------------------------- building */

static void log_built(const struct environment *environment, int64_t took_ms)
{
    char duration[24];
    snprintf(duration, sizeof(duration), "%" PRId64, took_ms);
    log_write(LOG_INFO, LOG_EVENT_ENVIRONMENT_BUILT,
              LOG_FIELDS({ "PACKAGE", environment->requirement }, { "PACKAGE_VERSION", environment->version },
                         { "DURATION_MS", duration }),
              "made the environment of %s (version %s) in %s ms", environment->requirement, environment->version,
              duration);
}

/* In the folder, which is locked. */
static int build(struct environments *environments, const char *requirement, const char *folder, int stop_fd,
                 struct environment **ret, struct err *err)
{
    int64_t start_ms = time_mono_ms();
    int r = environment_build(&environments->options, environments->sandbox, requirement, folder, stop_fd, err);
    if (r == 0)
        r = environment_store_newest(folder, ret, err);
    if (r == 0 && !*ret)
        r = err_outage(err, "no_environment", "the environment of %s was made in %s and is not there", requirement,
                       folder);
    if (r == 0)
        log_built(*ret, time_mono_ms() - start_ms);
    return r;
}

/* Takes what is in the locked folder, or builds it, and tells all who wait. */
static int find_or_build(struct environments *environments, struct entry *entry, const char *folder, int stop_fd,
                         struct environment **ret, struct err *err)
{
    struct environment *environment = NULL;
    int r = environment_store_newest(folder, &environment, err);
    if (r == 0 && !environment)
        r = build(environments, entry->requirement, folder, stop_fd, &environment, err);
    pthread_mutex_lock(&environments->lock);
    if (r == 0) {
        put(environments, entry, environment);
        *ret = take(environments, entry);
        if (!*ret)
            r = err_outage(err, "no_environment", "the environment in %s was removed by somebody", folder);
    } else if (!err_is(err, "interrupted")) { /* which is this caller's alone: another one goes on */
        entry->failures++;
        entry->result = r;
        entry->err = *err;
    }
    pthread_mutex_unlock(&environments->lock);
    return r;
}

/* Whether another thread has brought what this one waits for: the environment, or a failure after `failures`. */
static bool has_come(struct environments *environments, struct entry *entry, uint64_t failures,
                     struct environment **ret, int *ret_result, struct err *err)
{
    pthread_mutex_lock(&environments->lock);
    *ret = take(environments, entry);
    bool failed = !*ret && entry->failures != failures;
    *ret_result = failed ? entry->result : 0;
    if (failed)
        *err = entry->err;
    pthread_mutex_unlock(&environments->lock);
    return *ret || failed;
}

/* Locks the folder; NEVER is not among its results. LATER: "interrupted", "environment_slow", an outage. */
static int try_lock(const char *folder, int stop_fd, int64_t deadline_ms, int *ret_lock, struct err *err)
{
    int r = environment_store_lock(folder, ret_lock, err);
    if (r != 0 || *ret_lock >= 0)
        return r;
    int64_t now_ms = time_mono_ms();
    if (now_ms >= deadline_ms)
        return err_later(err, "environment_slow", "somebody else has been making the environment in %s for too long",
                         folder);
    return wait_fd(-1, 0, stop_fd, now_ms + LOOK_MS) == WAIT_STOPPED ? interrupted(err) : 0;
}

/* The same lock is between threads and between processes. */
static int wait_or_build(struct environments *environments, struct entry *entry, uint64_t failures, int stop_fd,
                         struct environment **ret, struct err *err)
{
    auto_free char *folder = NULL;
    int64_t deadline_ms = time_mono_ms() + ENVIRONMENT_WAIT_MS / 3;
    int result = 0;
    int r = environment_store_folder(&environments->options, entry->requirement, &folder, err);
    while (r == 0) {
        auto_close int lock = -1;
        r = try_lock(folder, stop_fd, deadline_ms, &lock, err);
        if (r != 0)
            break;
        if (has_come(environments, entry, failures, ret, &result, err))
            return result;
        if (lock >= 0)
            return find_or_build(environments, entry, folder, stop_fd, ret, err);
    }
    return r;
}

int environments_use(struct environments *environments, const char *requirement, int stop_fd, struct environment **ret,
                     struct err *err)
{
    pthread_mutex_lock(&environments->lock);
    struct entry *entry = enter(environments, requirement);
    struct environment *taken = entry ? take(environments, entry) : NULL;
    uint64_t failures = entry ? entry->failures : 0;
    pthread_mutex_unlock(&environments->lock);
    if (!entry)
        return err_no_memory(err);
    int r = taken ? 0 : wait_or_build(environments, entry, failures, stop_fd, &taken, err);
    pthread_mutex_lock(&environments->lock);
    leave(environments, entry);
    pthread_mutex_unlock(&environments->lock);
    if (r == 0)
        *ret = taken;
    return r;
}

void environments_hold(struct environments *environments, struct environment *environment)
{
    pthread_mutex_lock(&environments->lock);
    environment->users++;
    pthread_mutex_unlock(&environments->lock);
}

void environments_release(struct environments *environments, struct environment *environment)
{
    if (!environment)
        return;
    pthread_mutex_lock(&environments->lock);
    if (--environment->users == 0) {
        environment_store_let_go(environment);
        if (environment->retired) {
            environment_free(environment);
            environments->wants_tidy = true;
            set_event(environments->wake_fd);
        }
    }
    pthread_mutex_unlock(&environments->lock);
}

/* ------------------------------------------------------------- the thread */

static void warm_up(struct environments *environments)
{
    const struct config_list *packages = &environments->options.packages;
    for (size_t i = 0; i < packages->n; i++) {
        auto_free char *requirement = strndup(packages->items[i], strcspn(packages->items[i], " \t"));
        struct environment *environment = NULL;
        struct err err = ERR_INIT;
        int r = requirement ? environments_use(environments, requirement, environments->stop_fd, &environment, &err)
                            : err_no_memory(&err);
        if (err_is(&err, "interrupted"))
            return;
        if (r != 0)
            log_write(LOG_WARNING, LOG_EVENT_WARNING,
                      LOG_FIELDS({ "ERROR_CODE", err.code }, { "PACKAGE", requirement }),
                      "cannot make the environment of %s ahead of its first request: %s", requirement, err.text);
        environments_release(environments, environment);
    }
}

/* Another process may have been here before. */
static int refresh_locked(struct environments *environments, const struct entry *entry, const char *folder,
                          struct environment **ret, struct err *err)
{
    struct environment *newest = NULL;
    int r = environment_store_newest(folder, &newest, err);
    if (newest && time_now_ms() - newest->built_at_ms < environments->options.environment_ttl_ms) {
        *ret = newest;
        return 0;
    }
    environment_free(newest);
    return r != 0 ? r : build(environments, entry->requirement, folder, environments->stop_fd, ret, err);
}

static int refresh(struct environments *environments, const struct entry *entry, struct environment **ret,
                   struct err *err)
{
    auto_free char *folder = NULL;
    auto_close int lock = -1;
    int64_t deadline_ms = time_mono_ms() + ENVIRONMENT_WAIT_MS / 3;
    int r = environment_store_folder(&environments->options, entry->requirement, &folder, err);
    while (r == 0 && lock < 0)
        r = try_lock(folder, environments->stop_fd, deadline_ms, &lock, err);
    return r != 0 ? r : refresh_locked(environments, entry, folder, ret, err);
}

static void refresh_entry(struct environments *environments, struct entry *entry)
{
    struct environment *environment = NULL;
    struct err err = ERR_INIT;
    int r = refresh(environments, entry, &environment, &err);
    if (r != 0 && !err_is(&err, "interrupted"))
        log_write(LOG_WARNING, LOG_EVENT_WARNING,
                  LOG_FIELDS({ "ERROR_CODE", err.code }, { "PACKAGE", entry->requirement }),
                  "cannot make the environment of %s anew, goes on with the one that is there: %s", entry->requirement,
                  err.text);
    pthread_mutex_lock(&environments->lock);
    if (environment)
        put(environments, entry, environment);
    int64_t ttl_ms = environments->options.environment_ttl_ms;
    entry->refresh_after_ms = time_mono_ms() + (ttl_ms < REFRESH_RETRY_MS ? ttl_ms : REFRESH_RETRY_MS);
    entry->wants_refresh = false;
    leave(environments, entry);
    pthread_mutex_unlock(&environments->lock);
}

/* NULL: none. It is there until leave. */
static struct entry *enter_next_refresh(struct environments *environments)
{
    pthread_mutex_lock(&environments->lock);
    struct entry *entry = environments->entries;
    while (entry && !entry->wants_refresh)
        entry = entry->next;
    if (entry)
        entry->waiters++;
    pthread_mutex_unlock(&environments->lock);
    return entry;
}

static void tidy(struct environments *environments)
{
    pthread_mutex_lock(&environments->lock);
    bool wanted = environments->wants_tidy;
    environments->wants_tidy = false;
    pthread_mutex_unlock(&environments->lock);
    if (!wanted)
        return;
    environment_store_tidy(&environments->options);
    pthread_mutex_lock(&environments->lock);
    forget_removed(environments);
    pthread_mutex_unlock(&environments->lock);
}

static void *run(void *context)
{
    struct environments *environments = context;
    warm_up(environments);
    do {
        uint64_t count;
        ssize_t n = read(environments->wake_fd, &count, sizeof(count));
        (void)n;
        for (struct entry *entry; (entry = enter_next_refresh(environments));)
            refresh_entry(environments, entry);
        tidy(environments);
    } while (wait_fd(environments->wake_fd, POLLIN, environments->stop_fd, INT64_MAX) != WAIT_STOPPED);
    return NULL;
}

/* NULL: no memory, or nobody knows where we are. */
static char *absolute(const char *path)
{
    if (path[0] == '/')
        return strdup(path);
    auto_free char *here = getcwd(NULL, 0);
    return here ? environment_path("%s/%s", here, path) : NULL;
}

int environments_open(const struct itemgend_options *options, const struct sandbox *sandbox, struct environments **ret,
                      struct err *err)
{
    struct environments *environments = calloc(1, sizeof(*environments));
    if (!environments)
        return err_no_memory(err);
    *environments = (struct environments){ .options = *options, .sandbox = sandbox, .wants_tidy = true };
    pthread_mutex_init(&environments->lock, NULL);
    environments->options.cache_dir = environments->cache_dir = absolute(options->cache_dir);
    environments->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    environments->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = !environments->cache_dir || environments->stop_fd < 0 || environments->wake_fd < 0 ? ENOMEM : 0;
    if (error == 0)
        error = pthread_create(&environments->thread, NULL, run, environments);
    environments->has_thread = error == 0;
    if (error != 0) {
        environments_close(environments);
        return err_fatal(err, error, "cannot keep environments");
    }
    pthread_setname_np(environments->thread, "environments");
    *ret = environments;
    return 0;
}

void environments_close(struct environments *environments)
{
    if (!environments)
        return;
    if (environments->has_thread) {
        set_event(environments->stop_fd);
        pthread_join(environments->thread, NULL);
    }
    for (struct entry *entry = environments->entries, *next; entry; entry = next) {
        next = entry->next;
        environment_free(entry->current);
        free(entry->requirement);
        free(entry);
    }
    base_close_fd(&environments->stop_fd);
    base_close_fd(&environments->wake_fd);
    pthread_mutex_destroy(&environments->lock);
    free(environments->cache_dir);
    free(environments);
}
