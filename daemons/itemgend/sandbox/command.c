#include "itemgend/sandbox/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"
#include "itemgend/sandbox/spawn.h"
#include "itemgend/sandbox/supervise.h"

static int start(const struct command *command, const struct cgroup *cgroup, pid_t *ret_keeper, int *ret_output_fd,
                 struct err *err)
{
    int output[2];
    if (pipe2(output, O_CLOEXEC) < 0)
        return err_fatal(err, errno, "cannot make a pipe");
    auto_close int output_read = output[0], output_write = output[1];
    fcntl(output_read, F_SETFL, O_NONBLOCK);
    struct spawn spawn = {
        .argv = command->argv,
        .environment = command->environment,
        .directory = command->directory,
        .output_fd = output_write,
        .control_fd = -1,
        .cgroup = cgroup,
        .memory_limit = command->limits->memory,
        .file_limit = command->limits->disk + LIMITS_FILE_SLACK,
        .files = command->limits->files,
    };
    int r = spawn_start(&spawn, ret_keeper, err);
    if (r != 0)
        return r;
    *ret_output_fd = output_read;
    output_read = -1;
    return 0;
}

static void take_status(pid_t keeper, struct command_result *result)
{
    siginfo_t info;
    spawn_wait(keeper, &info);
    if (result->end != COMMAND_EXITED)
        return;
    result->exit_code = info.si_code == CLD_EXITED ? info.si_status : 0;
    result->signal_number = info.si_code == CLD_EXITED ? 0 : info.si_status;
    if (result->signal_number)
        result->end = COMMAND_KILLED;
}

int command_run(const struct command *command, struct command_result *ret, struct err *err)
{
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    auto_close int output_fd = -1;
    struct supervision supervision = { .limits = command->limits,
                                       .directory = command->directory,
                                       .stop_fd = command->stop_fd };
    auto_cgroup struct cgroup cgroup = CGROUP_INIT;
    cgroup_make(command->cgroups, command->limits->memory, &cgroup);
    supervise_begin(&supervision);
    int r = start(command, &cgroup, &supervision.root, &output_fd, err);
    if (r != 0)
        return r;
    supervision.output_fd = output_fd;
    auto_close int ended_fd = process_fd(supervision.root);
    if (!supervise_until(&supervision, ended_fd, supervision.root, &result))
        spawn_kill(supervision.root, ended_fd);
    take_status(supervision.root, &result);
    if (cgroup_ran_out(&cgroup, &result.memory))
        result.end = COMMAND_MEMORY_LIMIT;
    supervise_finish(&supervision, &result);
    *ret = result;
    result = (struct command_result)COMMAND_RESULT_INIT;
    return 0;
}
