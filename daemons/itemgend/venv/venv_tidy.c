#include "itemgend/venv/venv_store.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "itemgend/venv/venv_files.h"
#include "itemgend/sandbox/workdir.h"

/* Removes a build of a locked folder, its mark first: a half removed build counts as killed. False: it is in use. */
static bool remove_build(const char *build)
{
    auto_free char *mark = venv_files_path("%s/environment.json", build);
    if (!mark)
        return false;
    auto_close int fd = open(mark, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) < 0 || unlink(mark) < 0))
        return false;
    workdir_remove(build);
    return true;
}

/* A complete build, from its mark. */
struct complete {
    const char *build;
    int64_t built_at_ms, size;
    struct timespec used_at;
};

/* False: it has no mark. */
static bool read_complete(const char *build, struct complete *ret)
{
    auto_free char *path = venv_files_path("%s/environment.json", build);
    auto_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    struct stat status;
    auto_buf struct buf text = BUF_INIT;
    if (fd < 0 || fstat(fd, &status) < 0 || !venv_files_read(fd, VENV_FILES_MARK_MAX, &text))
        return false;
    auto_json cJSON *json = NULL;
    *ret = (struct complete){ .build = build, .used_at = status.st_mtim };
    return json_parse(buf_str(&text), text.len, &json, NULL) == 0 &&
           json_get_i64(json, "built_at", 0, INT64_MAX, &ret->built_at_ms) &&
           json_get_i64(json, "size", 0, INT64_MAX, &ret->size);
}

/* Removes killed builds and all but the newest build from a locked folder. */
static void remove_old_builds(const char *folder, const struct strv *builds)
{
    const char *newest = NULL;
    int64_t newest_ms = -1;
    struct complete complete;
    for (size_t i = 0; i < builds->n; i++)
        if (read_complete(builds->list[i], &complete) && complete.built_at_ms > newest_ms) {
            newest = complete.build;
            newest_ms = complete.built_at_ms;
        }
    for (size_t i = 0; i < builds->n; i++)
        if (builds->list[i] != newest)
            remove_build(builds->list[i]);
    if (newest)
        return;
    auto_free char *lock = venv_files_path("%s/lock", folder);
    if (lock)
        unlink(lock);
    rmdir(folder); /* fails if a build in use is left; the next user makes the lock again */
}

static void tidy_folder(const char *folder)
{
    auto_close int lock = -1;
    if (venv_store_lock(folder, &lock, NULL) != 0 || lock < 0)
        return;
    auto_strv struct strv builds = STRV_INIT;
    venv_files_list(folder, "build-", &builds);
    if (!builds.failed)
        remove_old_builds(folder, &builds);
}

static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct complete *)a)->used_at, *y = &((const struct complete *)b)->used_at;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

static bool evict(const char *build)
{
    auto_free char *folder = strndup(build, (size_t)(strrchr(build, '/') - build));
    auto_close int lock = -1;
    return folder && venv_store_lock(folder, &lock, NULL) == 0 && lock >= 0 && remove_build(build);
}

static int64_t evict_to(const struct strv *builds, int64_t limit)
{
    auto_free struct complete *found = calloc(builds->n + 1, sizeof(*found));
    size_t n = 0;
    int64_t sum = 0;
    for (size_t i = 0; found && i < builds->n; i++)
        if (read_complete(builds->list[i], &found[n]))
            sum += found[n++].size;
    if (n > 0)
        qsort(found, n, sizeof(*found), by_use);
    for (size_t i = 0; i < n && sum > limit; i++)
        if (evict(found[i].build))
            sum -= found[i].size;
    return sum;
}

int64_t venv_store_tidy(const struct itemgend_options *options)
{
    auto_free char *root = venv_files_path("%s/environments", options->cache_dir);
    if (!root)
        return 0;
    auto_strv struct strv folders = STRV_INIT, builds = STRV_INIT;
    venv_files_list(root, "", &folders);
    for (size_t i = 0; i < folders.n; i++)
        tidy_folder(folders.list[i]);
    for (size_t i = 0; i < folders.n; i++)
        venv_files_list(folders.list[i], "build-", &builds);
    return builds.failed ? 0 : evict_to(&builds, options->cache_limit);
}
