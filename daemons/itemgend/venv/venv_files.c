#include "itemgend/venv/venv_files.h"

#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "itemgend/sandbox/spawn.h"

char *venv_files_path(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *path = NULL;
    int len = vasprintf(&path, format, args);
    va_end(args);
    return len < 0 ? NULL : path;
}

char *venv_files_find_program(const char *name)
{
    auto_free char *path = spawn_find(name);
    return path ? realpath(path, NULL) : NULL;
}

bool venv_files_read(int fd, size_t max, struct buf *ret)
{
    size_t len = 0;
    for (;;) {
        char chunk[4096];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n == 0)
            return !buf_failed(ret);
        if (n < 0 && errno == EINTR)
            continue;
        len += n > 0 ? (size_t)n : 0;
        if (n < 0 || len > max)
            return false;
        buf_add(ret, chunk, (size_t)n);
    }
}

void venv_files_list(const char *directory, const char *prefix, struct strv *ret)
{
    DIR *open = opendir(directory);
    if (!open)
        return;
    for (const struct dirent *entry; (entry = readdir(open));)
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            strv_add(ret, "%s/%s", directory, entry->d_name);
    closedir(open);
}

int64_t venv_files_disk_usage(const char *directory, bool unshared)
{
    auto_free char *path = strdup(directory);
    char *const paths[] = { path, NULL };
    FTS *tree = path ? fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
    if (!tree)
        return 0;
    int64_t blocks = 0;
    for (const FTSENT *entry; (entry = fts_read(tree));)
        if (entry->fts_info != FTS_DP && entry->fts_statp && (!unshared || entry->fts_statp->st_nlink == 1))
            blocks += entry->fts_statp->st_blocks;
    fts_close(tree);
    return blocks * 512;
}
