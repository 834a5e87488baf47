#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"
#include "base/time.h"

enum { READ_STEP = 4096, FIRST_FREE_FD = STDERR_FILENO + 1 };

/* A running child. */
struct run {
    struct child *child;
    pid_t pid; /* 0: not started, or reaped */
    int pidfd;
    int output_fd, message_fd; /* our ends of the pipes; -1: closed */
};
#define RUN_INIT(its_child)                                                  \
    {                                                                        \
        .child = (its_child), .pidfd = -1, .output_fd = -1, .message_fd = -1 \
    }

/* Kills the group before it reaps the leader, because the group's number may be reused after that. */
static void end_group(struct run *run)
{
    if (run->pid <= 0)
        return;
    kill(-run->pid, SIGKILL);
    pid_t reaped;
    do
        reaped = waitpid(run->pid, &run->child->status, 0);
    while (reaped < 0 && errno == EINTR);
    run->pid = 0;
}

static void close_end(int *fd)
{
    base_close_fd(fd);
    *fd = -1;
}

static void run_clear(struct run *run)
{
    end_group(run);
    close_end(&run->pidfd);
    close_end(&run->output_fd);
    close_end(&run->message_fd);
}

/* Our end does not block. The child's end is above the standard descriptors, which are replaced in the child. Returns
 * an errno. */
static int make_pipe(int *ret_ours, int *ret_its)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    *ret_ours = ends[0];
    *ret_its = fcntl(ends[1], F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    int r = *ret_its < 0 ? errno : 0;
    close(ends[1]);
    return r == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0 ? errno : r;
}

static int add_actions(posix_spawn_file_actions_t *actions, int output_fd, int message_fd)
{
    int r = posix_spawn_file_actions_adddup2(actions, output_fd, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, message_fd, STDERR_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(actions, FIRST_FREE_FD);
    return r;
}

static int add_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int r =
        posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (r == 0)
        r = posix_spawnattr_setpgroup(attributes, 0);
    if (r == 0)
        r = posix_spawnattr_setsigmask(attributes, &none);
    return r == 0 ? posix_spawnattr_setsigdefault(attributes, &all) : r;
}

/* posix_spawn, because in a process with threads none of our code may run between fork and exec. Returns an errno. */
static int spawn(struct run *run, int output_fd, int message_fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int r = posix_spawn_file_actions_init(&actions);
    if (r != 0)
        return r;
    r = posix_spawnattr_init(&attributes);
    if (r == 0) {
        r = add_actions(&actions, output_fd, message_fd);
        if (r == 0)
            r = add_attributes(&attributes);
        if (r == 0)
            r = posix_spawnp(&run->pid, run->child->argv[0], &actions, &attributes, run->child->argv, environ);
        if (r != 0)
            run->pid = 0;
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

static int start_child(struct run *run, struct err *err)
{
    auto_close int output_fd = -1;
    auto_close int message_fd = -1;
    int r = make_pipe(&run->output_fd, &output_fd);
    if (r == 0)
        r = make_pipe(&run->message_fd, &message_fd);
    if (r == 0)
        r = spawn(run, output_fd, message_fd);
    if (r == 0)
        run->pidfd = process_fd(run->pid);
    if (r == ENOENT || r == EACCES || r == ENOEXEC || r == ENOTDIR)
        return err_never(err, "not_found", "cannot run %s: %s", run->child->argv[0], strerror(r));
    return r == 0 ? 0 : err_later(err, "cannot_run", "cannot run %s: %s", run->child->argv[0], strerror(r));
}

/* Reads all available data and drops bytes over `max`. Returns false if it dropped some. */
static bool drain(int *fd, struct buf *ret, size_t max)
{
    char chunk[READ_STEP];
    bool fits = true;
    for (;;) {
        ssize_t n = read(*fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && errno != EAGAIN))
            close_end(fd);
        if (n <= 0)
            break;
        size_t room = max - ret->len;
        fits = fits && (size_t)n <= room;
        buf_add(ret, chunk, (size_t)n <= room ? (size_t)n : room);
        if (!fits || buf_failed(ret))
            break;
    }
    explicit_bzero(chunk, sizeof(chunk));
    return fits;
}

static int take_output(struct run *run, struct err *err)
{
    struct child *child = run->child;
    bool fits = run->output_fd < 0 || drain(&run->output_fd, &child->output, child->max_output);
    if (run->message_fd >= 0)
        (void)drain(&run->message_fd, &child->message, CHILD_MESSAGE_MAX);
    if (buf_failed(&child->output) || buf_failed(&child->message))
        return err_no_memory(err);
    return fits ? 0
                : err_never(err, "output_too_large", "%s printed more than %zu bytes", child->argv[0],
                            child->max_output);
}

/* Reads until the child itself has ended, not until its pipes close: processes that it started may keep them open. */
static int watch_child(struct run *run, struct err *err)
{
    const struct child *child = run->child;
    int64_t deadline_ms = time_mono_ms() + child->timeout_ms;
    for (;;) {
        struct pollfd fds[] = {
            { .fd = child->stop_fd, .events = POLLIN },
            { .fd = run->pidfd, .events = POLLIN },
            { .fd = run->output_fd, .events = POLLIN },
            { .fd = run->message_fd, .events = POLLIN },
        };
        int64_t left_ms = deadline_ms - time_mono_ms();
        if (left_ms <= 0)
            return err_later(err, "timeout", "%s did not end within %d s", child->argv[0], child->timeout_ms / 1000);
        if (run->pidfd < 0 && left_ms > PROCESS_LOOK_MS)
            left_ms = PROCESS_LOOK_MS;
        if (poll(fds, N_ELEMENTS(fds), (int)left_ms) < 0) {
            if (errno != EINTR)
                return err_fatal(err, errno, "cannot wait for %s", child->argv[0]);
            continue;
        }
        if (fds[0].revents)
            return err_later(err, "interrupted", "stopped while %s ran", child->argv[0]);
        /* Tested before reading, so that the last read has the rest of its output. */
        bool ended = fds[1].revents || (run->pidfd < 0 && process_has_ended(run->pid));
        int r = take_output(run, err);
        if (r != 0 || ended)
            return r;
    }
}

int child_run(struct child *child, struct err *err)
{
    cleanup(run_clear) struct run run = RUN_INIT(child);
    int r = start_child(&run, err);
    return r == 0 ? watch_child(&run, err) : r;
}

void child_clear(struct child *child)
{
    buf_clear(&child->output);
    buf_clear(&child->message);
}
