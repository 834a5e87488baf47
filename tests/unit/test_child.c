/* child: a program's output and status, its limits, and that no process stays behind. */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/num.h"
#include "base/time.h"

#include "test.h"

enum { TIMEOUT_MS = 20 * 1000 };

static struct child shell(char *const *argv)
{
    return (struct child){ .argv = argv, .timeout_ms = TIMEOUT_MS, .stop_fd = -1, .max_output = 100 };
}
#define SHELL(script) shell((char *const[]){ "sh", "-c", script, NULL })

static const struct {
    const char *script, *output, *message;
    int exit_status, signal;
} scripts[] = {
    { "echo out; echo err >&2", "out\n", "err\n", 0, 0 },
    { "exit 3", "", "", 3, 0 },
    { "kill -TERM $$", "", "", 0, SIGTERM },
    { "cat; echo end", "end\n", "", 0, 0 },
    { "exec >&- 2>&-; exit 4", "", "", 4, 0 },
    { "printf '%s' \"$CHILD_TEST\"", "inherited", "", 0, 0 },
    { "ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 ", "", 0, 0 }, /* 3 is the folder that ls lists */
    { "grep SigBlk /proc/self/status | tr -d '\\t'", "SigBlk:0000000000000000\n", "", 0, 0 },
    /* Signals 1 to 28; the C library reserves two of the higher ones. */
    { "grep SigIgn /proc/self/status | tail -c 8", "0000000\n", "", 0, 0 },
};

static void test_scripts(void)
{
    setenv("CHILD_TEST", "inherited", 1);
    /* As in a daemon: libraries' descriptors without close-on-exec, blocked and ignored signals. */
    auto_close int open_fd = open("/dev/null", O_RDONLY);
    CHECK(open_fd >= 0);
    signal(SIGPIPE, SIG_IGN);
    sigset_t terminate;
    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM);
    sigprocmask(SIG_BLOCK, &terminate, NULL);
    for (size_t i = 0; i < N_ELEMENTS(scripts); i++) {
        char *script = strdup(scripts[i].script);
        auto_child struct child child = SHELL(script);
        struct err err = ERR_INIT;
        CHECK_ROW(child_run(&child, &err) == 0, "row %zu: %s", i, err.text);
        CHECK_STRING(buf_str(&child.output), scripts[i].output);
        CHECK_STRING(buf_str(&child.message), scripts[i].message);
        if (scripts[i].signal)
            CHECK(WIFSIGNALED(child.status) && WTERMSIG(child.status) == scripts[i].signal);
        else
            CHECK(WIFEXITED(child.status) && WEXITSTATUS(child.status) == scripts[i].exit_status);
        free(script);
    }
    sigprocmask(SIG_UNBLOCK, &terminate, NULL);
    signal(SIGPIPE, SIG_DFL);
}

/* Waits a moment for the process whose number is in `text` to end. */
static bool goes_away(const char *text)
{
    auto_free char *digits = strndup(text, strcspn(text, "\n"));
    int64_t pid = 0;
    if (num_parse_i64(digits, 2, INT32_MAX, &pid, NULL) != 0)
        return false;
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    for (int i = 0; i < 200; i++) {
        /* A zombie counts as ended, because the reaper of orphans may be slow. */
        FILE *stat = fopen(path, "re");
        if (!stat)
            return true;
        char state = 0;
        bool read = fscanf(stat, "%*d (%*[^)]) %c", &state) == 1;
        fclose(stat);
        if (!read || state == 'Z')
            return true;
        (void)wait_fd(-1, 0, -1, time_mono_ms() + 10);
    }
    return false;
}

static void test_what_is_left_is_killed(void)
{
    auto_child struct child child = SHELL("sleep 1000 & echo $!");
    int64_t before_ms = time_mono_ms();
    CHECK(child_run(&child, NULL) == 0);
    CHECK(time_mono_ms() - before_ms < TIMEOUT_MS / 2);
    CHECK(goes_away(buf_str(&child.output)));
}

static void test_timeout(void)
{
    auto_child struct child child = SHELL("trap '' TERM; sleep 1000 & echo $!; wait");
    struct err err = ERR_INIT;
    child.timeout_ms = 300;
    CHECK(child_run(&child, &err) == LATER);
    CHECK_STRING(err.code, "timeout");
    CHECK(goes_away(buf_str(&child.output)));
}

static void test_stop(void)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(write(ends[1], "x", 1) == 1);
    auto_child struct child child = SHELL("sleep 1000");
    struct err err = ERR_INIT;
    child.stop_fd = ends[0];
    CHECK(child_run(&child, &err) == LATER);
    CHECK_STRING(err.code, "interrupted");
    close(ends[0]);
    close(ends[1]);
}

static void test_bounds(void)
{
    struct err err = ERR_INIT;
    auto_child struct child all = SHELL("printf '%100s' x");
    CHECK(child_run(&all, &err) == 0 && all.output.len == 100);
    auto_child struct child child = SHELL("printf '%101s' x; sleep 1000");
    CHECK(child_run(&child, &err) == NEVER);
    CHECK_STRING(err.code, "output_too_large");

    auto_child struct child flood = SHELL("yes | head -c 1000000; true");
    CHECK(child_run(&flood, &err) == NEVER);
    auto_child struct child messages = SHELL("yes | head -c 1000000 >&2; echo end");
    CHECK(child_run(&messages, &err) == 0);
    CHECK_STRING(buf_str(&messages.output), "end\n");
    CHECK(messages.message.len == CHILD_MESSAGE_MAX);
}

static void test_not_there(void)
{
    static char *const missing[] = { "no-such-program-here", NULL };
    static char *const no_path[] = { "/no/such/program", NULL };
    static char *const no_program[] = { "/dev/null", NULL };
    static char *const *const programs[] = { missing, no_path, no_program };
    for (size_t i = 0; i < N_ELEMENTS(programs); i++) {
        auto_child struct child child = shell(programs[i]);
        struct err err = ERR_INIT;
        CHECK_ROW(child_run(&child, &err) == NEVER, "row %zu: %s", i, err.text);
        CHECK_STRING(err.code, "not_found");
        CHECK(strstr(err.text, programs[i][0]));
    }
}

static bool run_once(void *context)
{
    (void)context;
    auto_child struct child child = SHELL("echo a; echo b >&2");
    int r = child_run(&child, NULL);
    CHECK(r <= 0 || r == LATER);
    if (r == 0)
        CHECK(strcmp(buf_str(&child.output), "a\n") == 0);
    return r == 0;
}

int main(void)
{
    test_scripts();
    test_what_is_left_is_killed();
    test_timeout();
    test_stop();
    test_bounds();
    test_not_there();
    test_failing_allocations(run_once, NULL);
    return test_end();
}
