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
    POLL_MS = 50,                  /* how often to try a lock that another process or thread has */
    LOCK_WAIT_MS = 11 * 60 * 1000, /* a build takes at most ten minutes */
};

struct venv_cache {
    struct itemgend_options options; /* borrowed, except cache_dir */
    char *cache_dir;                 /* absolute */
    const struct sandbox *sandbox;
    int stop_fd; /* an eventfd, ends the thread */
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* of the table, its entries and their environments */
    struct venv_table table;
};

static struct stored_venv *stored_of(const struct venv *venv)
{
    return (struct stored_venv *)((uintptr_t)venv - offsetof(struct stored_venv, venv));
}

static int interrupted(struct err *err)
{
    return err_later(err, "interrupted", "waiting for an environment was interrupted because the service stops");
}

/* ------------------------------------------------------------- building */

static void log_built(const struct stored_venv *stored, int64_t took_ms)
{
    char duration[24];
    snprintf(duration, sizeof(duration), "%" PRId64, took_ms);
    log_write(LOG_INFO, LOG_EVENT_ENVIRONMENT_BUILT,
              LOG_FIELDS({ "PACKAGE", stored->venv.requirement }, { "PACKAGE_VERSION", stored->venv.version },
                         { "DURATION_MS", duration }),
              "built the environment of %s (version %s) in %s ms", stored->venv.requirement, stored->venv.version,
              duration);
}

/* The caller has locked the folder. */
static int build(struct venv_cache *cache, const char *requirement, const char *folder, int stop_fd,
                 struct stored_venv **ret, struct err *err)
{
    int64_t start_ms = time_mono_ms();
    int r = venv_build(&cache->options, cache->sandbox, requirement, folder, stop_fd, err);
    if (r == 0)
        r = venv_store_newest(folder, ret, err);
    if (r == 0 && !*ret)
        r = err_outage(err, "no_environment", "the new environment of %s in %s has disappeared", requirement, folder);
    if (r == 0)
        log_built(*ret, time_mono_ms() - start_ms);
    return r;
}

/* Finds the environment in the locked folder, or builds it. Its result is for all that wait for it. */
static int find_or_build(struct venv_cache *cache, struct venv_entry *entry, const char *folder, int stop_fd,
                         struct stored_venv **ret, struct err *err)
{
    struct stored_venv *stored = NULL;
    int r = venv_store_prepared(&cache->options, entry->requirement, &stored, err);
    if (r == 0 && !stored)
        r = venv_store_newest(folder, &stored, err);
    if (r == 0 && !stored)
        r = build(cache, entry->requirement, folder, stop_fd, &stored, err);
    pthread_mutex_lock(&cache->lock);
    if (r == 0) {
        venv_table_put(&cache->table, entry, stored);
        *ret = venv_table_take(&cache->table, entry);
        if (!*ret)
            r = err_outage(err, "no_environment", "another process removed the environment in %s", folder);
    } else if (!err_is(err, "interrupted")) { /* the stop is this caller's alone: others go on */
        entry->failures++;
        entry->result = r;
        entry->err = *err;
    }
    pthread_mutex_unlock(&cache->lock);
    return r;
}

/* Tries to lock the folder, and waits a little if another thread or process has locked it. LATER: "interrupted",
 * "environment_slow", an outage. */
static int try_lock(const char *folder, int stop_fd, int64_t deadline_ms, int *ret_lock, struct err *err)
{
    int r = venv_store_lock(folder, ret_lock, err);
    if (r != 0 || *ret_lock >= 0)
        return r;
    int64_t now_ms = time_mono_ms();
    if (now_ms >= deadline_ms)
        return err_later(err, "environment_slow",
                         "another process has been building the environment in %s for too long", folder);
    return wait_fd(-1, 0, stop_fd, now_ms + POLL_MS) == WAIT_STOPPED ? interrupted(err) : 0;
}

/* `failures`: those before this call. The folder's lock works between threads as it does between processes. */
static int wait_or_build(struct venv_cache *cache, struct venv_entry *entry, uint64_t failures, int stop_fd,
                         struct stored_venv **ret, struct err *err)
{
    auto_free char *folder = NULL;
    int64_t deadline_ms = time_mono_ms() + LOCK_WAIT_MS;
    int r = venv_store_folder(&cache->options, entry->requirement, &folder, err);
    while (r == 0) {
        auto_close int lock = -1;
        r = try_lock(folder, stop_fd, deadline_ms, &lock, err);
        if (r != 0)
            break;
        /* Another thread may have built it, or have failed to. */
        pthread_mutex_lock(&cache->lock);
        *ret = venv_table_take(&cache->table, entry);
        bool has_failed = !*ret && entry->failures != failures;
        if (has_failed) {
            r = entry->result;
            *err = entry->err;
        }
        pthread_mutex_unlock(&cache->lock);
        if (*ret || has_failed)
            break;
        if (lock >= 0)
            return find_or_build(cache, entry, folder, stop_fd, ret, err);
    }
    return r;
}

int venv_cache_use(struct venv_cache *cache, const char *requirement, int stop_fd, const struct venv **ret,
                   struct err *err)
{
    auto_buf struct buf normalized = BUF_INIT;
    requirement_normalize(requirement, &normalized);
    if (buf_failed(&normalized))
        return err_no_memory(err);
    pthread_mutex_lock(&cache->lock);
    struct venv_entry *entry = venv_table_enter(&cache->table, buf_str(&normalized));
    struct stored_venv *taken = entry ? venv_table_take(&cache->table, entry) : NULL;
    uint64_t failures = entry ? entry->failures : 0;
    pthread_mutex_unlock(&cache->lock);
    if (!entry)
        return err_no_memory(err);
    bool is_new = !taken;
    int r = taken ? 0 : wait_or_build(cache, entry, failures, stop_fd, &taken, err);
    pthread_mutex_lock(&cache->lock);
    if (is_new) /* only now: a locked folder is not tidied */
        venv_table_ask_for_tidying(&cache->table);
    venv_table_leave(&cache->table, entry);
    pthread_mutex_unlock(&cache->lock);
    if (r == 0)
        *ret = &taken->venv;
    return r;
}

void venv_cache_hold(struct venv_cache *cache, const struct venv *venv)
{
    pthread_mutex_lock(&cache->lock);
    stored_of(venv)->users++;
    pthread_mutex_unlock(&cache->lock);
}

void venv_cache_release(struct venv_cache *cache, const struct venv *venv)
{
    if (!venv)
        return;
    pthread_mutex_lock(&cache->lock);
    venv_table_release(&cache->table, stored_of(venv));
    pthread_mutex_unlock(&cache->lock);
}

/* ------------------------------------------------------------- the thread */

static void warm_up(struct venv_cache *cache)
{
    const struct config_list *packages = &cache->options.packages;
    for (size_t i = 0; i < packages->n; i++) {
        auto_free char *requirement = strndup(packages->items[i], strcspn(packages->items[i], " \t"));
        const struct venv *venv = NULL;
        struct err err = ERR_INIT;
        int r = requirement ? venv_cache_use(cache, requirement, cache->stop_fd, &venv, &err) : err_no_memory(&err);
        if (err_is(&err, "interrupted"))
            return;
        if (r != 0)
            log_write(LOG_WARNING, LOG_EVENT_WARNING,
                      LOG_FIELDS({ "ERROR_CODE", err.code }, { "PACKAGE", requirement }),
                      "cannot build the environment of %s before its first request: %s", requirement, err.text);
        venv_cache_release(cache, venv);
    }
}

/* Another process may have refreshed it already. */
static int refresh_locked(struct venv_cache *cache, const struct venv_entry *entry, const char *folder,
                          struct stored_venv **ret, struct err *err)
{
    struct stored_venv *newest = NULL;
    int r = venv_store_newest(folder, &newest, err);
    if (newest && time_now_ms() - newest->built_at_ms < cache->options.environment_ttl_ms) {
        *ret = newest;
        return 0;
    }
    venv_store_free(newest);
    return r != 0 ? r : build(cache, entry->requirement, folder, cache->stop_fd, ret, err);
}

static int refresh(struct venv_cache *cache, const struct venv_entry *entry, struct stored_venv **ret, struct err *err)
{
    auto_free char *folder = NULL;
    auto_close int lock = -1;
    int64_t deadline_ms = time_mono_ms() + LOCK_WAIT_MS;
    int r = venv_store_folder(&cache->options, entry->requirement, &folder, err);
    while (r == 0 && lock < 0)
        r = try_lock(folder, cache->stop_fd, deadline_ms, &lock, err);
    return r != 0 ? r : refresh_locked(cache, entry, folder, ret, err);
}

static void log_kept(const struct venv_entry *entry, const struct err *err)
{
    log_write(LOG_WARNING, LOG_EVENT_WARNING,
              LOG_FIELDS({ "ERROR_CODE", err->code }, { "PACKAGE", entry->requirement }),
              "cannot refresh the environment of %s, the old one stays in use: %s", entry->requirement, err->text);
}

/* False: nothing needs a refresh. */
static bool refresh_next(struct venv_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    struct venv_entry *entry = venv_table_next_refresh(&cache->table);
    pthread_mutex_unlock(&cache->lock);
    if (!entry)
        return false;
    struct stored_venv *stored = NULL;
    struct err err = ERR_INIT;
    int r = refresh(cache, entry, &stored, &err);
    if (r != 0 && !err_is(&err, "interrupted"))
        log_kept(entry, &err);
    pthread_mutex_lock(&cache->lock);
    if (r == 0)
        venv_table_put(&cache->table, entry, stored);
    venv_table_refreshed(&cache->table, entry);
    pthread_mutex_unlock(&cache->lock);
    return true;
}

/* False: everything is compiled. */
static bool compile_next(struct venv_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    struct stored_venv *stored = venv_table_next_uncompiled(&cache->table);
    pthread_mutex_unlock(&cache->lock);
    if (!stored)
        return false;
    struct err err = ERR_INIT;
    int r = venv_build_compile(&cache->options, cache->sandbox, stored, cache->stop_fd, &err);
    if (r != 0 && !err_is(&err, "interrupted"))
        log_write(LOG_WARNING, LOG_EVENT_WARNING,
                  LOG_FIELDS({ "ERROR_CODE", err.code }, { "PACKAGE", stored->venv.requirement }),
                  "cannot compile the environment of %s, so its processes start more slowly: %s",
                  stored->venv.requirement, err.text);
    pthread_mutex_lock(&cache->lock);
    stored->is_compiled = true;
    venv_table_release(&cache->table, stored);
    pthread_mutex_unlock(&cache->lock);
    return true;
}

static void tidy(struct venv_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    bool wanted = cache->table.wants_tidy;
    cache->table.wants_tidy = false;
    pthread_mutex_unlock(&cache->lock);
    if (!wanted)
        return;
    int64_t left = venv_store_tidy(&cache->options);
    struct err err = ERR_INIT;
    int r = venv_build_trim_cache(&cache->options, left, cache->stop_fd, &err);
    if (r != 0 && !err_is(&err, "interrupted"))
        log_write(LOG_WARNING, LOG_EVENT_WARNING, LOG_FIELDS({ "ERROR_CODE", err.code }),
                  "the cache of uv stays larger than cache_limit allows: %s", err.text);
    pthread_mutex_lock(&cache->lock);
    venv_table_forget_removed(&cache->table);
    pthread_mutex_unlock(&cache->lock);
}

static void *run(void *context)
{
    struct venv_cache *cache = context;
    warm_up(cache);
    do {
        eventfd_t count;
        eventfd_read(cache->table.work_fd, &count);
        while (refresh_next(cache) || compile_next(cache))
            ;
        tidy(cache);
    } while (wait_fd(cache->table.work_fd, POLLIN, cache->stop_fd, INT64_MAX) != WAIT_STOPPED);
    return NULL;
}

/* NULL: no memory, or the current directory has no path. */
static char *absolute(const char *path)
{
    if (path[0] == '/')
        return strdup(path);
    auto_free char *here = getcwd(NULL, 0);
    return here ? venv_files_path("%s/%s", here, path) : NULL;
}

int venv_cache_open(const struct itemgend_options *options, const struct sandbox *sandbox, struct venv_cache **ret,
                    struct err *err)
{
    struct venv_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return err_no_memory(err);
    *cache = (struct venv_cache){ .options = *options, .sandbox = sandbox };
    cache->table = (struct venv_table){ .ttl_ms = options->environment_ttl_ms, .wants_tidy = true };
    pthread_mutex_init(&cache->lock, NULL);
    cache->options.cache_dir = cache->cache_dir = absolute(options->cache_dir);
    cache->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cache->table.work_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = !cache->cache_dir || cache->stop_fd < 0 || cache->table.work_fd < 0 ? ENOMEM : 0;
    if (error == 0)
        error = pthread_create(&cache->thread, NULL, run, cache);
    cache->has_thread = error == 0;
    if (error != 0) {
        venv_cache_close(cache);
        return err_fatal(err, error, "cannot start the thread that keeps environments");
    }
    pthread_setname_np(cache->thread, "environments");
    *ret = cache;
    return 0;
}

void venv_cache_close(struct venv_cache *cache)
{
    if (!cache)
        return;
    if (cache->has_thread) {
        eventfd_write(cache->stop_fd, 1);
        pthread_join(cache->thread, NULL);
    }
    venv_table_clear(&cache->table);
    base_close_fd(&cache->stop_fd);
    base_close_fd(&cache->table.work_fd);
    pthread_mutex_destroy(&cache->lock);
    free(cache->cache_dir);
    free(cache);
}
