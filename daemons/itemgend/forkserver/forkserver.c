#include "itemgend/forkserver/forkserver.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/process.h"
#include "base/time.h"
#include "itemgend/sandbox/output.h"
#include "itemgend/sandbox/spawn.h"
#include "itemgend/sandbox/supervise.h"
#include "itemgend/sandbox/process_tree.h"
#include "itemgend/sandbox/variables.h"

enum { MESSAGE_MAX = 600, END_WAIT_MS = 2000 };

/* -------------------------------------------------------------- its messages */

struct message {
    char text[MESSAGE_MAX + 1]; /* "": the other end was closed */
    pid_t sender;               /* from the kernel */
};

/* Takes a message, without waiting for one. False: none has arrived. */
static bool receive(int fd, struct message *ret)
{
    union {
        char space[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { .iov_base = ret->text, .iov_len = MESSAGE_MAX };
    struct msghdr header = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)
    };
    *ret = (struct message){ .sender = 0 };
    /* Takes no descriptors that it may send: they have no room here. */
    ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno != EAGAIN && errno != EINTR; /* the other end was closed */
    ret->text[n] = '\0';
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part; part = CMSG_NXTHDR(&header, part)) {
        struct ucred sender;
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS)
            continue;
        memcpy(&sender, CMSG_DATA(part), sizeof(sender));
        ret->sender = sender.pid;
    }
    return true;
}

static pid_t parent_of(pid_t pid)
{
    char path[64], line[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
    line[n > 0 ? n : 0] = '\0';
    const char *fields = strrchr(line, ')');
    int parent = 0;
    return fields && sscanf(fields + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool is_below(pid_t pid, pid_t root)
{
    enum { GENERATIONS_MAX = 32 };
    for (int i = 0; i < GENERATIONS_MAX && pid > 1; i++)
        if ((pid = parent_of(pid)) == root)
            return true;
    return false;
}

/* ---------------------------------------------------------------- its start */

static void add_command_line(const struct forkserver_start *start, struct strv *argv)
{
    auto_free char *folder = strdup(start->program);
    argv->failed |= !folder;
    if (folder)
        *strrchr(folder, '/') = '\0';
    const struct sandbox_paths paths = {
        .read_only = (const char *const[]){ start->venv->python_prefix, start->venv->directory, folder, NULL },
        .writable = (const char *const[]){ start->place, NULL },
    };
    sandbox_wrap(start->sandbox, &paths, argv);
    strv_add(argv, "%s", start->venv->python);
    strv_add(argv, "-I");
    strv_add(argv, "%s", start->program);
    strv_add(argv, sandbox_is_bubblewrap(start->sandbox) ? "apart" : "together");
}

static int spawn(const struct forkserver_start *start, int output_fd, int control_fd, pid_t *ret, struct err *err)
{
    auto_strv struct strv argv = STRV_INIT, environment = STRV_INIT;
    add_command_line(start, &argv);
    variables_for_package(start->place, &environment);
    if (argv.failed || environment.failed)
        return err_no_memory(err);
    struct spawn spawn = {
        .argv = (const char *const *)argv.list,
        .environment = (const char *const *)environment.list,
        .directory = start->place,
        .output_fd = output_fd,
        .control_fd = control_fd,
        .memory_limit = start->limits->memory,
        .file_limit = start->limits->disk + LIMITS_FILE_SLACK,
        .files = start->limits->files,
    };
    return spawn_start(&spawn, ret, err);
}

/* The kernel names the sender of each message that our end receives. */
static int make_sockets(int *ret_ours, int *ret_its, struct err *err)
{
    int ends[2], on = 1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return err_fatal(err, errno, "cannot make a pair of sockets");
    *ret_ours = ends[0];
    *ret_its = ends[1];
    if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
        return err_fatal(err, errno, "cannot have the kernel name the senders of messages");
    return 0;
}

static int make_pipe(int *ret_read, int *ret_write, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_fatal(err, errno, "cannot make a pipe");
    *ret_read = ends[0];
    *ret_write = ends[1];
    return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? err_fatal(err, errno, "cannot set up a pipe") : 0;
}

int forkserver_start(const struct forkserver_start *start, struct forkserver *ret, struct err *err)
{
    auto_close int control = -1, its_control = -1, output = -1, its_output = -1;
    int r = make_sockets(&control, &its_control, err);
    if (r == 0)
        r = make_pipe(&output, &its_output, err);
    if (r == 0)
        r = spawn(start, its_output, its_control, &ret->keeper, err);
    if (r != 0)
        return r;
    ret->cgroups = sandbox_cgroups(start->sandbox);
    ret->ended_fd = process_fd(ret->keeper);
    ret->control_fd = control;
    ret->output_fd = output;
    control = output = -1;
    return 0;
}

/* The signal that ended it; 0: none. bubblewrap reports it as shells do. */
static int signal_of(const siginfo_t *info)
{
    if (info->si_code != CLD_EXITED)
        return info->si_status;
    return info->si_status > 128 && info->si_status < 128 + NSIG ? info->si_status - 128 : 0;
}

static int not_ready(struct forkserver *server, const struct message *message, const struct command_result *result,
                     struct err *err)
{
    const char *said = output_tail(&result->output);
    if (message->text[0])
        return err_never(err, "import_failed",
                         "the package wrote to the fork server's own descriptor while it was imported");
    if (strncmp(buf_str(&result->output), "bwrap: ", 7) == 0)
        return err_later(err, "sandbox_failed", "the sandbox could not be set up: %.800s", said);
    /* slirp4netns can end at any time. A package that prints the same line only has its request retried. */
    const char *network = output_from_line(&result->output, "itemgend-network: ");
    if (network)
        return err_later(err, "sandbox_failed", "the network of the sandbox failed: %.800s", network);
    siginfo_t info = { .si_pid = 0 };
    int64_t deadline_ms = time_mono_ms() + END_WAIT_MS; /* its socket closes a little before it ends */
    while (!process_has_ended(server->keeper) && time_mono_ms() < deadline_ms)
        wait_fd(server->ended_fd, POLLIN, -1, time_mono_ms() + PROCESS_LOOK_MS);
    waitid(P_PID, (id_t)server->keeper, &info, WEXITED | WNOHANG | WNOWAIT);
    int signal_number = info.si_pid ? signal_of(&info) : 0;
    if (signal_number)
        return err_later(err, "import_failed", "signal %d (%s) ended Python while the package was imported: %.700s",
                         signal_number, strsignal(signal_number), said);
    return err_never(err, "import_failed", "the package cannot be imported: %.800s", said);
}

int forkserver_wait_ready(struct forkserver *server, const struct forkserver_start *start, int stop_fd, struct err *err)
{
    struct limits limits = *start->limits;
    struct supervision supervision = {
        .limits = &limits, .stop_fd = stop_fd, .output_fd = server->output_fd, .root = server->keeper
    };
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    struct message message = { .sender = 0 };
    supervise_begin(&supervision);
    bool happened = supervise_until(&supervision, server->control_fd, 0, &result);
    while (happened && !receive(server->control_fd, &message))
        happened = supervise_until(&supervision, server->control_fd, 0, &result);
    supervise_finish(&supervision, &result);
    server->import_ms = result.duration_ms;
    if (!happened) {
        int r = command_result_check(&result, &limits, err);
        err_prefix(err, "while the package was imported");
        return r;
    }
    base_close_fd(&server->output_fd);
    server->output_fd = -1;
    server->apart = strcmp(message.text, "ready apart") == 0;
    server->pid = message.sender;
    if ((server->apart || strcmp(message.text, "ready together") == 0) && is_below(server->pid, server->keeper))
        return 0;
    return not_ready(server, &message, &result, err);
}

/* ----------------------------------------------------------------- an item */

/* The job, as forkserver.py reads it. */
static void write_job(const struct forkserver_job *job, bool waits, struct buf *json)
{
    buf_puts(json, "{\"arguments\":[");
    for (size_t i = 0; job->arguments[i]; i++) {
        buf_puts(json, i ? "," : "");
        json_write_string(job->arguments[i], json);
    }
    buf_puts(json, "],\"directory\":");
    json_write_string(job->directory, json);
    buf_puts(json, ",\"variables\":{");
    for (size_t i = 0; job->variables && job->variables[i]; i++) {
        const char *value = strchr(job->variables[i], '=');
        auto_buf struct buf name = BUF_INIT;
        buf_add(&name, job->variables[i], value ? (size_t)(value - job->variables[i]) : 0);
        buf_puts(json, i ? "," : "");
        json_write_string(buf_str(&name), json);
        buf_putc(json, ':');
        json_write_string(value ? value + 1 : "", json);
    }
    buf_printf(json, "},\"waits\":%s,\"memory\":%lld,\"disk\":%lld,\"files\":%lld}", waits ? "true" : "false",
               (long long)job->limits->memory, (long long)job->limits->disk, (long long)job->limits->files);
}

/* The job is a file, because it may be longer than a message, and because only the item may read its credentials. */
static int make_job_file(const struct forkserver_job *job, bool waits, int *ret_fd, struct err *err)
{
    auto_buf struct buf json = BUF_INIT;
    write_job(job, waits, &json);
    if (buf_failed(&json))
        return err_no_memory(err);
    *ret_fd = memfd_create("item", MFD_CLOEXEC);
    if (*ret_fd < 0)
        return err_fatal(err, errno, "cannot make a file in memory");
    for (size_t done = 0; done < json.len;) {
        ssize_t n = write(*ret_fd, json.data + done, json.len - done);
        if (n < 0 && errno != EINTR)
            return err_fatal(err, errno, "cannot write to a file in memory");
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int died(struct err *err, const char *what)
{
    return err_later(err, "server_died", "the process that makes items of the package %s", what);
}

static int send_job(const struct forkserver *server, const int fds[3], const struct forkserver_job *job,
                    struct err *err)
{
    union {
        char space[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } control = { .space = { 0 } };
    struct iovec iov = { .iov_base = (char[]){ "item" }, .iov_len = 4 };
    struct msghdr header = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)
    };
    struct cmsghdr *part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(3 * sizeof(int));
    memcpy(CMSG_DATA(part), fds, 3 * sizeof(int));
    int64_t deadline_ms = time_mono_ms() + job->limits->time_ms;
    for (;;) {
        if (sendmsg(server->control_fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) == 4)
            return 0;
        if (errno != EAGAIN && errno != EINTR)
            return died(err, "ended");
        enum wait_result waited = wait_fd(server->control_fd, POLLOUT, job->stop_fd, deadline_ms);
        if (waited == WAIT_STOPPED)
            return err_later(err, "interrupted", "create-item was interrupted because the service stops");
        if (waited == WAIT_TIMEOUT)
            return died(err, "no longer accepts messages");
    }
}

/* An item in progress. */
struct item {
    int report_fd, output_fd;
    struct supervision supervision;
    struct cgroup cgroup;
    bool waits; /* it will wait until it is in the cgroup */
    bool ended; /* its keeper has reported so */
};

static void clear_item(struct item *item)
{
    base_close_fd(&item->report_fd);
    base_close_fd(&item->output_fd);
    cgroup_clear(&item->cgroup);
}

static int begin(const struct forkserver *server, const struct forkserver_job *job, struct item *item, struct err *err)
{
    auto_close int job_fd = -1, its_output = -1, its_report = -1;
    cgroup_make(server->cgroups, job->limits->memory, &item->cgroup);
    item->waits = item->cgroup.fd >= 0;
    int r = make_job_file(job, item->waits, &job_fd, err);
    if (r == 0)
        r = make_pipe(&item->output_fd, &its_output, err);
    if (r == 0)
        r = make_sockets(&item->report_fd, &its_report, err);
    if (r == 0)
        r = send_job(server, (int[]){ job_fd, its_output, its_report }, job, err);
    item->supervision = (struct supervision){
        .limits = job->limits, .directory = job->directory, .stop_fd = job->stop_fd, .output_fd = item->output_fd
    };
    return r;
}

/* "ended EXIT SIGNAL PEAK_KIB CPU_MS". */
static bool read_end(const char *text, struct command_result *result)
{
    int exit_code, signal_number;
    long long peak_kib, cpu_ms;
    if (sscanf(text, "ended %3d %3d %12lld %12lld", &exit_code, &signal_number, &peak_kib, &cpu_ms) != 4 ||
        exit_code < 0 || signal_number < 0 || peak_kib < 0 || cpu_ms < 0)
        return false;
    if (peak_kib << 10 > result->memory)
        result->memory = peak_kib << 10;
    if (cpu_ms > result->cpu_ms)
        result->cpu_ms = cpu_ms;
    if (result->end != COMMAND_EXITED)
        return true; /* we ended it, and keep our reason */
    result->exit_code = exit_code;
    result->signal_number = signal_number;
    if (signal_number)
        result->end = COMMAND_KILLED;
    return true;
}

/* A report of the item's keeper, if one has arrived. */
static int take_report(const struct forkserver *server, struct item *item, struct command_result *result,
                       struct err *err)
{
    struct message message = { .sender = 0 };
    if (!receive(item->report_fd, &message))
        return 0;
    if (strcmp(message.text, "started") == 0 && !item->supervision.root && is_below(message.sender, server->keeper)) {
        item->supervision.root = message.sender;
        return 0;
    }
    if (strcmp(message.text, "waiting") == 0 && item->waits && item->supervision.root &&
        is_below(message.sender, item->supervision.root)) {
        item->waits = false;
        cgroup_add(&item->cgroup, message.sender);
        return send(item->report_fd, "go", 2, MSG_NOSIGNAL | MSG_DONTWAIT) == 2
                   ? 0
                   : died(err, "no longer accepts messages");
    }
    item->ended = read_end(message.text, result);
    if (item->ended)
        return 0;
    if (strncmp(message.text, "failed ", 7) != 0)
        return died(err, message.text[0] ? "sent a message that makes no sense" : "ended");
    err_make_printable(message.text);
    return err_later(err, "server_died", "the process that makes items of the package could not start one: %.500s",
                     message.text + 7);
}

/* Kills an item that has met a limit, and waits until its keeper reports its end. */
static int end_item(const struct forkserver *server, struct item *item, struct command_result *result, struct err *err)
{
    int64_t deadline_ms = time_mono_ms() + END_WAIT_MS;
    int r = 0;
    while (r == 0 && !item->ended) {
        /* If the server ended the item but keeps its socket open, its pid may belong to another process by now. */
        if (item->supervision.root && is_below(item->supervision.root, server->keeper))
            process_tree_kill(item->supervision.root);
        if (wait_fd(item->report_fd, POLLIN, -1, deadline_ms) == WAIT_TIMEOUT)
            return died(err, "could not end an item");
        r = take_report(server, item, result, err);
    }
    return r;
}

int forkserver_run(struct forkserver *server, const struct forkserver_job *job, struct command_result *ret,
                   struct err *err)
{
    cleanup(clear_item) struct item item = { .report_fd = -1, .output_fd = -1, .cgroup = CGROUP_INIT };
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = begin(server, job, &item, err);
    supervise_begin(&item.supervision);
    while (r == 0 && !item.ended) {
        if (supervise_until(&item.supervision, item.report_fd, 0, &result)) {
            r = take_report(server, &item, &result, err);
            continue;
        }
        r = end_item(server, &item, &result, err);
        /* The item met its limit, even if the server had to be killed to end it. */
        item.ended = true;
        if (r != 0)
            forkserver_kill(server);
        r = 0;
    }
    if (r != 0)
        return r;
    if (cgroup_ran_out(&item.cgroup, &result.memory))
        result.end = COMMAND_MEMORY_LIMIT;
    supervise_finish(&item.supervision, &result);
    *ret = result;
    result = (struct command_result)COMMAND_RESULT_INIT;
    return 0;
}

/* --------------------------------------------------------------- its end */

bool forkserver_has_ended(const struct forkserver *server)
{
    return server->keeper && process_has_ended(server->keeper);
}

void forkserver_kill(const struct forkserver *server)
{
    if (server->keeper)
        spawn_kill(server->keeper, server->ended_fd);
}

void forkserver_clear(struct forkserver *server)
{
    forkserver_kill(server);
    if (server->keeper)
        spawn_wait(server->keeper, NULL);
    base_close_fd(&server->ended_fd);
    base_close_fd(&server->control_fd);
    base_close_fd(&server->output_fd);
    *server = (struct forkserver)FORKSERVER_INIT;
}
