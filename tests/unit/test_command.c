/* command: each limit ends all processes of a command, and the result says which limit. Nothing is left running. */
#include "itemgend/sandbox/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/time.h"
#include "itemgend/sandbox/workdir.h"

#include "test.h"

static const struct limits enough = {
    .memory = INT64_C(1) << 30,
    .time_ms = 60 * 1000,
    .cpu_ms = 60 * 1000,
    .processes = 64,
    .files = 64,
    .disk = 64 << 20,
    .output = 1 << 20,
};

static char *parent, *directory;

static int run(const char *script, const struct limits *limits, int stop_fd, struct command_result *ret)
{
    const struct command command = {
        .argv = (const char *const[]){ "python3", "-c", script, NULL },
        .environment = (const char *const[]){ "PATH=/usr/bin:/bin", "MARK=made by a test", NULL },
        .directory = directory,
        .limits = limits,
        .stop_fd = stop_fd,
    };
    struct err err = ERR_INIT;
    int r = command_run(&command, ret, &err);
    CHECK_ROW(r == 0, "%s", err.text);
    return r;
}

/* The script has written them into the file "pids", separated by blanks. */
static void check_all_are_gone(const char *script)
{
    auto_buf struct buf path = BUF_INIT;
    buf_printf(&path, "%s/pids", directory);
    FILE *file = fopen(buf_str(&path), "re");
    CHECK_ROW(file, "%s", script);
    int pid = 0, n = 0;
    for (; file && fscanf(file, "%d", &pid) == 1; n++)
        CHECK_ROW(kill(pid, 0) < 0 && errno == ESRCH, "process %d is still there: %s", pid, script);
    CHECK_ROW(n > 0, "%s", script);
    if (file)
        fclose(file);
}

#define PIDS "import os, sys, time\ndef note(): open('pids', 'a').write('%d ' % os.getpid())\nnote()\n"

static const struct {
    const char *script;
    enum command_end end;
    const char *code, *words;
} rows[] = {
    { PIDS "sys.exit(0)", COMMAND_EXITED, NULL, NULL },
    { PIDS "print('why'); sys.exit(7)", COMMAND_EXITED, "create_item_failed", "exit code 7: why" },
    { PIDS "os.write(2, b'be\\0fore \\xff'); sys.exit(7)", COMMAND_EXITED, "create_item_failed",
      "exit code 7: be?fore ?" },
    /* Errors of click, with and without the usage. */
    { PIDS "print('Usage: stac x\\n\\nError: No such command'); sys.exit(2)", COMMAND_EXITED, "bad_command",
      "stac refused the command: No such command" },
    { PIDS "print(\"Error: Option '--x' does not take a value.\"); sys.exit(2)", COMMAND_EXITED, "bad_command",
      "Option '--x' does not take a value." },
    { PIDS "print(\"Error: Option '--x' does not take a value.\"); sys.exit(1)", COMMAND_EXITED, "create_item_failed",
      "exit code 1" },
    { PIDS "os.kill(os.getpid(), 9)", COMMAND_KILLED, "create_item_failed", "signal 9" },
    { PIDS "time.sleep(60)", COMMAND_TIME_LIMIT, "time_limit", "2 s" },
    { PIDS "\nwhile True: pass", COMMAND_CPU_LIMIT, "cpu_limit", "1 s" },
    /* Each process is below the limit. */
    { PIDS "for i in range(4):\n if os.fork() == 0: note(); x = b'x' * (40 << 20); time.sleep(60)\ntime.sleep(60)",
      COMMAND_MEMORY_LIMIT, "out_of_memory", "memory_limit (100 MiB)" },
    { PIDS "import mmap\nm = mmap.mmap(-1, 200 << 20)\nfor i in range(0, 200 << 20, 4096): m[i] = 1\ntime.sleep(60)",
      COMMAND_MEMORY_LIMIT, "out_of_memory", "memory_limit (100 MiB)" },
    { PIDS "fs = [os.memfd_create('x') for _ in range(20)]\nfor f in fs: os.write(f, bytes(10 << 20))\ntime.sleep(60)",
      COMMAND_MEMORY_LIMIT, "out_of_memory", "memory_limit (100 MiB)" },
    { PIDS "x = bytearray(1 << 30)", COMMAND_EXITED, "out_of_memory", "MemoryError" },
    { PIDS "x = b'x' * (30 << 20); time.sleep(0.5); bytearray(1 << 30)", COMMAND_EXITED, "out_of_memory",
      "MiB of 100 MiB, and could not get more" },
    { PIDS "os.write(2, b\"what():  std::bad_alloc\"); os.abort()", COMMAND_KILLED, "out_of_memory", "std::bad_alloc" },
    { PIDS "for i in range(20):\n if os.fork() == 0: note(); time.sleep(60)\ntime.sleep(60)", COMMAND_PROCESS_LIMIT,
      "process_limit", "process_limit (10)" },
    { PIDS "for i in range(40): open(str(i), 'wb').write(bytes(1 << 20))\ntime.sleep(60)", COMMAND_DISK_LIMIT,
      "disk_limit", "disk_limit (20 MiB)" },
    /* A single file that RLIMIT_FSIZE stops: reported as the disk limit. */
    { PIDS "f = open('f', 'wb')\nfor i in range(40): f.write(bytes(1 << 20))", COMMAND_DISK_LIMIT, "disk_limit",
      "disk_limit (20 MiB)" },
    /* Unlinked files. */
    { PIDS
      "f = open('f', 'wb'); os.unlink('f')\nfor i in range(21): f.write(bytes(1 << 20))\nf.flush(); time.sleep(60)",
      COMMAND_DISK_LIMIT, "disk_limit", "disk_limit (20 MiB)" },
    { PIDS "os.mkdir('d'); open('d/f', 'w').close(); os.chmod('d', 0); [time.sleep(60) for _ in [1] if os.getuid()]\n"
           "for i in range(100): os.mkdir('e'); os.chdir('e')\ntime.sleep(60)",
      COMMAND_DISK_LIMIT, "disk_limit", "disk_limit (20 MiB)" },
    { PIDS "while True: print('x' * 1000)", COMMAND_OUTPUT_LIMIT, "output_limit", "output_limit (1024 KiB)" },
    /* A process that leaves its parent and its session ends too. */
    { PIDS "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  note(); open('there', 'w'); time.sleep(60)\n "
           "os._exit(0)\n"
           "while not os.path.exists('there'): time.sleep(0.01)\n",
      COMMAND_EXITED, NULL, NULL },
};

static void test_limits(void)
{
    struct limits limits = enough;
    limits.memory = 100 << 20;
    limits.time_ms = 2000;
    limits.cpu_ms = 1000;
    limits.processes = 10;
    limits.disk = 20 << 20;
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct err err = ERR_INIT;
        CHECK(workdir_new(parent, &directory, &err) == 0);
        auto_command_result struct command_result result = COMMAND_RESULT_INIT;
        /* A busy machine must not make a case hit another limit than the tested one. */
        limits.time_ms = rows[i].end == COMMAND_TIME_LIMIT ? 2000 : 60000;
        if (run(rows[i].script, &limits, -1, &result) == 0) {
            CHECK_ROW(result.end == rows[i].end, "row %zu: end %d: %s", i, (int)result.end, buf_str(&result.output));
            int r = command_result_check(&result, &limits, &err);
            CHECK((r == 0) == (rows[i].code == NULL));
            CHECK_STRING(err.code, rows[i].code);
            CHECK_ROW(!rows[i].words || strstr(err.text, rows[i].words), "row %zu: %s", i, err.text);
            check_all_are_gone(rows[i].script);
        }
        workdir_remove(directory);
        CHECK_ROW(access(directory, F_OK) < 0, "row %zu: its directory is still there", i);
        free(directory);
    }
}

static void test_what_it_gets(void)
{
    struct err err = ERR_INIT;
    CHECK(workdir_new(parent, &directory, &err) == 0);
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    auto_close int leaked = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
    if (run("import os, resource as r\n"
            "print(os.environ['MARK'], len(os.environ), os.getcwd() == os.path.realpath('.'), os.getsid(0) == "
            "os.getpid() or os.getsid(0))\n"
            "print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:-1], os.read(0, 1), "
            "r.getrlimit(r.RLIMIT_NOFILE)[0], r.getrlimit(r.RLIMIT_NOFILE)[1])\n"
            "print([l.split()[1] for l in open('/proc/self/status') if l.startswith(('NoNewPrivs', 'SigBlk'))])",
            &enough, -1, &result) == 0) {
        const char *text = buf_str(&result.output);
        CHECK_ROW(strstr(text, "made by a test"), "%s", text);
        /* The hard limit stays, because the network of a sandbox needs more. */
        struct rlimit files;
        auto_buf struct buf expected = BUF_INIT;
        CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
        buf_printf(&expected, "[0, 1, 2] b'' 64 %llu", (unsigned long long)files.rlim_max);
        CHECK_ROW(strstr(text, buf_str(&expected)), "%s", text);
        CHECK_ROW(strstr(text, "['0000000000000000', '1']") || strstr(text, "['1', '0000000000000000']"), "%s", text);
    }
    CHECK(leaked >= 0);
    workdir_remove(directory);
    free(directory);
}

static void test_stop(void)
{
    struct err err = ERR_INIT;
    CHECK(workdir_new(parent, &directory, &err) == 0);
    auto_close int stop_fd = eventfd(1, EFD_CLOEXEC);
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    if (run("import time; time.sleep(60)", &enough, stop_fd, &result) == 0) {
        CHECK(result.end == COMMAND_INTERRUPTED);
        CHECK(command_result_check(&result, &enough, &err) == LATER);
        CHECK_STRING(err.code, "interrupted");
    }
    workdir_remove(directory);
    free(directory);
}

/* The caller may have more open files than the program is allowed. */
static void test_many_open_files(void)
{
    enum { N = 100 };
    int fds[N];
    for (int i = 0; i < N; i++)
        CHECK((fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    struct err err = ERR_INIT;
    CHECK(workdir_new(parent, &directory, &err) == 0);
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    run("import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])", &enough, -1, &result);
    CHECK(result.end == COMMAND_EXITED && result.exit_code == 0);
    CHECK_STRING(buf_str(&result.output), "64\n");
    for (int i = 0; i < N; i++)
        close(fds[i]);
    workdir_remove(directory);
    free(directory);
}

static void test_not_there(void)
{
    static const char *const programs[] = { "/nonexistent/program", "no-such-program", "/etc/hostname" };
    for (size_t i = 0; i < N_ELEMENTS(programs); i++) {
        const struct command command = { .argv = (const char *const[]){ programs[i], NULL },
                                         .environment = (const char *const[]){ NULL },
                                         .directory = "/",
                                         .limits = &enough,
                                         .stop_fd = -1 };
        auto_command_result struct command_result result = COMMAND_RESULT_INIT;
        struct err err = ERR_INIT;
        CHECK(command_run(&command, &result, &err) == LATER && err.outage);
        CHECK_STRING(err.code, "cannot_run");
    }
}

int main(void)
{
    /* /tmp may be in memory, where an unlinked file uses no disk. */
    char folder[] = "/var/tmp/test_command.XXXXXX";
    parent = mkdtemp(folder);
    CHECK(parent);
    test_limits();
    test_what_it_gets();
    test_stop();
    test_many_open_files();
    test_not_there();
    workdir_remove(parent);
    return test_end();
}
