#include "itemgend/workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ITEM_PREFIX "item-"

int workdir_new(const char *parent, char **ret_path, struct err *err)
{
    auto_buf struct buf path = BUF_INIT;
    buf_printf(&path, "%s/" ITEM_PREFIX "XXXXXX", parent);
    auto_free char *name = buf_take(&path);
    if (!name)
        return err_no_memory(err);
    if (mkdir(parent, 0700) < 0 && errno != EEXIST)
        return err_outage(err, "work_dir_unusable", "cannot make work_dir %s: %s", parent, strerror(errno));
    if (!mkdtemp(name))
        return err_outage(err, "work_dir_unusable", "cannot make a directory in work_dir %s: %s", parent,
                          strerror(errno));
    *ret_path = TAKE(name);
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)where;
    if (type == FTW_DNR) /* package code may have locked its own directory */
        chmod(path, 0700);
    remove(path);
    return 0;
}

/* A directory that its maker has made unreadable needs to be opened before it can be emptied. */
static int open_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)where;
    if (type == FTW_D || type == FTW_DNR)
        chmod(path, 0700);
    return 0;
}

void workdir_remove(const char *path)
{
    if (!path)
        return;
    nftw(path, open_entry, 16, FTW_PHYS);
    nftw(path, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
}

void workdir_remove_old(const char *parent)
{
    DIR *directory = opendir(parent);
    if (!directory)
        return;
    for (const struct dirent *entry; (entry = readdir(directory));) {
        if (strncmp(entry->d_name, ITEM_PREFIX, strlen(ITEM_PREFIX)) != 0)
            continue;
        auto_buf struct buf path = BUF_INIT;
        buf_printf(&path, "%s/%s", parent, entry->d_name);
        if (!buf_failed(&path))
            workdir_remove(buf_str(&path));
    }
    closedir(directory);
}

int workdir_read(const char *path, const char *name, size_t max_len, struct buf *ret, struct err *err)
{
    auto_close int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* O_NONBLOCK: package code may have left a FIFO there. */
    auto_close int file = directory < 0 ? -1 : openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    if (file < 0)
        return err_never(err, "no_item", "create-item ended well but wrote no item: %s", strerror(errno));
    if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode))
        return err_never(err, "no_item", "create-item wrote something that is no file where the item should be");
    if ((uint64_t)status.st_size > max_len)
        return err_never(err, "item_too_large", "the item is %lld bytes large, more than item_limit (%zu)",
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
            return err_never(err, "item_too_large", "the item is more than item_limit (%zu bytes) large", max_len);
    }
    return buf_failed(ret) ? err_no_memory(err) : 0;
}
