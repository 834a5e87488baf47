/*
 * build/tests/item [-m MIB] [-p PYTHON] DIRECTORY ARGUMENT...: makes items with a work directory in DIRECTORY and the
 * sandbox that the ITEMGEND_* variables choose. Prints the sandbox in force, then for each item "made: OUTPUT" or
 * "CODE: TEXT". Without -p, it runs the command ARGUMENT... as one item. With -p, one fork server of the virtual
 * environment's PYTHON makes an item for each ARGUMENT, the argument of `stac`. -m limits the memory to MIB.
 */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "itemgend/forkserver/forkserver.h"
#include "itemgend/sandbox/command.h"
#include "itemgend/sandbox/libexec.h"
#include "itemgend/sandbox/variables.h"
#include "itemgend/sandbox/workdir.h"

static struct limits limits = {
    .memory = 64 << 20,
    .time_ms = 120 * 1000,
    .cpu_ms = 120 * 1000,
    .processes = 64,
    .files = 256,
    .disk = INT64_C(1) << 30,
    .output = 1 << 20,
};

static void print_result(int result, const struct command_result *made, struct err *err)
{
    if (result == 0)
        result = command_result_check(made, &limits, err);
    if (result == 0)
        printf("made: %s\n", buf_str(&made->output));
    else
        printf("%s: %s\n", err->code, err->text);
    fflush(stdout);
}

static int by_command(const struct sandbox *sandbox, const char *directory, char **words, struct err *err)
{
    auto_strv struct strv argv = STRV_INIT, environment = STRV_INIT;
    const struct sandbox_paths paths = { .writable = (const char *const[]){ directory, NULL } };
    sandbox_wrap(sandbox, &paths, &argv);
    for (; *words; words++)
        strv_add(&argv, "%s", *words);
    variables_for_package(directory, &environment);
    if (argv.failed || environment.failed)
        return err_no_memory(err);
    const struct command command = {
        .argv = (const char *const *)argv.list,
        .environment = (const char *const *)environment.list,
        .directory = directory,
        .limits = &limits,
        .cgroups = sandbox_cgroups(sandbox),
        .stop_fd = -1,
    };
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = command_run(&command, &result, err);
    print_result(r, &result, err);
    return 0;
}

static int make_item(struct forkserver *server, const char *place, const char *argument, struct err *err)
{
    auto_free char *directory = NULL;
    int r = workdir_new(place, &directory, err);
    if (r != 0)
        return r;
    const struct forkserver_job job = {
        .directory = directory, .arguments = (const char *const[]){ argument, NULL }, .limits = &limits, .stop_fd = -1
    };
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    r = forkserver_run(server, &job, &result, err);
    print_result(r, &result, err);
    workdir_remove(directory);
    return 0;
}

static int by_server(const struct sandbox *sandbox, const char *python, const char *place, char **arguments,
                     struct err *err)
{
    auto_free char *venv = strdup(python), *program = NULL;
    if (!venv || !strstr(venv, "/bin/"))
        return err_never(err, "bad_python", "%s is not in a virtual environment", python);
    *strstr(venv, "/bin/") = '\0';
    char prefix[PATH_MAX]; /* PREFIX/bin/python3 is behind it */
    if (!realpath(python, prefix) || !strstr(prefix, "/bin/"))
        return err_never(err, "bad_python", "%s is not a Python", python);
    *strstr(prefix, "/bin/") = '\0';
    int r = libexec_find("forkserver.py", &program, err);
    const struct venv venv_of_python = { .directory = venv, .python = python, .python_prefix = prefix };
    cleanup(forkserver_clear) struct forkserver server = FORKSERVER_INIT;
    struct limits for_import = limits;
    for_import.memory = INT64_C(1) << 30;
    const struct forkserver_start start = {
        .venv = &venv_of_python, .sandbox = sandbox, .program = program, .place = place, .limits = &for_import
    };
    if (r == 0)
        r = forkserver_start(&start, &server, err);
    if (r == 0)
        r = forkserver_wait_ready(&server, &start, -1, err);
    for (; r == 0 && *arguments; arguments++)
        r = make_item(&server, place, *arguments, err);
    return r;
}

static int run(const struct itemgend_options *options, const char *python, char **arguments, struct err *err)
{
    struct sandbox *sandbox = NULL;
    int r = sandbox_open(options, -1, &sandbox, err);
    auto_buf struct buf text = BUF_INIT;
    if (r == 0)
        sandbox_describe(sandbox, &text);
    fputs(buf_str(&text), stdout);
    auto_free char *directory = NULL;
    if (r == 0)
        r = workdir_new(arguments[0], &directory, err);
    if (r == 0)
        r = python ? by_server(sandbox, python, directory, arguments + 1, err)
                   : by_command(sandbox, directory, arguments + 1, err);
    if (directory)
        workdir_remove(directory);
    sandbox_free(sandbox);
    return r;
}

int main(int argc, char **argv)
{
    const char *python = NULL;
    for (int option; (option = getopt(argc, argv, "+m:p:")) != -1;) {
        if (option == 'm')
            limits.memory = strtoll(optarg, NULL, 10) << 20;
        if (option == 'p')
            python = optarg;
    }
    if (optind + 2 > argc)
        return 64;
    struct itemgend_options options = { .item_limit = 0 };
    auto_buf struct buf errors = BUF_INIT;
    const struct config_source source = { .path = NULL };
    if (config_load(&itemgend_schema, &source, &options, &errors) != 0) {
        fputs(buf_str(&errors), stderr);
        return 64;
    }
    struct err err = ERR_INIT;
    int r = run(&options, python, argv + optind, &err);
    if (r != 0)
        fprintf(stderr, "%s: %s\n", err.code ? err.code : "fatal", err.text);
    config_clear(&itemgend_schema, &options);
    return r == 0 ? 0 : 1;
}
