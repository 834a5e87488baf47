/*
 * itemgend-network [-l PORTS] PROGRAM [ARGUMENT]...: runs a program in a network of its own, in which credential
 * endpoints and the machine's own addresses are closed. For itemgend; see docs/explanation/network.md.
 *
 * The program gets a network namespace. The only way out is slirp4netns, a TCP/IP stack in a process outside of it. The
 * program cannot change the nftables rules in the namespace: it has no capabilities over it, nor over the user
 * namespace that owns it. It keeps all descriptors. PORTS ("8080,8081") of the machine's 127.0.0.1 are reachable as the
 * same ports.
 *
 * Exits with the status of the program, or 125 if the network could not be made. All three processes end together.
 */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/time.h"
#include "itemgend-network/inside.h"
#include "itemgend-network/rules.h"

/* The caller has a shorter deadline. A slow machine does not mean that it does not work. */
enum { READY_TIMEOUT_MS = 60000, MESSAGE_MAX = 4096 };

struct stack {
    pid_t of; /* a process in the namespace */
    bool has_ipv6, has_ports;
    pid_t pid;      /* slirp4netns; -1: not running */
    int message_fd; /* its output: a file in memory of at most MESSAGE_MAX bytes */
};

/* ------------------------------------------------------------- slirp4netns */

/* The program's soft limit is too low for the buffers of all its connections, which libslirp keeps for seconds after
 * their end (150 MB were seen). slirp4netns raises its limit of open files by itself. */
static void lift_memory_limit(void)
{
    struct rlimit limits;
    if (getrlimit(RLIMIT_DATA, &limits) < 0)
        return;
    limits.rlim_cur = limits.rlim_max;
    setrlimit(RLIMIT_DATA, &limits);
}

static void become_stack(const struct stack *stack, pid_t parent, int ready_fd)
{
    char ready[32], pid[32];
    snprintf(ready, sizeof(ready), "--ready-fd=%d", ready_fd);
    snprintf(pid, sizeof(pid), "%d", stack->of);
    const char *argv[16] = { "slirp4netns",      "--configure",      "--mtu=65520", "--cidr=" RULES_RANGE,
                             "--enable-sandbox", "--enable-seccomp", ready };
    size_t n = 7;
    if (stack->has_ipv6)
        argv[n++] = "--enable-ipv6";
    if (!stack->has_ports)
        argv[n++] = "--disable-host-loopback";
    argv[n++] = pid;
    argv[n++] = RULES_DEVICE;
    lift_memory_limit();
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(stack->message_fd, 1) < 0 || dup2(stack->message_fd, 2) < 0 ||
        fcntl(ready_fd, F_SETFD, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(INSIDE_FAILED);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(inside_failed("cannot run slirp4netns (package slirp4netns)"));
}

/* Prints its output after the message. */
static void print_output(const struct stack *stack, const char *message)
{
    char text[MESSAGE_MAX + 1];
    ssize_t n = pread(stack->message_fd, text, MESSAGE_MAX, 0);
    text[n > 0 ? n : 0] = '\0';
    char *end = text + strlen(text);
    while (end > text && end[-1] == '\n')
        *--end = '\0';
    fprintf(stderr, "itemgend-network: %s: %s\n", message, text);
}

/* Waits until the device exists. */
static int start_stack(struct stack *stack)
{
    int ready[2];
    stack->message_fd = memfd_create("slirp4netns", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (stack->message_fd < 0 || ftruncate(stack->message_fd, MESSAGE_MAX) < 0 ||
        fcntl(stack->message_fd, F_ADD_SEALS, F_SEAL_GROW) < 0 || pipe2(ready, O_CLOEXEC) < 0)
        return inside_failed("cannot start slirp4netns");
    auto_close int ready_read = ready[0];
    pid_t self = getpid();
    stack->pid = fork();
    if (stack->pid == 0)
        become_stack(stack, self, ready[1]);
    close(ready[1]);
    char byte;
    if (stack->pid < 0)
        return inside_failed("cannot start slirp4netns");
    if (wait_fd(ready_read, POLLIN, -1, time_mono_ms() + READY_TIMEOUT_MS) != WAIT_READY ||
        read(ready_read, &byte, 1) != 1) {
        print_output(stack, "slirp4netns could not make a network");
        return INSIDE_FAILED;
    }
    return 0;
}

/* ------------------------------------------------------------ the three processes */

/* Ends with the program's status. */
static int end_as(int status)
{
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    const struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    return 128 + WTERMSIG(status);
}

/* Needs no deadline: the caller kills this process if it takes too long, and the other two die with it. */
static int wait_for_program(const struct stack *stack, pid_t program)
{
    for (;;) {
        int status = 0;
        pid_t ended = waitpid(-1, &status, 0);
        if (ended == program) {
            kill(stack->pid, SIGKILL);
            waitpid(stack->pid, NULL, 0);
            return end_as(status);
        }
        if (ended == stack->pid) {
            print_output(stack, "slirp4netns has ended, so the network is gone");
            kill(program, SIGKILL);
            waitpid(program, NULL, 0);
            return INSIDE_FAILED;
        }
        if (ended < 0 && errno != EINTR)
            return inside_failed("cannot wait");
    }
}

static int run_outside(int control, pid_t program, struct stack *stack)
{
    /* Inherited descriptors belong to the program alone: otherwise nobody would notice when it closes them. */
    char byte;
    if (dup2(control, 3) < 0 || close_range(4, ~0U, 0) < 0 || fcntl(3, F_SETFD, FD_CLOEXEC) < 0)
        return inside_failed("cannot close descriptors");
    if (read(3, &byte, 1) != 1) {
        waitpid(program, NULL, 0); /* it has printed why */
        return INSIDE_FAILED;
    }
    stack->of = program;
    if (start_stack(stack) != 0)
        return INSIDE_FAILED;
    if (write(3, &byte, 1) != 1 || close(3) < 0)
        return inside_failed("the program has ended");
    return wait_for_program(stack, program);
}

static int run(struct inside *inside, struct stack *stack)
{
    int control[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0)
        return inside_failed("cannot make a socket");
    inside->control = control[1];
    inside->parent = getpid();
    signal(SIGPIPE, SIG_IGN);
    pid_t program = fork();
    if (program < 0)
        return inside_failed("cannot start a process");
    if (program == 0) {
        close(control[0]);
        signal(SIGPIPE, SIG_DFL);
        _exit(inside_run(inside));
    }
    close(control[1]);
    return run_outside(control[0], program, stack);
}

/* Checked here for a clear message: slirp4netns would only report a failed system call. */
static bool has_tun(void)
{
    auto_close int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    return fd >= 0;
}

int main(int argc, char **argv)
{
    const char *ports = "";
    for (int option; (option = getopt(argc, argv, "+l:")) != -1;) {
        if (option != 'l')
            return 64;
        ports = optarg;
    }
    if (optind == argc) {
        fprintf(stderr, "usage: itemgend-network [-l PORTS] PROGRAM [ARGUMENT]...\n");
        return 64;
    }
    if (!has_tun())
        return inside_failed("/dev/net/tun");
    struct ifaddrs *own = NULL;
    if (getifaddrs(&own) < 0)
        return inside_failed("cannot list the machine's addresses");
    auto_buf struct buf rules = BUF_INIT;
    rules_write(own, ports, &rules);
    struct stack stack = { .has_ipv6 = rules_has_ipv6(own), .has_ports = *ports != '\0', .pid = -1 };
    freeifaddrs(own);
    if (buf_failed(&rules))
        return inside_failed("cannot keep the rules");
    struct inside inside = { .rules = buf_str(&rules),
                             .resolvers = stack.has_ipv6 ? "nameserver " RULES_RESOLVER "\nnameserver " RULES_RESOLVER6
                                                           "\n"
                                                         : "nameserver " RULES_RESOLVER "\n",
                             .has_ports = stack.has_ports,
                             .program = argv + optind };
    return run(&inside, &stack);
}
