#include "itemgend/sandbox/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/process.h"
#include "base/time.h"
#include "itemgend/sandbox/process_tree.h"

enum { KILL_WAIT_MS = 10000 };

/* ------------- after fork: only async-signal-safe calls, because other threads may have held any lock */

/* The hard limit stays, because helpers that run before the program, such as its network, need more than an item. */
static void limit(int resource, int64_t value)
{
    struct rlimit limits;
    if (getrlimit((__rlimit_resource_t)resource, &limits) < 0)
        return;
    limits.rlim_cur = (rlim_t)value < limits.rlim_max ? (rlim_t)value : limits.rlim_max;
    setrlimit((__rlimit_resource_t)resource, &limits);
}

static void forget_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* This process ends with its parent, which may have ended already. */
static void end_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
}

/* Becomes the program. On failure it writes errno to report_fd, which a successful exec closes. */
static void become(const struct spawn *spawn, const char *program, pid_t keeper, int report_fd)
{
    end_with(keeper);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (spawn->cgroup)
        cgroup_enter(spawn->cgroup);
    limit(RLIMIT_DATA, spawn->memory_limit);
    limit(RLIMIT_FSIZE, spawn->file_limit);
    /* Moved out of the way of descriptors 0 to 3, which are replaced below. */
    int output_fd = fcntl(spawn->output_fd, F_DUPFD_CLOEXEC, 10);
    int control_fd = spawn->control_fd < 0 ? -1 : fcntl(spawn->control_fd, F_DUPFD_CLOEXEC, 10);
    int report = fcntl(report_fd, F_DUPFD_CLOEXEC, 10);
    int input_fd = open("/dev/null", O_RDONLY);
    bool ready = output_fd >= 0 && report >= 0 && dup2(input_fd, 0) == 0 && dup2(output_fd, 1) == 1 &&
                 dup2(output_fd, 2) == 2 && (control_fd < 0 || dup2(control_fd, SPAWN_CONTROL_FD) >= 0);
    close_range(control_fd < 0 ? SPAWN_CONTROL_FD : SPAWN_CONTROL_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    limit(RLIMIT_NOFILE, spawn->files); /* only now: more may have been open in this process before */
    if (ready && chdir(spawn->directory) == 0)
        execve(program, (char *const *)(uintptr_t)spawn->argv, (char *const *)(uintptr_t)spawn->environment);
    int error_number = errno;
    ssize_t written = write(report, &error_number, sizeof(error_number));
    _exit(written == (ssize_t)sizeof(error_number) ? 127 : 126);
}

/* Kills the children of this process that one read of the list shows. */
static void kill_children(void)
{
    char text[4096];
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text));
    pid_t pid = 0;
    for (ssize_t i = 0; i < n; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            pid = pid * 10 + (text[i] - '0');
        } else {
            if (pid > 0)
                kill(pid, SIGKILL);
            pid = 0;
        }
    }
    if (fd >= 0)
        close(fd);
}

static void keep(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    do /* the children of a killed process become children of this one */
        kill_children();
    while (waitpid(-1, NULL, 0) > 0);
    if (WIFSIGNALED(status))
        kill(getpid(), WTERMSIG(status));
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128);
}

static void become_keeper(const struct spawn *spawn, const char *program, pid_t caller, int report_fd)
{
    end_with(caller);
    forget_signals();
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    limit(RLIMIT_CORE, 0);
    pid_t keeper = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(spawn, program, keeper, report_fd);
    if (pid < 0) {
        int error_number = errno;
        _exit(write(report_fd, &error_number, sizeof(error_number)) < 0 ? 126 : 127);
    }
    close_range(0, ~0U, 0);
    keep(pid);
}

/* ------------------------------------------------------------------ the parent */

char *spawn_find(const char *name)
{
    if (strchr(name, '/'))
        return strdup(name);
    const char *path = getenv("PATH");
    for (const char *at = path ? path : "/usr/local/bin:/usr/bin:/bin"; *at;) {
        size_t len = strcspn(at, ":");
        auto_buf struct buf candidate = BUF_INIT;
        buf_add(&candidate, at, len);
        buf_printf(&candidate, "/%s", name);
        if (len > 0 && !buf_failed(&candidate) && access(buf_str(&candidate), X_OK) == 0)
            return buf_take(&candidate);
        at += len + (at[len] == ':');
    }
    return NULL;
}

int spawn_start(const struct spawn *spawn, pid_t *ret, struct err *err)
{
    auto_free char *program = spawn_find(spawn->argv[0]);
    if (!program)
        return err_outage(err, "cannot_run", "program %s not found in PATH: install it, or set its path",
                          spawn->argv[0]);
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return err_fatal(err, errno, "cannot make a pipe");
    auto_close int report_read = report[0], report_write = report[1];
    pid_t caller = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return err_fatal(err, errno, "cannot start a process");
    if (pid == 0)
        become_keeper(spawn, program, caller, report_write);
    close(report_write);
    report_write = -1;
    int error_number = 0;
    ssize_t n;
    do
        n = read(report_read, &error_number, sizeof(error_number));
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof(error_number)) {
        waitpid(pid, NULL, 0);
        if (error_number == E2BIG)
            return err_never(err, "bad_command", "the command is longer than the kernel allows (%s): %s", program,
                             strerror(error_number));
        return err_outage(err, "cannot_run", "cannot run %s in %s: %s", program, spawn->directory,
                          strerror(error_number));
    }
    *ret = pid;
    return 0;
}

void spawn_kill(pid_t keeper, int ended_fd)
{
    int64_t deadline_ms = time_mono_ms() + KILL_WAIT_MS;
    while (!process_has_ended(keeper) && time_mono_ms() < deadline_ms) {
        process_tree_kill(keeper);
        wait_fd(ended_fd, POLLIN, -1, time_mono_ms() + PROCESS_LOOK_MS);
    }
    kill(keeper, SIGKILL);
}

void spawn_wait(pid_t keeper, siginfo_t *ret)
{
    siginfo_t info = { .si_pid = 0 };
    while (waitid(P_PID, (id_t)keeper, &info, WEXITED) < 0 && errno == EINTR)
        ;
    if (ret)
        *ret = info;
}
