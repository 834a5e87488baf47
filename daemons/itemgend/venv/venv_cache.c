#include "itemgend/venv/venv_cache.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/time.h"
#include "daemon/log.h"
#include "itemgend/venv/venv_build.h"
#include "itemgend/venv/venv_files.h"
#include "itemgend/venv/venv_store.h"
#include "itemgend/venv/venv_table.h"
#include "itemgend/request/requirement.h"

enum {
    LOOK_MS = 50,                  /* between two looks at a lock that somebody else has */
    LOCK_WAIT_MS = 11 * 60 * 1000, /* a build takes ten minutes at most */
};

struct environments {
    struct itemgend_options options; /* borrowed, but for: */
    char *cache_dir;                 /* absolute */
    const struct sandbox *sandbox;
    int stop_fd; /* an eventfd, for the thread */
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* of what follows, and of all that is in the entries and environments */
    struct environment_table table;
};

static int interrupted(struct err *err)
{
    return err_later(err, "interrupted", "waiting for an environment was interrupted because the service stops");
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
static int find_or_build(struct environments *environments, struct environment_entry *entry, const char *folder,
                         int stop_fd, struct environment **ret, struct err *err)
{
    struct environment *environment = NULL;
    int r = environment_store_prepared(&environments->options, entry->requirement, &environment, err);
    if (r == 0 && !environment)
        r = environment_store_newest(folder, &environment, err);
    if (r == 0 && !environment)
        r = build(environments, entry->requirement, folder, stop_fd, &environment, err);
    pthread_mutex_lock(&environments->lock);
    if (r == 0) {
        environment_table_put(&environments->table, entry, environment);
        *ret = environment_table_take(&environments->table, entry);
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
static bool has_come(struct environments *environments, struct environment_entry *entry, uint64_t failures,
                     struct environment **ret, int *ret_result, struct err *err)
{
    pthread_mutex_lock(&environments->lock);
    *ret = environment_table_take(&environments->table, entry);
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
static int wait_or_build(struct environments *environments, struct environment_entry *entry, uint64_t failures,
                         int stop_fd, struct environment **ret, struct err *err)
{
    auto_free char *folder = NULL;
    int64_t deadline_ms = time_mono_ms() + LOCK_WAIT_MS;
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
    auto_buf struct buf normalized = BUF_INIT;
    requirement_normalize(requirement, &normalized);
    if (buf_failed(&normalized))
        return err_no_memory(err);
    pthread_mutex_lock(&environments->lock);
    struct environment_entry *entry = environment_table_enter(&environments->table, buf_str(&normalized));
    struct environment *taken = entry ? environment_table_take(&environments->table, entry) : NULL;
    uint64_t failures = entry ? entry->failures : 0;
    pthread_mutex_unlock(&environments->lock);
    if (!entry)
        return err_no_memory(err);
    bool is_new = !taken;
    int r = taken ? 0 : wait_or_build(environments, entry, failures, stop_fd, &taken, err);
    pthread_mutex_lock(&environments->lock);
    if (is_new) /* only now: what is locked is not tidied */
        environment_table_ask_for_tidying(&environments->table);
    environment_table_leave(&environments->table, entry);
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
    environment_table_release(&environments->table, environment);
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
static int refresh_locked(struct environments *environments, const struct environment_entry *entry, const char *folder,
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

static int refresh(struct environments *environments, const struct environment_entry *entry, struct environment **ret,
                   struct err *err)
{
    auto_free char *folder = NULL;
    auto_close int lock = -1;
    int64_t deadline_ms = time_mono_ms() + LOCK_WAIT_MS;
    int r = environment_store_folder(&environments->options, entry->requirement, &folder, err);
    while (r == 0 && lock < 0)
        r = try_lock(folder, environments->stop_fd, deadline_ms, &lock, err);
    return r != 0 ? r : refresh_locked(environments, entry, folder, ret, err);
}

static void log_kept(const struct environment_entry *entry, const struct err *err)
{
    log_write(LOG_WARNING, LOG_EVENT_WARNING,
              LOG_FIELDS({ "ERROR_CODE", err->code }, { "PACKAGE", entry->requirement }),
              "cannot make the environment of %s anew, goes on with the one that is there: %s", entry->requirement,
              err->text);
}

/* False: there is nothing to refresh. */
static bool refresh_next(struct environments *environments)
{
    pthread_mutex_lock(&environments->lock);
    struct environment_entry *entry = environment_table_next_refresh(&environments->table);
    pthread_mutex_unlock(&environments->lock);
    if (!entry)
        return false;
    struct environment *environment = NULL;
    struct err err = ERR_INIT;
    int r = refresh(environments, entry, &environment, &err);
    if (r != 0 && !err_is(&err, "interrupted"))
        log_kept(entry, &err);
    pthread_mutex_lock(&environments->lock);
    if (r == 0)
        environment_table_put(&environments->table, entry, environment);
    environment_table_refreshed(&environments->table, entry);
    pthread_mutex_unlock(&environments->lock);
    return true;
}

/* False: there is nothing to compile. */
static bool compile_next(struct environments *environments)
{
    pthread_mutex_lock(&environments->lock);
    struct environment *environment = environment_table_next_uncompiled(&environments->table);
    pthread_mutex_unlock(&environments->lock);
    if (!environment)
        return false;
    struct err err = ERR_INIT;
    int r = environment_build_compile(&environments->options, environments->sandbox, environment, environments->stop_fd,
                                      &err);
    if (r != 0 && !err_is(&err, "interrupted"))
        log_write(LOG_WARNING, LOG_EVENT_WARNING,
                  LOG_FIELDS({ "ERROR_CODE", err.code }, { "PACKAGE", environment->requirement }),
                  "cannot compile the environment of %s, where processes start more slowly for it: %s",
                  environment->requirement, err.text);
    pthread_mutex_lock(&environments->lock);
    environment->is_compiled = true;
    environment_table_release(&environments->table, environment);
    pthread_mutex_unlock(&environments->lock);
    return true;
}

static void tidy(struct environments *environments)
{
    pthread_mutex_lock(&environments->lock);
    bool wanted = environments->table.wants_tidy;
    environments->table.wants_tidy = false;
    pthread_mutex_unlock(&environments->lock);
    if (!wanted)
        return;
    int64_t left = environment_store_tidy(&environments->options);
    struct err err = ERR_INIT;
    int r = environment_build_trim_cache(&environments->options, left, environments->stop_fd, &err);
    if (r != 0 && !err_is(&err, "interrupted"))
        log_write(LOG_WARNING, LOG_EVENT_WARNING, LOG_FIELDS({ "ERROR_CODE", err.code }),
                  "uv's cache stays larger than cache_limit allows: %s", err.text);
    pthread_mutex_lock(&environments->lock);
    environment_table_forget_removed(&environments->table);
    pthread_mutex_unlock(&environments->lock);
}

static void *run(void *context)
{
    struct environments *environments = context;
    warm_up(environments);
    do {
        eventfd_t count;
        eventfd_read(environments->table.work_fd, &count);
        while (refresh_next(environments) || compile_next(environments))
            ;
        tidy(environments);
    } while (wait_fd(environments->table.work_fd, POLLIN, environments->stop_fd, INT64_MAX) != WAIT_STOPPED);
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
    *environments = (struct environments){ .options = *options, .sandbox = sandbox };
    environments->table = (struct environment_table){ .ttl_ms = options->environment_ttl_ms, .wants_tidy = true };
    pthread_mutex_init(&environments->lock, NULL);
    environments->options.cache_dir = environments->cache_dir = absolute(options->cache_dir);
    environments->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    environments->table.work_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = !environments->cache_dir || environments->stop_fd < 0 || environments->table.work_fd < 0 ? ENOMEM : 0;
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
        eventfd_write(environments->stop_fd, 1);
        pthread_join(environments->thread, NULL);
    }
    environment_table_clear(&environments->table);
    base_close_fd(&environments->stop_fd);
    base_close_fd(&environments->table.work_fd);
    pthread_mutex_destroy(&environments->lock);
    free(environments->cache_dir);
    free(environments);
}
