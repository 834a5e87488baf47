#include "itemgend/venv/venv_command.h"

#include <unistd.h>

#include "base/time.h"
#include "itemgend/sandbox/output.h"
#include "itemgend/sandbox/sandbox.h"
#include "itemgend/sandbox/variables.h"

static const struct limits build_limits = {
    .memory = INT64_C(2) << 30,
    .cpu_ms = 60 * 60 * 1000,
    .processes = 1024,
    .files = 1024,
    .disk = INT64_C(8) << 30,
    .output = INT64_C(64) << 20,
};

void venv_command_clear(struct venv_command *build)
{
    free(build->directory);
    free(build->venv);
    free(build->temporary);
    free(build->cache);
    free(build->uv);
    free(build->interpreter);
    free(build->python_prefix);
}

static int check_end(const struct command_result *result, const char *program, struct err *err)
{
    switch (result->end) {
    case COMMAND_EXITED:
        return 0;
    case COMMAND_INTERRUPTED:
        return err_later(err, "interrupted", "building the environment was interrupted because the service stops");
    case COMMAND_KILLED:
        return err_later(err, "environment_failed", "%s was ended by signal %d: %.700s", program, result->signal_number,
                         output_tail(&result->output));
    case COMMAND_TIME_LIMIT:
        return err_later(err, "environment_slow",
                         "building the environment took longer than %d s; %s was running: %.600s",
                         VENV_COMMAND_TIME_MS / 1000, program, output_tail(&result->output));
    case COMMAND_MEMORY_LIMIT:
        return err_never(err, "environment_failed", "%s used more than %lld MiB of memory", program,
                         (long long)build_limits.memory >> 20);
    default:
        return err_never(
            err, "environment_failed",
            "%s exceeded a limit on disk space (it used %lld MiB), processes, processor time or output: %.700s",
            program, (long long)result->disk >> 20, output_tail(&result->output));
    }
}

/* The paths in uv's variables: constraints, folders of packages. */
static void add_paths(const struct strv *variables, struct strv *ret)
{
    for (size_t i = 0; i < variables->n; i++) {
        if (strncmp(variables->list[i], "UV_", 3) != 0)
            continue;
        for (const char *at = strchr(variables->list[i], '=') + 1; *at; at += *at ? 1 : 0) {
            at += strncmp(at, "file://", 7) == 0 ? 7 : 0;
            size_t len = strcspn(at, ", ");
            auto_free char *path = strndup(at, len);
            if (path && path[0] == '/' && access(path, F_OK) == 0)
                strv_add(ret, "%s", path);
            at += len;
        }
    }
}

static void add_sandbox(const struct venv_command *build, const struct strv *variables, struct strv *argv)
{
    auto_strv struct strv shown = STRV_INIT;
    add_paths(variables, &shown);
    strv_add(&shown, "%s", build->uv);
    strv_add(&shown, "%s", build->python_prefix);
    const char *writable[] = { build->venv, build->temporary, NULL };
    struct sandbox_paths paths = { .read_only = (const char *const *)shown.list, .writable = writable };
    argv->failed |= shown.failed;
    if (!shown.failed)
        sandbox_wrap(build->sandbox, &paths, argv);
}

int venv_command_run(const struct venv_command *build, const struct strv *program, struct command_result *ret,
                     struct err *err)
{
    auto_strv struct strv argv = STRV_INIT, variables = STRV_INIT;
    variables_for_uv(&build->options, build->temporary, &variables);
    if (build->sandbox)
        add_sandbox(build, &variables, &argv);
    for (size_t i = 0; i < program->n; i++)
        strv_add(&argv, "%s", program->list[i]);
    if (program->failed || argv.failed || variables.failed)
        return err_no_memory(err);
    struct limits limits = build_limits;
    limits.time_ms = build->deadline_ms - time_mono_ms();
    struct command command = {
        .argv = (const char *const *)argv.list,
        .environment = (const char *const *)variables.list,
        .directory = build->temporary,
        .limits = &limits,
        .stop_fd = build->stop_fd,
    };
    int r = command_run(&command, ret, err);
    return r != 0 ? r : check_end(ret, program->list[0], err);
}

char *venv_command_last_line(struct buf *output)
{
    while (output->len > 0 && output->data[output->len - 1] == '\n')
        output->data[--output->len] = '\0';
    const char *line = strrchr(buf_str(output), '\n');
    return strdup(line ? line + 1 : buf_str(output));
}

/* -S, without site: site would run code from the .pth files of packages. */
int venv_command_python(const struct venv_command *build, const char *script, struct command_result *ret,
                        struct err *err)
{
    auto_strv struct strv argv = STRV_INIT;
    if (build->niceness > 0) {
        strv_add(&argv, "nice");
        strv_add(&argv, "-n%d", build->niceness);
    }
    strv_add(&argv, "%s", build->interpreter);
    strv_add(&argv, "-IS");
    strv_add(&argv, "-Wignore");
    strv_add(&argv, "-c");
    strv_add(&argv, "%s", script);
    strv_add(&argv, "%s", build->venv);
    strv_add(&argv, "%s", build->requirement);
    int r = venv_command_run(build, &argv, ret, err);
    if (r == 0 && ret->exit_code != 0)
        r = err_never(err, "environment_failed", "Python cannot read the package: %.700s", output_tail(&ret->output));
    return r;
}
