#include "base/user.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

const char *user_variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool add_home(struct buf *ret)
{
    const char *home = user_variable("HOME");
    if (home) {
        buf_puts(ret, home);
        return true;
    }
    char storage[4096];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(getuid(), &entry, storage, sizeof(storage), &found) != 0 || !found)
        return false;
    buf_puts(ret, found->pw_dir);
    return true;
}

int user_path(const char *path, struct buf *ret, struct err *err)
{
    if (path[0] == '~' && path[1] == '/') {
        if (!add_home(ret))
            return err_never(err, "no_home", "%s: HOME is not set and the user has no home directory", path);
        path++;
    }
    buf_puts(ret, path);
    return buf_failed(ret) ? err_no_memory(err) : 0;
}

static int read_all(int fd, size_t max_len, struct buf *ret)
{
    enum { STEP = 4096 };
    for (size_t len = 0;;) {
        char *room = buf_reserve(ret, STEP);
        if (!room)
            return ENOMEM;
        ssize_t n = read(fd, room, STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : 0;
        ret->len += (size_t)n;
        ret->data[ret->len] = '\0';
        len += (size_t)n;
        if (len > max_len)
            return EFBIG;
    }
}

int user_read_file(const char *path, size_t max_len, struct buf *ret, int *ret_errno, struct err *err)
{
    /* O_NONBLOCK: opening a fifo without a writer would block for ever. */
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    *ret_errno = fd < 0 ? errno : read_all(fd, max_len, ret);
    if (*ret_errno == ENOMEM)
        return err_no_memory(err);
    if (*ret_errno != 0)
        return err_never(err, "cannot_read", "cannot read %s: %s", path, strerror(*ret_errno));
    return 0;
}
