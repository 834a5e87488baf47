#include "base/process.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int process_fd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

bool process_has_ended(pid_t pid)
{
    siginfo_t info = { .si_pid = 0 };
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == pid;
}
