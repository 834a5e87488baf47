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

/* Up to the command that is run in the environment. */
static void add_uvx(const struct uvx_job *job, const char *uvx, struct strings *argv)
{
    strings_add(argv, "%s", uvx);
    const struct config_list *with = &job->options->with;
    auto_buf struct buf list = BUF_INIT;
    for (size_t i = 0; i < with->n; i++)
        buf_printf(&list, "%s%s", list.len ? "," : "", with->items[i]);
    if (job->requirement)
        buf_printf(&list, "%s%s", list.len ? "," : "", job->requirement);
    argv->failed |= buf_failed(&list);
    if (list.len) {
        strings_add(argv, "--with");
        strings_add(argv, "%s", buf_str(&list));
    }
    strings_add(argv, "--from");
    strings_add(argv, "stactools");
}

/* ------------------------------------------------------------- the sandbox */

/* The real path with its last `n` names taken off. */
static void add_folder(const char *path, int n, struct strings *paths)
{
    char real[PATH_MAX];
    if (!path || !realpath(path, real))
        return;
    for (char *end; n > 0 && (end = strrchr(real, '/')); n--)
        *end = '\0';
    if (real[0])
        strings_add(paths, "%s", real);
}

/* What uv and the interpreter that it finds need besides the system's own. */
static void add_paths(const struct uvx_job *job, const char *uvx, struct strings *paths)
{
    add_folder(uvx, 1, paths);
    auto_free char *python = spawn_find(job->options->python);
    add_folder(python, 2, paths);
    add_folder(job->options->constraints, 0, paths);
    const char *links = getenv("UV_FIND_LINKS");
    if (links && links[0] == '/')
        add_folder(links, 0, paths);
}

/* uv would make it, but a sandbox shows what is there. */
static int make_cache(const struct itemgend_options *options, char ret[PATH_MAX], struct err *err)
{
    if (mkdir(options->cache_dir, 0755) < 0 && errno != EEXIST)
        return err_outage(err, "no_environment", "cannot make cache_dir %s: %s", options->cache_dir, strerror(errno));
    if (!realpath(options->cache_dir, ret))
        return err_outage(err, "no_environment", "cannot find cache_dir %s: %s", options->cache_dir, strerror(errno));
    return 0;
}

static int add_sandbox(const struct uvx_job *job, const char *uvx, struct strings *argv, struct err *err)
{
    char cache[PATH_MAX];
    int r = make_cache(job->options, cache, err);
    if (r != 0)
        return r;
    auto_strings struct strings read_only = STRINGS_INIT;
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
        return err_outage(err, "cannot_run", "there is no program %s (uvx): install it, or set its path",
                          job->options->uvx);
    auto_strings struct strings argv = STRINGS_INIT, environment = STRINGS_INIT;
    int r = add_sandbox(job, uvx, &argv, err);
    if (r != 0)
        return r;
    add_uvx(job, uvx, &argv);
    for (const char *const *argument = job->arguments; *argument; argument++)
        strings_add(&argv, "%s", *argument);
    variables_for_uv(job->options, job->directory, &environment);
    for (const char *const *variable = job->variables; variable && *variable; variable++)
        strings_add(&environment, "%s", *variable);
    if (argv.failed || environment.failed)
        return err_no_memory(err);
    struct command command = {
        .argv = (const char *const *)argv.list,
        .environment = (const char *const *)environment.list,
        .directory = job->directory,
        .limits = job->limits,
        .cgroups = sandbox_cgroups(job->sandbox),
        .stop_fd = job->stop_fd,
    };
    return command_run(&command, ret, err);
}

/* Has uv make the environment and run Python in it, which runs nothing of the package. 0: it can. */
static int try_environment(const struct uvx_job *job, const char *requirement, struct err *err)
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
 * Whether uv failed, and how; 0: it did not. Its words alone do not tell: a package can print the same ones, and would
 * then stop the service as if the registry were down. And what uv cannot do without the package either (no Python, no
 * space for its cache) no message is to be blamed for.
 */
static int check_environment(const struct uvx_job *job, struct err *err)
{
    int r = try_environment(job, job->requirement, err);
    if (r != NEVER)
        return r;
    struct err without = ERR_INIT;
    int r_without = try_environment(job, NULL, &without);
    if (r_without == 0)
        return r;
    *err = without;
    return r_without == NEVER ? err_outage(err, "no_environment", "%s", without.text) : r_without;
}

int uvx_run(const struct uvx_job *job, struct command_result *ret, struct err *err)
{
    int r = run(job, ret, err);
    if (r == 0 && ret->end == COMMAND_EXITED && ret->exit_code != 0 && uv_error(&ret->output, NULL) != 0)
        r = check_environment(job, err);
    return r;
}
