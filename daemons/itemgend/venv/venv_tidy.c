#include "itemgend/venv/venv_store.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "itemgend/venv/venv_files.h"
#include "itemgend/sandbox/workdir.h"

/* Removes a build of a locked folder, its mark first, so that what is half removed counts as killed. False: it is held.
 */
static bool remove_build(const char *build)
{
    auto_free char *mark = environment_path("%s/environment.json", build);
    if (!mark)
        return false;
    auto_close int fd = open(mark, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) < 0 || unlink(mark) < 0))
        return false;
    workdir_remove(build);
    return true;
}

/* One whole build, as its mark tells. */
struct whole {
    const char *build;
    int64_t built_at_ms, size;
    struct timespec used_at;
};

/* False: it has no mark. */
static bool read_whole(const char *build, struct whole *ret)
{
    auto_free char *path = environment_path("%s/environment.json", build);
    auto_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    struct stat status;
    auto_buf struct buf text = BUF_INIT;
    if (fd < 0 || fstat(fd, &status) < 0 || !environment_read(fd, ENVIRONMENT_MARK_MAX, &text))
        return false;
    auto_json cJSON *json = NULL;
    *ret = (struct whole){ .build = build, .used_at = status.st_mtim };
    return json_parse(buf_str(&text), text.len, &json, NULL) == 0 &&
           json_get_i64(json, "built_at", 0, INT64_MAX, &ret->built_at_ms) &&
           json_get_i64(json, "size", 0, INT64_MAX, &ret->size);
}

/* Of a locked folder: what was killed, and all but the newest. */
static void sweep(const char *folder, const struct strings *builds)
{
    const char *newest = NULL;
    int64_t newest_ms = -1;
    struct whole whole;
    for (size_t i = 0; i < builds->n; i++)
        if (read_whole(builds->list[i], &whole) && whole.built_at_ms > newest_ms) {
            newest = whole.build;
            newest_ms = whole.built_at_ms;
        }
    for (size_t i = 0; i < builds->n; i++)
        if (builds->list[i] != newest)
            remove_build(builds->list[i]);
    if (newest)
        return;
    auto_free char *lock = environment_path("%s/lock", folder);
    if (lock)
        unlink(lock);
    rmdir(folder); /* fails where something held is left, and then its lock comes back with the next user */
}

static void sweep_folder(const char *folder)
{
    auto_close int lock = -1;
    if (environment_store_lock(folder, &lock, NULL) != 0 || lock < 0)
        return;
    auto_strings struct strings builds = STRINGS_INIT;
    environment_list(folder, "build-", &builds);
    if (!builds.failed)
        sweep(folder, &builds);
}

static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct whole *)a)->used_at, *y = &((const struct whole *)b)->used_at;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

static bool evict(const char *build)
{
    auto_free char *folder = strndup(build, (size_t)(strrchr(build, '/') - build));
    auto_close int lock = -1;
    return folder && environment_store_lock(folder, &lock, NULL) == 0 && lock >= 0 && remove_build(build);
}

static int64_t evict_to(const struct strings *builds, int64_t limit)
{
    auto_free struct whole *wholes = calloc(builds->n + 1, sizeof(*wholes));
    size_t n = 0;
    int64_t sum = 0;
    for (size_t i = 0; wholes && i < builds->n; i++)
        if (read_whole(builds->list[i], &wholes[n]))
            sum += wholes[n++].size;
    if (n > 0)
        qsort(wholes, n, sizeof(*wholes), by_use);
    for (size_t i = 0; i < n && sum > limit; i++)
        if (evict(wholes[i].build))
            sum -= wholes[i].size;
    return sum;
}

int64_t environment_store_tidy(const struct itemgend_options *options)
{
    auto_free char *root = environment_path("%s/environments", options->cache_dir);
    if (!root)
        return 0;
    auto_strings struct strings folders = STRINGS_INIT, builds = STRINGS_INIT;
    environment_list(root, "", &folders);
    for (size_t i = 0; i < folders.n; i++)
        sweep_folder(folders.list[i]);
    for (size_t i = 0; i < folders.n; i++)
        environment_list(folders.list[i], "build-", &builds);
    return builds.failed ? 0 : evict_to(&builds, options->cache_limit);
}
