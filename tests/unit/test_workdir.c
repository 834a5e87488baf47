/* workdir: which directories are removed, measuring, reading. */
#include "itemgend/sandbox/workdir.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static char root[] = "/tmp/test_workdir.XXXXXX";

static void put(const char *folder, const char *name, size_t size)
{
    auto_buf struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", folder, name);
    FILE *file = fopen(buf_str(&path), "we");
    CHECK(file);
    for (size_t i = 0; file && i < size; i++)
        fputc('x', file);
    if (file)
        fclose(file);
}

static struct workdir *open_one(void)
{
    struct err err = ERR_INIT;
    struct workdir *workdir = NULL;
    CHECK(workdir_open(root, &workdir, &err) == 0);
    return workdir;
}

static char *item_of(struct workdir *workdir, const char *name)
{
    struct err err = ERR_INIT;
    auto_free char *place = NULL;
    char *item = NULL;
    CHECK_ROW(workdir_place(workdir, name, &place, &err) == 0, "%s", err.text);
    CHECK_ROW(place && workdir_new(place, &item, &err) == 0, "%s", err.text);
    return item;
}

static void test_runs(void)
{
    struct workdir *first = open_one();
    auto_free char *item = item_of(first, "place");
    put(item, "file", 1);
    auto_buf struct buf killed = BUF_INIT, empty = BUF_INIT;
    buf_printf(&killed, "%s/run-killed", root);
    buf_printf(&empty, "%s/new-killed", root);
    CHECK(mkdir(buf_str(&killed), 0700) == 0 && mkdir(buf_str(&empty), 0700) == 0);
    put(buf_str(&killed), "file", 1);

    struct workdir *second = open_one();
    auto_free char *its_item = item_of(second, NULL);
    CHECK(access(item, F_OK) == 0); /* the first still runs */
    CHECK(access(buf_str(&killed), F_OK) < 0);
    CHECK(access(buf_str(&empty), F_OK) < 0);

    workdir_close(first);
    CHECK(access(item, F_OK) < 0);
    CHECK(access(its_item, F_OK) == 0);
    workdir_close(second);
    CHECK(access(its_item, F_OK) < 0);
    workdir_close(NULL);
}

/* A run that made no item also removes leftovers: the killed run may have had the last request. */
static void test_killed_before_an_idle_one(void)
{
    auto_buf struct buf killed = BUF_INIT;
    buf_printf(&killed, "%s/run-killed", root);
    CHECK(mkdir(buf_str(&killed), 0700) == 0);
    put(buf_str(&killed), "file", 1);
    workdir_close(open_one());
    CHECK(access(buf_str(&killed), F_OK) < 0);
}

static void test_deep_and_locked(void)
{
    enum { DEPTH = 1100 }; /* its path exceeds the 4 KiB that a path can have */
    struct workdir *workdir = open_one();
    auto_free char *item = item_of(workdir, NULL);
    int directory = open(item, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < DEPTH && directory >= 0; i++) {
        CHECK(mkdirat(directory, "abc", 0700) == 0);
        auto_close int file = openat(directory, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK(file >= 0);
        int deeper = openat(directory, "abc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (i % 100 == 1)
            CHECK(fchmod(directory, 0) == 0); /* after that, only root can make anything in it */
        close(directory);
        directory = deeper;
    }
    CHECK(directory >= 0);
    base_close_fd(&directory);
    CHECK(symlink("/etc", item) < 0);
    CHECK(workdir_usage(item, 1 << 30) > 1 << 30);
    workdir_remove(item);
    CHECK(access(item, F_OK) < 0);
    workdir_close(workdir);
}

static void test_usage_and_links(void)
{
    struct workdir *workdir = open_one();
    auto_free char *item = item_of(workdir, NULL);
    auto_free char *other = item_of(workdir, NULL);
    put(other, "kept", 100000);
    CHECK(workdir_usage(item, 1 << 20) == 0);
    put(item, "a", 100000);
    int64_t size = workdir_usage(item, 1 << 20);
    CHECK_ROW(size >= 100000 && size < 120000, "%lld", (long long)size);
    CHECK(workdir_usage(item, 50000) > 50000);
    auto_buf struct buf link = BUF_INIT;
    buf_printf(&link, "%s/link", item);
    CHECK(symlink(other, buf_str(&link)) == 0);
    CHECK(workdir_usage(item, 1 << 20) < 130000);
    workdir_remove(item);
    CHECK(access(item, F_OK) < 0);
    CHECK(workdir_usage(other, 1 << 20) >= 100000);
    CHECK(workdir_usage(item, 1 << 20) > 1 << 20); /* it is gone, so its size is unknown */
    workdir_close(workdir);
}

static char *path_of(const char *folder, const char *name)
{
    auto_buf struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", folder, name);
    return buf_take(&path);
}

/* A fork server can replace the directory of one of its items by a link. */
static void test_link_in_its_place(void)
{
    struct workdir *workdir = open_one();
    auto_free char *item = item_of(workdir, NULL);
    auto_free char *other = path_of(root, "other");
    struct stat status;
    struct err err = ERR_INIT;
    auto_buf struct buf text = BUF_INIT;
    CHECK(mkdir(other, 0755) == 0 && chmod(other, 0755) == 0);
    put(other, "item.json", 2);
    CHECK(rmdir(item) == 0 && symlink(other, item) == 0);
    CHECK(workdir_read(item, "item.json", 100, &text, &err) == NEVER);
    CHECK_STRING(err.code, "no_item");
    workdir_remove(item);
    CHECK(lstat(item, &status) < 0);
    CHECK(stat(other, &status) == 0 && (status.st_mode & 07777) == 0755);
    workdir_remove(other);
    workdir_close(workdir);
}

enum { MANY = 1000 };

struct mover {
    const char *watched, *from, *to;
    bool moved;
};

/* Moves the directory away after its removal has begun. */
static void *move_while_removed(void *context)
{
    struct mover *mover = context;
    bool begun = false;
    for (bool is_there = true; is_there && !begun;) {
        for (int i = 0; i < MANY && !begun; i += 10) {
            auto_buf struct buf path = BUF_INIT;
            buf_printf(&path, "%s/%d", mover->watched, i);
            begun = access(buf_str(&path), F_OK) < 0;
        }
        is_there = access(mover->from, F_OK) == 0;
    }
    mover->moved = rename(mover->from, mover->to) == 0;
    return NULL;
}

static bool remove_while_moved(struct workdir *workdir, const char *kept)
{
    auto_free char *item = item_of(workdir, "place");
    auto_free char *outer = path_of(item, "outer"), *inner = path_of(outer, "inner"), *to = path_of(kept, "inner");
    CHECK(mkdir(outer, 0700) == 0 && mkdir(inner, 0700) == 0);
    for (int i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d", i);
        put(inner, name, 0);
    }
    struct mover mover = { .watched = inner, .from = inner, .to = to };
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, move_while_removed, &mover) == 0);
    workdir_remove(item);
    pthread_join(thread, NULL);
    workdir_remove(item);
    CHECK(access(item, F_OK) < 0);
    workdir_remove(to);
    return mover.moved;
}

/* A fork server can move a directory while it is emptied. Its new parents must stay. */
static void test_moved_meanwhile(void)
{
    struct workdir *workdir = open_one();
    auto_free char *kept = path_of(root, "kept"), *file = path_of(kept, "file");
    CHECK(mkdir(kept, 0700) == 0);
    put(kept, "file", 1);
    bool moved = false;
    for (int i = 0; i < 50 && !moved; i++)
        moved = remove_while_moved(workdir, kept);
    CHECK(moved);
    CHECK(access(file, F_OK) == 0);
    workdir_remove(kept);
    workdir_close(workdir);
}

static void test_unusable(void)
{
    struct err err = ERR_INIT;
    struct workdir *workdir = NULL;
    auto_free char *place = NULL;
    CHECK(workdir_open("/proc/nonexistent", &workdir, &err) == 0);
    CHECK(workdir_place(workdir, NULL, &place, &err) == LATER && err.outage);
    CHECK_STRING(err.code, "work_dir_unusable");
    workdir_close(workdir);
}

static bool run_once(void *context)
{
    (void)context;
    struct workdir *workdir = NULL;
    auto_free char *place = NULL;
    auto_free char *item = NULL;
    int r = workdir_open(root, &workdir, NULL);
    if (r == 0)
        r = workdir_place(workdir, "place", &place, NULL);
    if (r == 0)
        r = workdir_new(place, &item, NULL);
    workdir_close(workdir);
    return r == 0;
}

int main(void)
{
    CHECK(mkdtemp(root));
    test_runs();
    test_killed_before_an_idle_one();
    test_deep_and_locked();
    test_usage_and_links();
    test_link_in_its_place();
    test_moved_meanwhile();
    test_unusable();
    test_failing_allocations(run_once, NULL);
    workdir_remove(root);
    return test_end();
}
