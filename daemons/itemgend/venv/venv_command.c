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

void environment_command_clear(struct environment_command *build)
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
        return err_later(err, "interrupted", "making the environment was interrupted because the service stops");
    case COMMAND_KILLED:
        return err_later(err, "environment_failed", "%s was ended by signal %d: %.700s", program, result->signal_number,
                         output_tail(&result->output));
    case COMMAND_TIME_LIMIT:
        return err_later(err, "environment_slow",
                         "making the environment took longer than %d s, %s was at work: %.600s",
                         ENVIRONMENT_COMMAND_TIME_MS / 1000, program, output_tail(&result->output));
    case COMMAND_MEMORY_LIMIT:
        return err_never(err, "environment_failed", "%s took more than %lld MiB of memory", program,
                         (long long)build_limits.memory >> 20);
    default:
        return err_never(err, "environment_failed", "%s took more than it may, of disk (%lld MiB) or processes: %.700s",
                         program, (long long)result->disk >> 20, output_tail(&result->output));
    }
}

/* What uv is told of by path in its variables: constraints, folders of packages. */
static void add_paths(const struct strings *environment, struct strings *ret)
{
    for (size_t i = 0; i < environment->n; i++) {
        if (strncmp(environment->list[i], "UV_", 3) != 0)
            continue;
        for (const char *at = strchr(environment->list[i], '=') + 1; *at; at += *at ? 1 : 0) {
            at += strncmp(at, "file://", 7) == 0 ? 7 : 0;
            size_t len = strcspn(at, ", ");
            auto_free char *path = strndup(at, len);
            if (path && path[0] == '/' && access(path, F_OK) == 0)
                strings_add(ret, "%s", path);
            at += len;
        }
    }
}

static void add_sandbox(const struct environment_command *build, const struct strings *environment,
                        struct strings *argv)
{
    auto_strings struct strings shown = STRINGS_INIT;
    add_paths(environment, &shown);
    strings_add(&shown, "%s", build->uv);
    strings_add(&shown, "%s", build->python_prefix);
    const char *writable[] = { build->venv, build->temporary, NULL };
    struct sandbox_paths paths = { .read_only = (const char *const *)shown.list, .writable = writable };
    argv->failed |= shown.failed;
    if (!shown.failed)
        sandbox_wrap(build->sandbox, &paths, argv);
}

int environment_command_run(const struct environment_command *build, const struct strings *program,
                            struct command_result *ret, struct err *err)
{
    auto_strings struct strings argv = STRINGS_INIT, environment = STRINGS_INIT;
    variables_for_uv(&build->options, build->temporary, &environment);
    if (build->sandbox)
        add_sandbox(build, &environment, &argv);
    for (size_t i = 0; i < program->n; i++)
        strings_add(&argv, "%s", program->list[i]);
    if (program->failed || argv.failed || environment.failed)
        return err_no_memory(err);
    struct limits limits = build_limits;
    limits.time_ms = build->deadline_ms - time_mono_ms();
    struct command command = {
        .argv = (const char *const *)argv.list,
        .environment = (const char *const *)environment.list,
        .directory = build->temporary,
        .limits = &limits,
        .stop_fd = build->stop_fd,
    };
    int r = command_run(&command, ret, err);
    return r != 0 ? r : check_end(ret, program->list[0], err);
}

char *environment_command_last_line(struct buf *output)
{
    while (output->len > 0 && output->data[output->len - 1] == '\n')
        output->data[--output->len] = '\0';
    const char *line = strrchr(buf_str(output), '\n');
    return strdup(line ? line + 1 : buf_str(output));
}

/* Without site, -S: a line in a package's .pth file is code that site runs. */
int environment_command_python(const struct environment_command *build, const char *script, struct command_result *ret,
                               struct err *err)
{
    auto_strings struct strings argv = STRINGS_INIT;
    if (build->niceness > 0) {
        strings_add(&argv, "nice");
        strings_add(&argv, "-n%d", build->niceness);
    }
    strings_add(&argv, "%s", build->interpreter);
    strings_add(&argv, "-IS");
    strings_add(&argv, "-Wignore");
    strings_add(&argv, "-c");
    strings_add(&argv, "%s", script);
    strings_add(&argv, "%s", build->venv);
    strings_add(&argv, "%s", build->requirement);
    int r = environment_command_run(build, &argv, ret, err);
    if (r == 0 && ret->exit_code != 0)
        r = err_never(err, "environment_failed", "Python cannot read the package: %.700s", output_tail(&ret->output));
    return r;
}
