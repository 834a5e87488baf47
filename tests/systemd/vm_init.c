/*
 * init of the virtual machine (vm.py). It loads the modules of the initial RAM file system, mounts a root file system,
 * and becomes systemd in it. The root is the host's over 9p, read-only, below an overlay whose changes are thrown away.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPTIONS_9P "trans=virtio,version=9p2000.L,msize=512000,cache=loose"

static void must(int result, const char *what)
{
    if (result >= 0)
        return;
    printf("init: %s: %s\n", what, strerror(errno));
    fflush(stdout);
    reboot(RB_POWER_OFF);
    abort();
}

/* In the order of the file's lines, which are paths. */
static void load_modules(void)
{
    FILE *list = fopen("/modules", "re");
    must(list ? 0 : -1, "/modules");
    for (char path[256]; fgets(path, sizeof(path), list);) {
        path[strcspn(path, "\n")] = '\0';
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        must(fd, path);
        long result = syscall(SYS_finit_module, fd, "", 0);
        must(result < 0 && errno != EEXIST ? -1 : 0, path);
        close(fd);
    }
    fclose(list);
}

static void make_folder(const char *path)
{
    must(mkdir(path, 0755), path);
}

int main(void)
{
    load_modules();
    make_folder("/host");
    make_folder("/writes");
    make_folder("/top");
    must(mount("host", "/host", "9p", MS_RDONLY, OPTIONS_9P), "the host's files");
    must(mount("tmpfs", "/writes", "tmpfs", 0, NULL), "tmpfs");
    make_folder("/writes/upper");
    make_folder("/writes/work");
    must(mount("overlay", "/top", "overlay", 0, "lowerdir=/host,upperdir=/writes/upper,workdir=/writes/work"),
         "overlay");
    /* systemd mounts the rest. */
    must(mount("tmpfs", "/top/run", "tmpfs", 0, "mode=755"), "/run");
    must(mount("tmpfs", "/top/tmp", "tmpfs", 0, "mode=1777"), "/tmp"); /* systemd empties it */
    make_folder("/top/run/vm");
    make_folder("/top/run/systemd");
    must(mount("vm", "/top/run/vm", "9p", 0, OPTIONS_9P), "the folder of the command");
    must(symlink("/run/vm", "/top/run/systemd/system"), "units");
    unlink("/top/.dockerenv"); /* so that systemd does not assume a container */
    must(chdir("/top"), "/top");
    must(mount(".", "/", NULL, MS_MOVE, NULL), "the root");
    must(chroot("."), "chroot");
    must(chdir("/"), "/");
    execl("/lib/systemd/systemd", "systemd", (char *)NULL);
    must(-1, "systemd");
}
