#include "itemgend-network/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "itemgend-network/rules.h"

enum { RESOLV_CONF_MAX = 65536 };

int inside_failed(const char *message)
{
    fprintf(stderr, "itemgend-network: %s: %s\n", message, strerror(errno));
    return INSIDE_FAILED;
}

static bool write_file(const char *path, int flags, const char *text)
{
    auto_close int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* The user becomes root in the namespace, because slirp4netns, which joins it, requires that. */
static int make_namespaces(void)
{
    uid_t user = geteuid();
    gid_t group = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
        return inside_failed("cannot make namespaces");
    char users[64], groups[64];
    snprintf(users, sizeof(users), "0 %u 1", user);
    snprintf(groups, sizeof(groups), "0 %u 1", group);
    if (!write_file("/proc/self/setgroups", 0, "deny") || !write_file("/proc/self/uid_map", 0, users) ||
        !write_file("/proc/self/gid_map", 0, groups))
        return inside_failed("cannot map the user");
    return 0;
}

/* The machine's resolv.conf with our resolvers, because its own may have closed addresses. */
static bool make_resolv_conf(const char *resolvers, struct buf *ret)
{
    auto_close int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
    auto_buf struct buf text = BUF_INIT;
    char *room = buf_reserve(&text, RESOLV_CONF_MAX);
    ssize_t n = fd < 0 || !room ? -1 : read(fd, room, RESOLV_CONF_MAX);
    if (n < 0)
        return false;
    text.len = (size_t)n;
    room[n] = '\0';
    buf_puts(ret, resolvers);
    for (char *rest = room, *line; (line = strsep(&rest, "\n"));)
        if (strncmp(line, "nameserver", strlen("nameserver")) != 0 && *line)
            buf_printf(ret, "%s\n", line);
    return !buf_failed(ret);
}

/* Mounts a file system in memory over /proc, just long enough to bind the file from it: /proc exists everywhere, and
 * nothing here needs it meanwhile. */
static int replace_resolv_conf(const char *resolvers)
{
    auto_buf struct buf text = BUF_INIT;
    if (!make_resolv_conf(resolvers, &text))
        return errno == ENOENT ? 0 : inside_failed("cannot read /etc/resolv.conf");
    if (mount("tmpfs", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=128k,mode=0755") < 0 ||
        !write_file("/proc/resolv.conf", O_CREAT, buf_str(&text)) ||
        mount("/proc/resolv.conf", "/etc/resolv.conf", NULL, MS_BIND, NULL) < 0 || umount2("/proc", MNT_DETACH) < 0)
        return inside_failed("cannot replace resolv.conf");
    return 0;
}

static void become_nft(int rules_fd)
{
    const char *path = getenv("PATH");
    auto_buf struct buf search = BUF_INIT;
    buf_printf(&search, "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin");
    if (buf_failed(&search) || setenv("PATH", buf_str(&search), 1) < 0 || dup2(rules_fd, 0) < 0 || dup2(2, 1) < 0)
        _exit(inside_failed("cannot start nft"));
    execlp("nft", "nft", "-f", "-", NULL);
    _exit(inside_failed("cannot run nft (package nftables)"));
}

static int set_rules(const char *rules)
{
    auto_close int fd = memfd_create("rules", MFD_CLOEXEC);
    size_t len = strlen(rules);
    if (fd < 0 || write(fd, rules, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)
        return inside_failed("cannot keep the rules");
    pid_t pid = fork();
    if (pid < 0)
        return inside_failed("cannot start nft");
    if (pid == 0)
        become_nft(fd);
    int status = 0;
    waitpid(pid, &status, 0);
    return status == 0 ? 0 : INSIDE_FAILED; /* nft has printed why */
}

/* Lets answers to loopback addresses in, on this device only, and only if ports of loopback are open. */
static int let_loopback_out(void)
{
    return write_file("/proc/sys/net/ipv4/conf/" RULES_DEVICE "/route_localnet", 0, "1")
               ? 0
               : inside_failed("cannot let loopback_ports out");
}

/*
 * After this, root in the namespace has no power over the rules, and the program neither. One capability stays: without
 * CAP_SETFCAP the kernel does not let root make a user namespace, which bubblewrap must do (user_namespaces(7), on
 * mapping user 0).
 */
static bool give_up_capabilities(void)
{
    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
        if (capability != CAP_SETFCAP && prctl(PR_CAPBSET_DROP, capability) < 0)
            return false;
    return true;
}

int inside_run(const struct inside *inside)
{
    char byte = 0;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != inside->parent)
        return INSIDE_FAILED;
    if (make_namespaces() != 0 || replace_resolv_conf(inside->resolvers) != 0)
        return INSIDE_FAILED;
    if (write(inside->control, &byte, 1) != 1 || read(inside->control, &byte, 1) != 1)
        return INSIDE_FAILED; /* the parent has printed why */
    if (set_rules(inside->rules) != 0 || (inside->has_ports && let_loopback_out() != 0))
        return INSIDE_FAILED;
    if (!give_up_capabilities())
        return inside_failed("cannot give capabilities up");
    execvp(inside->program[0], inside->program);
    return inside_failed(inside->program[0]);
}
