#include "itemgend/command.h"

#include <dirent.h>
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

#include "base/process.h"
#include "base/time.h"

enum { OUTPUT_MAX = 8192, SAMPLE_INTERVAL_MS = 250, OPEN_FILES_MAX = 1024 };

void command_result_clear(struct command_result *result)
{
    buf_clear(&result->output);
}

/* ------------------------------------------------------ in the child, after fork */

static void limit(int resource, int64_t value)
{
    struct rlimit limits = { (rlim_t)value, (rlim_t)value };
    setrlimit((__rlimit_resource_t)resource, &limits);
}

/* Only what is async-signal-safe: other threads may have held any lock at the fork. Writes errno to `report_fd` where
 * it fails. */
static void become(const struct command *command, const char *program, int output_fd, int report_fd)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    limit(RLIMIT_DATA, command->memory_limit);
    limit(RLIMIT_FSIZE, command->file_limit);
    limit(RLIMIT_NOFILE, OPEN_FILES_MAX);
    limit(RLIMIT_CORE, 0);

    int input_fd = open("/dev/null", O_RDONLY);
    /* The report goes to a number that nothing else uses, and closes itself when the program begins. */
    if (input_fd < 0 || dup2(report_fd, 3) < 0 || dup2(input_fd, 0) < 0 || dup2(output_fd, 1) < 0 ||
        dup2(output_fd, 2) < 0)
        goto failed;
    fcntl(3, F_SETFD, FD_CLOEXEC);
    close_range(4, ~0U, 0);
    if (chdir(command->directory) == 0)
        execve(program, (char *const *)(uintptr_t)command->argv, (char *const *)(uintptr_t)command->environment);
failed:;
    int error_number = errno;
    ssize_t written = write(3, &error_number, sizeof(error_number));
    _exit(written == (ssize_t)sizeof(error_number) ? 127 : 126);
}

/* ------------------------------------------------------------------ the parent */

/* The program's path, as execvp would find it in the daemon's PATH; NULL where there is none. */
static char *find_program(const char *name)
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

static void keep_tail(struct buf *output)
{
    if (output->len <= OUTPUT_MAX)
        return;
    size_t cut = output->len - OUTPUT_MAX;
    memmove(output->data, output->data + cut, OUTPUT_MAX + 1);
    output->len = OUTPUT_MAX;
}

/* Reads what is there; false at the end of the stream. */
static bool read_output(int fd, struct buf *output)
{
    for (int i = 0; i < 16; i++) { /* a child that never stops writing must not keep us from the clock */
        char chunk[4096];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0)
            return false;
        buf_add(output, chunk, (size_t)n);
        keep_tail(output);
    }
    return true;
}

/* Resident memory of a process where it belongs to the session, else 0. */
static int64_t resident_memory(const char *pid, pid_t session)
{
    char path[64], line[1024];
    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    if (n <= 0)
        return 0;
    line[n] = '\0';
    const char *fields = strrchr(line, ')'); /* the name before it may hold anything */
    int its_session = 0;
    long pages = 0;
    /* state ppid pgrp session, then 17 more up to rss: proc(5) */
    if (!fields ||
        sscanf(fields + 1, " %*c %*d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %*u %ld",
               &its_session, &pages) != 2)
        return 0;
    return its_session == session ? pages * sysconf(_SC_PAGESIZE) : 0;
}

static int64_t session_memory(pid_t session)
{
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    int64_t sum = 0;
    for (const struct dirent *entry; (entry = readdir(proc));)
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            sum += resident_memory(entry->d_name, session);
    closedir(proc);
    return sum;
}

struct running {
    const struct command *command;
    pid_t pid;
    int pid_fd;    /* as process_fd gave it */
    int output_fd; /* -1: closed by all who wrote */
    int64_t deadline_ms;
    int64_t next_sample_ms;
};

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Waits for the next thing to happen; true when the command is over, by itself or because a limit was met. */
static bool step(struct running *running, struct command_result *result)
{
    struct pollfd fds[] = { { .fd = running->command->stop_fd, .events = POLLIN },
                            { .fd = running->pid_fd, .events = POLLIN },
                            { .fd = running->output_fd, .events = POLLIN } };
    int64_t now_ms = time_mono_ms();
    int64_t until_ms = earlier(running->deadline_ms, running->next_sample_ms);
    if (running->pid_fd < 0)
        until_ms = earlier(until_ms, now_ms + PROCESS_LOOK_MS);
    poll(fds, N_ELEMENTS(fds), until_ms > now_ms ? (int)(until_ms - now_ms) : 0);

    if (fds[2].revents && !read_output(running->output_fd, &result->output)) {
        close(running->output_fd);
        running->output_fd = -1;
    }
    if (fds[1].revents || (running->pid_fd < 0 && process_has_ended(running->pid)))
        return true;
    if (fds[0].revents) {
        result->end = COMMAND_INTERRUPTED;
        return true;
    }
    now_ms = time_mono_ms();
    if (now_ms >= running->deadline_ms) {
        result->end = COMMAND_TIMED_OUT;
        return true;
    }
    if (now_ms >= running->next_sample_ms) {
        int64_t memory = session_memory(running->pid);
        if (memory > result->peak_memory)
            result->peak_memory = memory;
        running->next_sample_ms = now_ms + SAMPLE_INTERVAL_MS;
        if (memory > running->command->memory_limit) {
            result->end = COMMAND_OUT_OF_MEMORY;
            return true;
        }
    }
    return false;
}

/* Kills what is left of it, reads the rest of the output and takes the exit status. */
static void finish(struct running *running, struct command_result *result)
{
    siginfo_t info = { .si_pid = 0 };
    kill(-running->pid, SIGKILL); /* before it is reaped: the number is still its own */
    kill(running->pid, SIGKILL);  /* it may not have come to setsid yet */
    while (waitid(P_PID, (id_t)running->pid, &info, WEXITED) < 0 && errno == EINTR)
        ;
    if (running->output_fd >= 0)
        read_output(running->output_fd, &result->output);
    if (result->end != COMMAND_EXITED)
        return;
    result->exit_code = info.si_code == CLD_EXITED ? info.si_status : 0;
    result->signal_number = info.si_code == CLD_EXITED ? 0 : info.si_status;
    if (result->signal_number)
        result->end = COMMAND_KILLED;
}

static int start(const struct command *command, const char *program, struct running *running, struct err *err)
{
    int output[2], report[2];
    if (pipe2(output, O_CLOEXEC) < 0)
        return err_fatal(err, errno, "cannot make a pipe");
    auto_close int output_read = output[0], output_write = output[1];
    if (pipe2(report, O_CLOEXEC) < 0)
        return err_fatal(err, errno, "cannot make a pipe");
    auto_close int report_read = report[0], report_write = report[1];
    fcntl(output_read, F_SETFL, O_NONBLOCK);

    pid_t pid = fork();
    if (pid < 0)
        return err_fatal(err, errno, "cannot start a process");
    if (pid == 0)
        become(command, program, output_write, report_write);
    close(report_write);
    report_write = -1;
    int error_number = 0;
    ssize_t n = read(report_read, &error_number, sizeof(error_number));
    if (n == (ssize_t)sizeof(error_number)) {
        waitpid(pid, NULL, 0);
        return err_outage(err, "cannot_run", "cannot run %s in %s: %s", program, command->directory,
                          strerror(error_number));
    }
    running->pid = pid;
    running->pid_fd = process_fd(pid);
    running->output_fd = output_read;
    output_read = -1;
    return 0;
}

int command_run(const struct command *command, struct command_result *ret, struct err *err)
{
    auto_free char *program = find_program(command->argv[0]);
    if (!program)
        return err_outage(err, "cannot_run", "there is no program %s in PATH: install it, or set its path",
                          command->argv[0]);
    struct running running = { .command = command, .pid_fd = -1, .output_fd = -1 };
    int r = start(command, program, &running, err);
    if (r != 0)
        return r;
    int64_t now_ms = time_mono_ms();
    running.deadline_ms = now_ms + command->time_limit_ms;
    running.next_sample_ms = now_ms + SAMPLE_INTERVAL_MS;
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    while (!step(&running, &result))
        ;
    finish(&running, &result);
    base_close_fd(&running.pid_fd);
    base_close_fd(&running.output_fd);
    err_make_printable(result.output.data ? result.output.data : (char[]){ "" });
    *ret = result;
    result = (struct command_result)COMMAND_RESULT_INIT;
    return 0;
}
