#include "itemgend/sandbox/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { PIDS_MAX = 16384, ROUNDS_MAX = 100, FILES_MAX = 64 };

struct pids {
    size_t n, max;
    pid_t list[PIDS_MAX];
};

/* --------------------------------------------------------- the processes */

static void add_children_of_thread(pid_t pid, const char *thread, struct pids *pids)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", (int)pid, thread);
    FILE *file = fopen(path, "re");
    int child;
    while (file && pids->n < pids->max && fscanf(file, "%d", &child) == 1)
        pids->list[pids->n++] = child;
    if (file)
        fclose(file);
}

static void add_children(pid_t pid, struct pids *pids)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    for (const struct dirent *entry; threads && (entry = readdir(threads));)
        if (entry->d_name[0] != '.')
            add_children_of_thread(pid, entry->d_name, pids);
    if (threads)
        closedir(threads);
}

/* The caller frees it. NULL: no memory. */
static struct pids *descendants(pid_t root, size_t max)
{
    struct pids *pids = malloc(sizeof(*pids));
    if (!pids)
        return NULL;
    pids->n = 0;
    pids->max = max < PIDS_MAX ? max : PIDS_MAX;
    add_children(root, pids);
    for (size_t i = 0; i < pids->n; i++)
        add_children(pids->list[i], pids);
    return pids;
}

/* ----------------------------------------------------------------- usage */

static void add_stat(pid_t pid, struct process_tree_usage *usage)
{
    char path[64], line[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    if (n <= 0)
        return;
    line[n] = '\0';
    const char *fields = strrchr(line, ')'); /* the name before it may contain anything */
    long ticks[4] = { 0 }, pages = 0;
    /* After the state: utime, stime, cutime, cstime are fields 14 to 17, rss is field 24 of proc(5). */
    if (!fields ||
        sscanf(fields + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld %ld %ld %*d %*d %*d %*d %*u %*u %ld",
               &ticks[0], &ticks[1], &ticks[2], &ticks[3], &pages) != 5)
        return;
    usage->cpu_ms += (ticks[0] + ticks[1] + ticks[2] + ticks[3]) * 1000 / sysconf(_SC_CLK_TCK);
    usage->memory += pages * sysconf(_SC_PAGESIZE);
}

/* The files counted so far: children inherit the open files of their parents. */
struct files {
    size_t n;
    struct {
        dev_t device;
        ino_t number;
    } list[FILES_MAX];
    int64_t memory, disk;
};

static bool is_new(const struct stat *status, struct files *files)
{
    for (size_t i = 0; i < files->n; i++)
        if (files->list[i].device == status->st_dev && files->list[i].number == status->st_ino)
            return false;
    if (files->n < FILES_MAX) {
        files->list[files->n].device = status->st_dev;
        files->list[files->n++].number = status->st_ino;
    }
    return true;
}

/* Unlinked files show neither in the memory of a process nor in its directory. */
static void add_file(int directory, const char *name, struct files *files)
{
    struct stat status;
    struct statfs system;
    if (fstatat(directory, name, &status, 0) < 0 || !S_ISREG(status.st_mode) || status.st_nlink != 0 ||
        !is_new(&status, files))
        return;
    /* O_PATH does not open the file itself, so no lease or lock can block us. */
    auto_close int fd = openat(directory, name, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstatfs(fd, &system) < 0)
        return;
    bool in_memory = system.f_type == TMPFS_MAGIC || system.f_type == HUGETLBFS_MAGIC;
    *(in_memory ? &files->memory : &files->disk) += status.st_blocks * 512;
}

static void add_files(pid_t pid, struct files *files)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    for (const struct dirent *entry; directory && (entry = readdir(directory));)
        if (entry->d_name[0] != '.')
            add_file(dirfd(directory), entry->d_name, files);
    if (directory)
        closedir(directory);
}

struct proportional {
    int64_t all, shared; /* bytes; `shared`: the part in shared maps and files in memory */
};

/* Adds each page divided by the number of processes that share it (proc(5), smaps_rollup). False: not available. */
static bool add_proportional(pid_t pid, struct proportional *sum)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool found = false;
    for (long kib; fgets(line, sizeof(line), file);) {
        if (sscanf(line, "Pss: %ld kB", &kib) == 1) {
            sum->all += (int64_t)kib << 10;
            found = true;
        } else if (sscanf(line, "Pss_Shmem: %ld kB", &kib) == 1) {
            sum->shared += (int64_t)kib << 10;
        }
    }
    fclose(file);
    return found;
}

/* `otherwise`: the result if the kernel reports none of the processes. */
static int64_t exact_memory(const struct pids *pids, int64_t files_memory, int64_t otherwise)
{
    struct proportional sum = { 0, 0 };
    bool known = false;
    for (size_t i = 0; i < pids->n; i++)
        known |= add_proportional(pids->list[i], &sum);
    if (!known)
        return otherwise;
    /* A file that is both mapped and open counts once. */
    return sum.all - sum.shared + (files_memory > sum.shared ? files_memory : sum.shared);
}

void process_tree_measure(pid_t root, int64_t memory_limit, int64_t process_limit, struct process_tree_usage *ret)
{
    *ret = (struct process_tree_usage){ .processes = 0 };
    auto_free struct pids *pids = descendants(root, (size_t)process_limit + 1);
    if (!pids)
        return;
    ret->processes = (int64_t)pids->n;
    if (ret->processes > process_limit)
        return; /* measuring so many would take long, and they may fork meanwhile */
    struct files files = { .n = 0 };
    for (size_t i = 0; i < pids->n; i++) {
        add_stat(pids->list[i], ret);
        add_files(pids->list[i], &files);
    }
    ret->memory += files.memory;
    ret->disk = files.disk;
    if (ret->memory > memory_limit)
        ret->memory = exact_memory(pids, files.memory, ret->memory);
}

/* ----------------------------------------------------------------- killing */

static size_t signal_all(pid_t root, int number)
{
    auto_free struct pids *pids = descendants(root, PIDS_MAX);
    for (size_t i = 0; pids && i < pids->n; i++)
        kill(pids->list[i], number);
    return pids ? pids->n : 0;
}

void process_tree_kill(pid_t root)
{
    /* Stopped processes cannot fork: once a round finds no new ones, all of them are stopped. */
    size_t before = 0, now;
    for (int round = 0; round < ROUNDS_MAX && (now = signal_all(root, SIGSTOP)) != before; round++)
        before = now;
    signal_all(root, SIGKILL);
}
