#include "itemgend/sandbox/libexec.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "base/buf.h"

int libexec_find(const char *name, char **ret_path, struct err *err)
{
    char program[PATH_MAX] = "";
    if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
        return err_fatal(err, errno, "cannot find the path of this program");
    char *end = strrchr(program, '/');
    if (end)
        *end = '\0';
    auto_buf struct buf path = BUF_INIT;
    buf_printf(&path, "%s/../libexec/stactools-ingest/%s", program, name);
    if (buf_failed(&path))
        return err_no_memory(err);
    *ret_path = realpath(buf_str(&path), NULL);
    return *ret_path ? 0 : err_never(err, "helper_missing", "cannot find %s: %s", buf_str(&path), strerror(errno));
}
