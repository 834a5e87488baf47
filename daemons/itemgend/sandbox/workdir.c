#include "itemgend/sandbox/workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time.h"

#define NEW_PREFIX "new-"
#define RUN_PREFIX "run-"
#define ITEM_PREFIX "item-"

enum { DEPTH_MAX = 64, ENTRY_BYTES = 4096, RENAME_TRIES = 10, REMOVE_MAX_MS = 60000 };

struct workdir {
    char *work_dir;
    pthread_mutex_t lock;
    char *run;  /* NULL: not made yet */
    int run_fd; /* holds the lock on it */
};

/* --------------------------------------------------------------- removing */

/* Removes the entries of a directory up to the first directory that is not empty, and returns that one, open. -1: there
 * is none, or something cannot be removed (then *ret_stuck). */
static int empty(int directory, int64_t deadline_ms, bool *ret_stuck)
{
    int copy = dup(directory);
    DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    int deeper = -1;
    if (!entries) {
        base_close_fd(&copy);
        *ret_stuck = true;
        return -1;
    }
    rewinddir(entries); /* the copy shares its position with `directory` */
    for (const struct dirent *entry; !*ret_stuck && deeper < 0 && (entry = readdir(entries));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (time_mono_ms() > deadline_ms) {
            *ret_stuck = true;
            break;
        }
        if (unlinkat(directory, entry->d_name, 0) == 0 || unlinkat(directory, entry->d_name, AT_REMOVEDIR) == 0)
            continue;
        /* Package code may have taken the permissions from its own directory. */
        if ((errno == ENOTEMPTY || errno == EEXIST) &&
            fchmodat(directory, entry->d_name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
            deeper = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        *ret_stuck = deeper < 0;
    }
    closedir(entries);
    return deeper;
}

struct identity {
    dev_t device;
    ino_t number;
};

/* The path from the directory that is removed to the one that is open. */
struct way {
    struct identity *list;
    size_t n, max;
};

static bool identify(int directory, struct identity *ret)
{
    struct stat status;
    if (fstat(directory, &status) < 0)
        return false;
    *ret = (struct identity){ status.st_dev, status.st_ino };
    return true;
}

static bool go_down(struct way *way, int directory)
{
    if (way->n == way->max) {
        size_t max = way->max ? 2 * way->max : 64;
        struct identity *list = reallocarray(way->list, max, sizeof(*list));
        if (!list)
            return false;
        way->list = list;
        way->max = max;
    }
    return identify(directory, &way->list[way->n]) && ++way->n;
}

/* The parent directory. -1: there is none, or it is not the expected one: a process that still runs has moved the open
 * directory, and what is above it is not ours to remove. */
static int go_up(struct way *way, int directory)
{
    if (--way->n == 0)
        return -1;
    const struct identity *expected = &way->list[way->n - 1];
    struct identity found;
    auto_close int above = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (above < 0 || !identify(above, &found) || found.device != expected->device || found.number != expected->number)
        return -1;
    int ret = above;
    above = -1;
    return ret;
}

/* Opens one directory at a time, relative to the last: package code can make trees too deep for paths or recursion. */
void workdir_remove(const char *path)
{
    if (!path)
        return;
    if (fchmodat(AT_FDCWD, path, 0700, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct way way = { .list = NULL };
    int64_t deadline_ms = time_mono_ms() + REMOVE_MAX_MS;
    bool stuck = directory >= 0 && !go_down(&way, directory);
    while (directory >= 0) {
        int next = stuck ? -1 : empty(directory, deadline_ms, &stuck);
        if (next >= 0)
            stuck = !go_down(&way, next);
        else if (!stuck)
            next = go_up(&way, directory);
        close(directory);
        directory = next;
    }
    free(way.list);
    if (rmdir(path) < 0 && errno == ENOTDIR)
        unlink(path);
}

/* ----------------------------------------------------------------- measuring */

static int64_t usage_of(int directory, int depth, int64_t limit);

static int64_t usage_of_entry(int directory, const char *name, int depth, int64_t limit)
{
    struct stat status;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return 0; /* removed meanwhile */
    int64_t on_disk = (int64_t)status.st_blocks * 512;
    if (S_ISREG(status.st_mode))
        return status.st_size > on_disk ? status.st_size : on_disk;
    if (!S_ISDIR(status.st_mode))
        return on_disk;
    auto_close int inner = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner < 0)
        return errno == ENOENT ? 0 : limit + 1;
    return on_disk + (depth < DEPTH_MAX ? usage_of(inner, depth + 1, limit) : limit + 1);
}

static int64_t usage_of(int directory, int depth, int64_t limit)
{
    int copy = dup(directory);
    DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    if (!entries) {
        base_close_fd(&copy);
        return limit + 1;
    }
    int64_t sum = 0;
    for (const struct dirent *entry; sum <= limit && (entry = readdir(entries));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int64_t size = usage_of_entry(directory, entry->d_name, depth, limit - sum);
        sum += size ? size : ENTRY_BYTES / 8; /* names take space too */
    }
    closedir(entries);
    return sum;
}

int64_t workdir_usage(const char *path, int64_t limit)
{
    auto_close int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return directory < 0 ? limit + 1 : usage_of(directory, 0, limit);
}

/* -------------------------------------------------------------------- runs */

/* Removes a run that is not locked: its process has ended. */
static void remove_ended_run(int parent, const char *work_dir, const char *name)
{
    auto_close int run = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (run < 0 || flock(run, LOCK_EX | LOCK_NB) < 0)
        return;
    auto_buf struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", work_dir, name);
    if (!buf_failed(&path))
        workdir_remove(buf_str(&path));
}

static void remove_ended_runs(const char *work_dir)
{
    DIR *directory = opendir(work_dir);
    for (const struct dirent *entry; directory && (entry = readdir(directory));) {
        if (strncmp(entry->d_name, RUN_PREFIX, strlen(RUN_PREFIX)) == 0)
            remove_ended_run(dirfd(directory), work_dir, entry->d_name);
        else if (strncmp(entry->d_name, NEW_PREFIX, strlen(NEW_PREFIX)) == 0)
            unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR); /* always empty */
    }
    if (directory)
        closedir(directory);
}

static int unusable(const char *what, const char *path, struct err *err)
{
    return err_outage(err, "work_dir_unusable", "cannot %s %s (work_dir): %s", what, path, strerror(errno));
}

/* Locks the directory before it gets its final name: other processes remove unlocked runs. */
static bool make_locked(const char *work_dir, char **ret_path, int *ret_fd)
{
    auto_buf struct buf new = BUF_INIT, final = BUF_INIT;
    buf_printf(&new, "%s/" NEW_PREFIX "XXXXXX", work_dir);
    auto_free char *path = buf_take(&new);
    if (!path || !mkdtemp(path))
        return false;
    auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    buf_printf(&final, "%s/" RUN_PREFIX "%s", work_dir, path + strlen(path) - 6);
    auto_free char *name = buf_take(&final);
    if (!name || fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || rename(path, name) < 0)
        return false;
    *ret_path = TAKE(name);
    *ret_fd = fd;
    fd = -1;
    return true;
}

static int make_run(struct workdir *workdir, struct err *err)
{
    if (mkdir(workdir->work_dir, 0700) < 0 && errno != EEXIST)
        return unusable("make", workdir->work_dir, err);
    char absolute[PATH_MAX];
    if (!realpath(workdir->work_dir, absolute))
        return unusable("find", workdir->work_dir, err);
    remove_ended_runs(absolute);
    /* Another process that starts now may remove the new directory before it is locked. */
    for (int i = 0; i < RENAME_TRIES; i++)
        if (make_locked(absolute, &workdir->run, &workdir->run_fd))
            return 0;
    return unusable("make a directory in", absolute, err);
}

int workdir_open(const char *work_dir, struct workdir **ret, struct err *err)
{
    struct workdir *workdir = calloc(1, sizeof(*workdir));
    if (!workdir)
        return err_no_memory(err);
    workdir->run_fd = -1;
    workdir->work_dir = strdup(work_dir);
    if (!workdir->work_dir) {
        free(workdir);
        return err_no_memory(err);
    }
    pthread_mutex_init(&workdir->lock, NULL);
    *ret = workdir;
    return 0;
}

void workdir_close(struct workdir *workdir)
{
    if (!workdir)
        return;
    workdir_remove(workdir->run);
    base_close_fd(&workdir->run_fd);
    /* This run may not have removed any yet, and items of a killed run may have been writing when it did. */
    remove_ended_runs(workdir->work_dir);
    pthread_mutex_destroy(&workdir->lock);
    free(workdir->run);
    free(workdir->work_dir);
    free(workdir);
}

int workdir_place(struct workdir *workdir, const char *name, char **ret_path, struct err *err)
{
    pthread_mutex_lock(&workdir->lock);
    int r = workdir->run ? 0 : make_run(workdir, err);
    pthread_mutex_unlock(&workdir->lock);
    if (r != 0)
        return r;
    auto_buf struct buf path = BUF_INIT;
    buf_printf(&path, "%s%s%s", workdir->run, name ? "/" : "", name ? name : "");
    auto_free char *place = buf_take(&path);
    if (!place)
        return err_no_memory(err);
    if (name && mkdir(place, 0700) < 0 && errno != EEXIST)
        return unusable("make", place, err);
    *ret_path = TAKE(place);
    return 0;
}

/* ------------------------------------------------------------------- items */

int workdir_new(const char *place, char **ret_path, struct err *err)
{
    auto_buf struct buf path = BUF_INIT;
    buf_printf(&path, "%s/" ITEM_PREFIX "XXXXXX", place);
    auto_free char *name = buf_take(&path);
    if (!name)
        return err_no_memory(err);
    if (!mkdtemp(name))
        return unusable("make a directory in", place, err);
    *ret_path = TAKE(name);
    return 0;
}

int workdir_read(const char *path, const char *name, size_t max_len, struct buf *ret, struct err *err)
{
    auto_close int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    /* O_NONBLOCK: package code may have left a FIFO there. */
    auto_close int file = directory < 0 ? -1 : openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    if (file < 0)
        return err_never(err, "no_item", "create-item succeeded but wrote no item: %s", strerror(errno));
    if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode))
        return err_never(err, "no_item", "create-item did not write a regular file as its item");
    if ((uint64_t)status.st_size > max_len)
        return err_never(err, "item_too_large", "the item has %lld bytes, more than item_limit (%zu)",
                         (long long)status.st_size, max_len);
    for (;;) {
        char chunk[16384];
        ssize_t n = read(file, chunk, sizeof(chunk));
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return err_fatal(err, errno, "cannot read the item");
        if (n > 0)
            buf_add(ret, chunk, (size_t)n);
        if (ret->len > max_len)
            return err_never(err, "item_too_large", "the item has more bytes than item_limit (%zu)", max_len);
    }
    return buf_failed(ret) ? err_no_memory(err) : 0;
}
