#include "itemgend/sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time.h"
#include "daemon/log.h"

#define DAEMON "daemon"
#define ITEM "item-"

enum { TEXT_MAX = 1024, REMOVE_WAIT_MS = 1000, REMOVE_LOOK_MS = 5, TRIAL_LIMIT = 1 << 20 };

struct cgroups {
    int fd;                 /* of our own group's directory */
    atomic_uint made;       /* subgroups, so far */
    atomic_flag has_warned; /* that one could not be made */
};

/* ------------------------------------------------------------ control files */

/* Writes with a single call, which the kernel requires. Async-signal-safe. */
static bool put(int directory, const char *name, const char *text)
{
    int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    int error_number = errno;
    close(fd);
    errno = error_number;
    return done;
}

static bool get(int directory, const char *name, char ret[TEXT_MAX])
{
    auto_close int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret, TEXT_MAX - 1);
    ret[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

/* ------------------------------------------------------------ our own group */

static void close_file(FILE **file)
{
    if (*file)
        fclose(*file);
}

/* The mount point of the unified hierarchy. False: it is not mounted with nsdelegate and its root. */
static bool find_mount(FILE *mounts, char ret[PATH_MAX])
{
    auto_free char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, mounts) > 0) { /* proc(5), /proc/pid/mountinfo */
        char root[PATH_MAX];
        const char *type = strstr(line, " - cgroup2 ");
        if (type && strstr(type, "nsdelegate") && sscanf(line, "%*d %*d %*s %4095s %4095s", root, ret) == 2 &&
            strcmp(root, "/") == 0)
            return true;
    }
    return false;
}

/* The path of our cgroup in that hierarchy. */
static bool find_own(FILE *groups, char ret[PATH_MAX])
{
    auto_free char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, groups) > 0)
        if (sscanf(line, "0::%4095[^\n]", ret) == 1)
            return ret[0] == '/' && !strstr(ret, "/.."); /* it is outside of our namespace */
    return false;
}

static FILE *open_of(const char *process, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", process, name);
    return fopen(path, "re");
}

static int open_own(const char *process, char ret_path[2 * PATH_MAX], int *ret_fd, struct err *err)
{
    cleanup(close_file) FILE *mounts = open_of(process, "mountinfo"), *groups = open_of(process, "cgroup");
    char mount[PATH_MAX], own[PATH_MAX];
    if (!mounts || !find_mount(mounts, mount))
        return err_never(err, "no_cgroup", "no unified cgroup hierarchy is mounted here with nsdelegate");
    if (!groups || !find_own(groups, own))
        return err_never(err, "no_cgroup", "the own cgroup of this process is not visible here");
    snprintf(ret_path, 2 * PATH_MAX, "%s%s", mount, strcmp(own, "/") == 0 ? "" : own);
    *ret_fd = open(ret_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? err_never(err, "no_cgroup", "cannot open %s: %s", ret_path, strerror(errno)) : 0;
}

static bool has_memory(int own)
{
    char text[TEXT_MAX];
    char *rest = get(own, "cgroup.controllers", text) ? text : NULL;
    for (const char *word; (word = strsep(&rest, " \n"));)
        if (strcmp(word, "memory") == 0)
            return true;
    return false;
}

/* Left by a killed itemgend. Subgroups with processes cannot be removed, and stay. */
static void remove_leftovers(int own)
{
    int fd = openat(own, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    for (const struct dirent *entry; directory && (entry = readdir(directory));)
        if (strncmp(entry->d_name, ITEM, strlen(ITEM)) == 0)
            (void)unlinkat(own, entry->d_name, AT_REMOVEDIR);
    if (directory)
        closedir(directory);
    else
        base_close_fd(&fd);
}

static void give_back(int own)
{
    put(own, "cgroup.subtree_control", "-memory");
    put(own, "cgroup.procs", "0");
    (void)unlinkat(own, DAEMON, AT_REMOVEDIR);
}

/* NULL: done. Otherwise the step that failed, with errno set. */
static const char *take_over(int own)
{
    if (mkdirat(own, DAEMON, 0755) < 0 && errno != EEXIST)
        return "make a subgroup of";
    if (!put(own, DAEMON "/cgroup.procs", "0"))
        return "move into a subgroup of";
    put(own, DAEMON "/cgroup.max.descendants", "0");
    return put(own, "cgroup.subtree_control", "+memory") ? NULL : "divide the memory of";
}

/* -------------------------------------------------------------- a subgroup */

static bool make(struct cgroups *cgroups, int64_t memory_limit, struct cgroup *ret)
{
    auto_cgroup struct cgroup cgroup = { .cgroups = cgroups, .fd = -1 };
    int r;
    do {
        snprintf(cgroup.name, sizeof(cgroup.name), ITEM "%u", cgroups->made++);
        r = mkdirat(cgroups->fd, cgroup.name, 0755);
    } while (r < 0 && errno == EEXIST);
    if (r < 0)
        return false;
    cgroup.fd = openat(cgroups->fd, cgroup.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char limit[24];
    snprintf(limit, sizeof(limit), "%lld", (long long)memory_limit);
    if (cgroup.fd < 0 || !put(cgroup.fd, "memory.max", limit)) {
        int error_number = errno;
        cgroup_clear(&cgroup);
        errno = error_number;
        return false;
    }
    put(cgroup.fd, "memory.swap.max", "0"); /* missing on kernels without swap */
    put(cgroup.fd, "memory.oom.group", "1");
    put(cgroup.fd, "cgroup.max.descendants", "0");
    *ret = cgroup;
    cgroup = (struct cgroup)CGROUP_INIT;
    return true;
}

void cgroup_make(struct cgroups *cgroups, int64_t memory_limit, struct cgroup *ret)
{
    if (cgroups && !make(cgroups, memory_limit, ret) && !atomic_flag_test_and_set(&cgroups->has_warned))
        log_write(LOG_WARNING, LOG_EVENT_WARNING, NULL,
                  "cannot make a cgroup for an item, so its memory is only sampled: %s", strerror(errno));
}

void cgroup_add(const struct cgroup *cgroup, pid_t pid)
{
    char text[24];
    snprintf(text, sizeof(text), "%d", (int)pid);
    if (cgroup->fd >= 0)
        put(cgroup->fd, "cgroup.procs", text);
}

void cgroup_enter(const struct cgroup *cgroup)
{
    if (cgroup->fd >= 0)
        put(cgroup->fd, "cgroup.procs", "0");
}

bool cgroup_ran_out(const struct cgroup *cgroup, int64_t *peak)
{
    char text[TEXT_MAX];
    long long value = 0;
    const char *kills = cgroup->fd >= 0 && get(cgroup->fd, "memory.events", text) ? strstr(text, "\noom_kill ") : NULL;
    if (!kills || sscanf(kills, " oom_kill %lld", &value) != 1 || value == 0)
        return false;
    if (get(cgroup->fd, "memory.peak", text) && sscanf(text, "%lld", &value) == 1 && value > *peak)
        *peak = value;
    return true;
}

void cgroup_clear(struct cgroup *cgroup)
{
    if (!cgroup->cgroups)
        return;
    put(cgroup->fd, "cgroup.kill", "1");
    base_close_fd(&cgroup->fd);
    int64_t deadline_ms = time_mono_ms() + REMOVE_WAIT_MS; /* killed processes take a moment to end */
    while (unlinkat(cgroup->cgroups->fd, cgroup->name, AT_REMOVEDIR) < 0 && errno == EBUSY &&
           time_mono_ms() < deadline_ms)
        wait_fd(-1, 0, -1, time_mono_ms() + REMOVE_LOOK_MS);
    *cgroup = (struct cgroup)CGROUP_INIT;
}

/* ------------------------------------------------------------ taking over */

int cgroups_open(const char *process, struct cgroups **ret, struct err *err)
{
    char path[2 * PATH_MAX];
    auto_close int fd = -1;
    int r = open_own(process, path, &fd, err);
    if (r != 0)
        return r;
    if (!has_memory(fd))
        return err_never(err, "no_cgroup", "%s has no memory controller", path);
    struct stat status;
    if (fstatat(fd, "cgroup.type", &status, 0) < 0)
        return err_never(err, "no_cgroup", "%s is the root of all cgroups", path);
    struct cgroups *cgroups = calloc(1, sizeof(*cgroups));
    if (!cgroups)
        return err_no_memory(err);
    *cgroups = (struct cgroups){ .fd = fd, .has_warned = ATOMIC_FLAG_INIT };
    const char *failed = take_over(fd);
    auto_cgroup struct cgroup trial = CGROUP_INIT;
    if (!failed) {
        remove_leftovers(fd);
        failed = make(cgroups, TRIAL_LIMIT, &trial) ? NULL : "limit the memory of a subgroup of";
    }
    if (failed) {
        r = err_never(err, "no_cgroup", "cannot %s %s: %s", failed, path, strerror(errno));
        give_back(fd);
        free(cgroups);
        return r;
    }
    fd = -1;
    *ret = cgroups;
    return 0;
}

void cgroups_free(struct cgroups *cgroups)
{
    if (!cgroups)
        return;
    give_back(cgroups->fd);
    base_close_fd(&cgroups->fd);
    free(cgroups);
}
