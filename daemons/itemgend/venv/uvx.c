#include "itemgend/venv/uvx.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "itemgend/sandbox/command.h"
#include "itemgend/sandbox/spawn.h"
#include "base/strv.h"
#include "itemgend/venv/uv_error.h"
#include "itemgend/sandbox/variables.h"

/* The command line up to the command that uvx runs. */
static void add_uvx(const struct uvx_job *job, const char *uvx, struct strv *argv)
{
    strv_add(argv, "%s", uvx);
    const struct config_list *with = &job->options->with;
    auto_buf struct buf list = BUF_INIT;
    for (size_t i = 0; i < with->n; i++)
        buf_printf(&list, "%s%s", list.len ? "," : "", with->items[i]);
    if (job->requirement)
        buf_printf(&list, "%s%s", list.len ? "," : "", job->requirement);
    argv->failed |= buf_failed(&list);
    if (list.len) {
        strv_add(argv, "--with");
        strv_add(argv, "%s", buf_str(&list));
    }
    strv_add(argv, "--from");
    strv_add(argv, "stactools");
}

/* ------------------------------------------------------------- the sandbox */

/* Adds the real path without its last `n` names. */
static void add_folder(const char *path, int n, struct strv *paths)
{
    char real[PATH_MAX];
    if (!path || !realpath(path, real))
        return;
    for (char *end; n > 0 && (end = strrchr(real, '/')); n--)
        *end = '\0';
    if (real[0])
        strv_add(paths, "%s", real);
}

/* The paths that uv and its interpreter need in addition to the system's. */
static void add_paths(const struct uvx_job *job, const char *uvx, struct strv *paths)
{
    add_folder(uvx, 1, paths);
    auto_free char *python = spawn_find(job->options->python);
    add_folder(python, 2, paths);
    add_folder(job->options->constraints, 0, paths);
    const char *links = getenv("UV_FIND_LINKS");
    if (links && links[0] == '/')
        add_folder(links, 0, paths);
}

/* uv would make the directory, but the sandbox can only show existing ones. */
static int make_cache(const struct itemgend_options *options, char ret[PATH_MAX], struct err *err)
{
    if (mkdir(options->cache_dir, 0755) < 0 && errno != EEXIST)
        return err_outage(err, "no_environment", "cannot make cache_dir %s: %s", options->cache_dir, strerror(errno));
    if (!realpath(options->cache_dir, ret))
        return err_outage(err, "no_environment", "cannot find cache_dir %s: %s", options->cache_dir, strerror(errno));
    return 0;
}

static int add_sandbox(const struct uvx_job *job, const char *uvx, struct strv *argv, struct err *err)
{
    char cache[PATH_MAX];
    int r = make_cache(job->options, cache, err);
    if (r != 0)
        return r;
    auto_strv struct strv read_only = STRV_INIT;
    add_paths(job, uvx, &read_only);
    argv->failed |= read_only.failed;
    const struct sandbox_paths paths = {
        .read_only = (const char *const *)read_only.list,
        .writable = (const char *const[]){ cache, job->directory, NULL },
    };
    sandbox_wrap(job->sandbox, &paths, argv);
    return 0;
}

/* ------------------------------------------------------------- running it */

static int run(const struct uvx_job *job, struct command_result *ret, struct err *err)
{
    auto_free char *uvx = spawn_find(job->options->uvx);
    if (!uvx || access(uvx, X_OK) < 0)
        return err_outage(err, "cannot_run", "program %s not found: install uv, or set uvx to its path",
                          job->options->uvx);
    auto_strv struct strv argv = STRV_INIT, variables = STRV_INIT;
    int r = add_sandbox(job, uvx, &argv, err);
    if (r != 0)
        return r;
    add_uvx(job, uvx, &argv);
    for (const char *const *argument = job->arguments; *argument; argument++)
        strv_add(&argv, "%s", *argument);
    variables_for_uv(job->options, job->directory, &variables);
    for (const char *const *variable = job->variables; variable && *variable; variable++)
        strv_add(&variables, "%s", *variable);
    if (argv.failed || variables.failed)
        return err_no_memory(err);
    struct command command = {
        .argv = (const char *const *)argv.list,
        .environment = (const char *const *)variables.list,
        .directory = job->directory,
        .limits = job->limits,
        .cgroups = sandbox_cgroups(job->sandbox),
        .stop_fd = job->stop_fd,
    };
    return command_run(&command, ret, err);
}

/* 0: uv can make the environment. Runs Python in it, but no package code. */
static int try_venv(const struct uvx_job *job, const char *requirement, struct err *err)
{
    struct uvx_job trial = *job;
    trial.requirement = requirement;
    trial.arguments = (const char *const[]){ "python", "-c", "pass", NULL };
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = run(&trial, &result, err);
    if (r != 0)
        return r;
    if (result.end != COMMAND_EXITED)
        return command_result_check(&result, job->limits, err);
    return result.exit_code == 0 ? 0 : uv_error(&result.output, err);
}

/*
 * Finds out whether uv failed, and why; 0: it did not. uv's output alone cannot be trusted: a package can print the
 * same lines, and would stop the service as if the registry were down. If uv fails without the package too (no Python,
 * no space for its cache), the message is not the cause.
 */
static int check_venv(const struct uvx_job *job, struct err *err)
{
    int r = try_venv(job, job->requirement, err);
    if (r != NEVER)
        return r;
    struct err without = ERR_INIT;
    int r_without = try_venv(job, NULL, &without);
    if (r_without == 0)
        return r;
    *err = without;
    return r_without == NEVER ? err_outage(err, "no_environment", "%s", without.text) : r_without;
}

int uvx_run(const struct uvx_job *job, struct command_result *ret, struct err *err)
{
    int r = run(job, ret, err);
    if (r == 0 && ret->end == COMMAND_EXITED && ret->exit_code != 0 && uv_error(&ret->output, NULL) != 0)
        r = check_venv(job, err);
    return r;
}
