/*
 * cgroup: what it writes to which file, and that it changes nothing if a file is missing or refused. A directory of
 * plain files stands in for the cgroup file system; our mkdirat makes the files that the kernel puts into a new group.
 */
#include "itemgend/sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "itemgend/sandbox/workdir.h"

#include "test.h"

static char folder[] = "/tmp/test_cgroup.XXXXXX";
static const char *refused; /* a file that is missing in new groups */
static int killed;          /* removed groups whose cgroup.kill was written */

static const char *const files[][2] = {
    { "cgroup.procs", "" },
    { "cgroup.kill", "" },
    { "cgroup.max.descendants", "max" },
    { "memory.max", "max" },
    { "memory.oom.group", "0" },
    { "memory.swap.max", "max" },
    { "memory.peak", "4096\n" },
    { "memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n" },
};

static void write_file(int directory, const char *name, const char *text)
{
    auto_close int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK_ROW(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s", name, strerror(errno));
}

/* Replaces libc's. */
int mkdirat(int directory, const char *name, mode_t mode)
{
    int r = (int)syscall(SYS_mkdirat, directory, name, mode);
    auto_close int fd = r < 0 ? -1 : openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < N_ELEMENTS(files); i++)
        if (!refused || strcmp(refused, files[i][0]) != 0)
            write_file(fd, files[i][0], files[i][1]);
    return r;
}

int unlinkat(int directory, const char *name, int flags)
{
    auto_close int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char kill = '0';
    auto_close int kill_fd = fd < 0 ? -1 : openat(fd, "cgroup.kill", O_RDONLY | O_CLOEXEC);
    killed += kill_fd >= 0 && read(kill_fd, &kill, 1) == 1 && kill == '1';
    for (size_t i = 0; fd >= 0 && i < N_ELEMENTS(files); i++)
        syscall(SYS_unlinkat, fd, files[i][0], 0);
    return (int)syscall(SYS_unlinkat, directory, name, flags);
}

/* ---------------------------------------------------------------- a machine */

struct machine {
    const char *mounts; /* %s: the folder */
    const char *cgroup, *controllers;
    const char *without; /* a missing file of our own group */
};
#define MOUNTS "22 1 8:1 / / rw - ext4 /dev/sda rw\n30 22 0:26 / %s/fs rw - cgroup2 cgroup2 rw,nsdelegate\n"
static const struct machine good = { MOUNTS, "1:name=x:/else\n0::/our.service\n", "cpu memory pids\n", "" };

static char *path_of(const char *name)
{
    auto_buf struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", folder, name);
    return buf_take(&path);
}

static int open_folder(const char *name)
{
    auto_free char *path = path_of(name);
    syscall(SYS_mkdirat, AT_FDCWD, path, 0755);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void set_up(const struct machine *machine)
{
    auto_close int process = open_folder("process"), fs = open_folder("fs"), own = open_folder("fs/our.service");
    auto_buf struct buf mounts = BUF_INIT;
    const char *at = strstr(machine->mounts, "%s");
    buf_printf(&mounts, "%.*s%s%s", (int)(at - machine->mounts), machine->mounts, folder, at + 2);
    write_file(process, "mountinfo", buf_str(&mounts));
    write_file(process, "cgroup", machine->cgroup);
    write_file(own, "cgroup.controllers", machine->controllers);
    static const char *const there[] = { "cgroup.type", "cgroup.procs", "cgroup.subtree_control" };
    for (size_t i = 0; i < N_ELEMENTS(there); i++)
        if (strcmp(machine->without, there[i]) != 0)
            write_file(own, there[i], "");
}

static void tear_down(void)
{
    auto_free char *fs = path_of("fs");
    workdir_remove(fs);
}

static const char *content(const char *name)
{
    static char text[256];
    auto_free char *path = path_of(name);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    return n < 0 ? NULL : text;
}

static bool exists(const char *name)
{
    auto_free char *path = path_of(name);
    return access(path, F_OK) == 0;
}

static int open_groups(struct cgroups **ret, struct err *err)
{
    auto_free char *process = path_of("process");
    return cgroups_open(process, ret, err);
}

/* ------------------------------------------------------------------ the tests */

static void test_an_item(void)
{
    set_up(&good);
    auto_free char *left = path_of("fs/our.service/item-7");
    CHECK(mkdirat(AT_FDCWD, left, 0755) == 0);
    auto_close int in_use = open_folder("fs/our.service/item-8");
    write_file(in_use, "in-use", "");
    struct cgroups *cgroups = NULL;
    struct err err = ERR_INIT;
    CHECK_ROW(open_groups(&cgroups, &err) == 0, "%s", err.text);
    if (!cgroups)
        return;
    CHECK_STRING(content("fs/our.service/daemon/cgroup.procs"), "0");
    CHECK_STRING(content("fs/our.service/daemon/cgroup.max.descendants"), "0ax");
    CHECK_STRING(content("fs/our.service/cgroup.subtree_control"), "+memory");
    CHECK_ROW(!exists("fs/our.service/item-7") && exists("fs/our.service/item-8"), "leftovers, and what is in use");

    killed = 0; /* forget the trial group */
    struct cgroup cgroup = CGROUP_INIT, other = CGROUP_INIT;
    cgroup_make(cgroups, 300 << 20, &cgroup);
    cgroup_make(cgroups, 1, &other);
    CHECK(cgroup.fd >= 0 && other.fd >= 0 && strcmp(cgroup.name, other.name) != 0);
    cgroup_add(&cgroup, 1234);
    cgroup_enter(&other);
    auto_buf struct buf name = BUF_INIT;
    buf_printf(&name, "fs/our.service/%s/", cgroup.name);
    size_t len = name.len;
    static const char *const expected[][2] = { { "memory.max", "314572800" },
                                               { "memory.swap.max", "0ax" },
                                               { "memory.oom.group", "1" },
                                               { "cgroup.max.descendants", "0ax" },
                                               { "cgroup.procs", "1234" } };
    for (size_t i = 0; i < N_ELEMENTS(expected); i++) {
        name.len = len;
        buf_puts(&name, expected[i][0]);
        CHECK_STRING(content(buf_str(&name)), expected[i][1]);
    }
    int64_t peak = 77;
    CHECK(!cgroup_ran_out(&cgroup, &peak) && peak == 77);
    write_file(cgroup.fd, "memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 3\noom_group_kill 1\n");
    CHECK(cgroup_ran_out(&cgroup, &peak) && peak == 4096);
    peak = 5000;
    CHECK(cgroup_ran_out(&cgroup, &peak) && peak == 5000);
    cgroup_clear(&cgroup);
    CHECK(cgroup.fd < 0);
    cgroup_clear(&other);
    CHECK_ROW(killed == 2, "both are killed before they are removed");
    name.len = len;
    name.data[len] = '\0';
    CHECK(!exists(buf_str(&name)));
    cgroups_free(cgroups);
    CHECK_STRING(content("fs/our.service/cgroup.procs"), "0");
    CHECK_STRING(content("fs/our.service/cgroup.subtree_control"), "-memory");
    CHECK(!exists("fs/our.service/daemon"));
    tear_down();
}

static const struct {
    struct machine machine;
    const char *refused, *words;
} rows[] = {
    { { "30 22 0:26 / %s/fs rw - cgroup cgroup rw,memory,nsdelegate\n", "0::/our.service\n", "memory\n", "" },
      NULL,
      "no unified cgroup hierarchy" },
    { { "30 22 0:26 / %s/fs rw - cgroup2 cgroup2 rw\n", "0::/our.service\n", "memory\n", "" }, NULL, "nsdelegate" },
    { { "30 22 0:26 /part %s/fs rw - cgroup2 cgroup2 rw,nsdelegate\n", "0::/our.service\n", "memory\n", "" },
      NULL,
      "no unified" },
    { { MOUNTS, "4:memory:/x\n", "memory\n", "" }, NULL, "the own cgroup of this process is not visible" },
    { { MOUNTS, "0::/../our.service\n", "memory\n", "" }, NULL, "the own cgroup of this process is not visible" },
    { { MOUNTS, "0::/elsewhere\n", "memory\n", "" }, NULL, "fs/elsewhere: No such file" },
    { { MOUNTS, "0::/our.service\n", "cpu pids memory_else\n", "" }, NULL, "fs/our.service has no memory controller" },
    { { MOUNTS, "0::/our.service\n", "memory\n", "cgroup.type" }, NULL, "is the root of all cgroups" },
    { { MOUNTS, "0::/our.service\n", "memory\n", "cgroup.subtree_control" }, NULL, "cannot divide the memory of" },
    { { MOUNTS, "0::/our.service\n", "memory\n", "" }, "cgroup.procs", "cannot move into a subgroup of" },
    { { MOUNTS, "0::/our.service\n", "memory\n", "" }, "memory.max", "cannot limit the memory of a subgroup of" },
};

static void test_what_is_not_there(void)
{
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        set_up(&rows[i].machine);
        refused = rows[i].refused;
        struct cgroups *cgroups = NULL;
        struct err err = ERR_INIT;
        CHECK_ROW(open_groups(&cgroups, &err) == NEVER && !cgroups, "row %zu", i);
        CHECK_STRING(err.code, "no_cgroup");
        CHECK_ROW(strstr(err.text, rows[i].words), "row %zu: %s", i, err.text);
        CHECK_ROW(!exists("fs/our.service/daemon") && !exists("fs/our.service/item-0"), "row %zu: left", i);
        refused = NULL;
        tear_down();
    }
}

/* A group works with only memory.max and cgroup.procs. */
static void test_an_older_kernel(void)
{
    for (size_t i = 0; i < N_ELEMENTS(files); i++) {
        if (strcmp(files[i][0], "memory.max") == 0 || strcmp(files[i][0], "cgroup.procs") == 0)
            continue;
        set_up(&good);
        refused = files[i][0];
        struct cgroups *cgroups = NULL;
        struct err err = ERR_INIT;
        CHECK_ROW(open_groups(&cgroups, &err) == 0, "%s: %s", refused, err.text);
        struct cgroup cgroup = CGROUP_INIT;
        cgroup_make(cgroups, 1 << 20, &cgroup);
        CHECK_ROW(cgroup.fd >= 0, "%s", refused);
        int64_t peak = 0;
        CHECK_ROW(!cgroup_ran_out(&cgroup, &peak), "%s", refused);
        cgroup_clear(&cgroup);
        cgroups_free(cgroups);
        refused = NULL;
        tear_down();
    }
}

/* Without a group, all functions do nothing. */
static void test_none(void)
{
    struct cgroup cgroup = CGROUP_INIT;
    int64_t peak = 3;
    cgroup_make(NULL, 1, &cgroup);
    CHECK(cgroup.fd < 0);
    cgroup_add(&cgroup, getpid());
    cgroup_enter(&cgroup);
    CHECK(!cgroup_ran_out(&cgroup, &peak) && peak == 3);
    cgroup_clear(&cgroup);
    cgroups_free(NULL);

    /* A group that can no longer be made. */
    set_up(&good);
    struct cgroups *cgroups = NULL;
    struct err err = ERR_INIT;
    CHECK(open_groups(&cgroups, &err) == 0);
    refused = "memory.max";
    for (int i = 0; i < 2; i++) {
        cgroup_make(cgroups, 1, &cgroup);
        CHECK(cgroup.fd < 0);
        cgroup_clear(&cgroup);
    }
    CHECK(!exists("fs/our.service/item-1") && !exists("fs/our.service/item-2"));
    refused = NULL;
    cgroups_free(cgroups);
    tear_down();
}

int main(void)
{
    CHECK(mkdtemp(folder));
    test_an_item();
    test_what_is_not_there();
    test_an_older_kernel();
    test_none();
    workdir_remove(folder);
    return test_end();
}
