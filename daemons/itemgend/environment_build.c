#include "itemgend/environment_build.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time.h"
#include "itemgend/command.h"
#include "itemgend/environment_files.h"
#include "itemgend/environment_store.h"
#include "itemgend/sandbox.h"
#include "itemgend/uv_error.h"
#include "itemgend/variables.h"
#include "itemgend/workdir.h"

enum { BUILD_TIME_MS = 10 * 60 * 1000 }; /* of all its commands together */

static const struct limits build_limits = {
    .memory = INT64_C(2) << 30,
    .cpu_ms = 60 * 60 * 1000,
    .processes = 1024,
    .files = 1024,
    .disk = INT64_C(8) << 30,
    .output = INT64_C(64) << 20,
};

struct build {
    struct itemgend_options options; /* as they are, but for cache_dir: uv's own cache */
    const struct sandbox *sandbox;   /* what is run from now on is run in it; NULL: no stranger's code is run */
    const char *requirement;
    int stop_fd;
    int64_t deadline_ms; /* time_mono_ms() */
    int niceness;        /* of Python */
    char *directory, *venv, *temporary, *cache;
    char *uv;            /* the program's real path */
    char *interpreter;   /* behind the venv's python */
    char *python_prefix; /* its sys.base_prefix */
};

static void build_clear(struct build *build)
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
                         uv_error_tail(&result->output));
    case COMMAND_TIME_LIMIT:
        return err_later(err, "environment_slow",
                         "making the environment took longer than %d s, %s was at work: %.600s", BUILD_TIME_MS / 1000,
                         program, uv_error_tail(&result->output));
    case COMMAND_MEMORY_LIMIT:
        return err_never(err, "environment_failed", "%s took more than %lld MiB of memory", program,
                         (long long)build_limits.memory >> 20);
    default:
        return err_never(err, "environment_failed", "%s took more than it may, of disk (%lld MiB) or processes: %.700s",
                         program, (long long)result->disk >> 20, uv_error_tail(&result->output));
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

static void add_sandbox(const struct build *build, const struct strings *environment, struct strings *argv)
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

/* `program`: its words. 0: it came to an end by itself, see its exit code. */
static int run(const struct build *build, const struct strings *program, struct command_result *ret, struct err *err)
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

/* The one line that a program printed last, the caller's to free. */
static char *last_line(struct buf *output)
{
    while (output->len > 0 && output->data[output->len - 1] == '\n')
        output->data[--output->len] = '\0';
    const char *line = strrchr(buf_str(output), '\n');
    return strdup(line ? line + 1 : buf_str(output));
}

/* ------------------------------------------------------------- the steps */

static char *find_interpreter(const struct build *build)
{
    auto_free char *python = environment_path("%s/bin/python", build->venv);
    return python ? realpath(python, NULL) : NULL;
}

/* No package takes part in this, so no package is to blame. */
static int make_venv(struct build *build, struct err *err)
{
    auto_strings struct strings argv = STRINGS_INIT;
    strings_add(&argv, "%s", build->uv);
    strings_add(&argv, "venv");
    strings_add(&argv, "--python");
    strings_add(&argv, "%s", build->options.python);
    strings_add(&argv, "%s", build->venv);
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = run(build, &argv, &result, err);
    if (r == NEVER || (r == 0 && result.exit_code != 0))
        return err_outage(err, "no_environment", "uv cannot make an environment: %.800s",
                          uv_error_tail(&result.output));
    if (r != 0)
        return r;
    free(build->interpreter);
    build->interpreter = find_interpreter(build);
    return build->interpreter ? 0 : err_outage(err, "no_environment", "there is no Python in %s", build->venv);
}

/* Without site, -S: a line in a package's .pth file is code that site runs. */
static int run_python(const struct build *build, const char *script, struct command_result *ret, struct err *err)
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
    int r = run(build, &argv, ret, err);
    if (r == 0 && ret->exit_code != 0)
        r = err_never(err, "environment_failed", "Python cannot read the package: %.700s", uv_error_tail(&ret->output));
    return r;
}

static int find_prefix(struct build *build, struct err *err)
{
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = run_python(build, "import sys; print(sys.base_prefix)", &result, err);
    if (r == NEVER)
        return err_outage(err, "no_environment", "%s does not run: %.700s", build->interpreter,
                          uv_error_tail(&result.output));
    if (r == 0 && !(build->python_prefix = last_line(&result.output)))
        r = err_no_memory(err);
    return r;
}

/* What `uvx --with WITH,REQUIREMENT --from stactools` resolves; the requirement may be NULL. */
static int install(const struct build *build, const char *requirement, struct err *err)
{
    auto_strings struct strings argv = STRINGS_INIT;
    strings_add(&argv, "%s", build->uv);
    strings_add(&argv, "pip");
    strings_add(&argv, "install");
    strings_add(&argv, "--quiet"); /* errors only */
    strings_add(&argv, "--python");
    strings_add(&argv, "%s/bin/python", build->venv);
    if (!build->options.source_builds)
        strings_add(&argv, "--no-build"); /* `uv pip` takes no notice of UV_NO_BUILD */
    strings_add(&argv, "--");
    strings_add(&argv, "stactools");
    for (size_t i = 0; i < build->options.with.n; i++)
        strings_add(&argv, "%s", build->options.with.items[i]);
    if (requirement)
        strings_add(&argv, "%s", requirement);
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = run(build, &argv, &result, err);
    if (r != 0 || result.exit_code == 0)
        return r;
    r = uv_error(&result.output, err);
    return r != 0 ? r
                  : err_never(err, "environment_failed", "uv ended with exit code %d: %.700s", result.exit_code,
                              uv_error_tail(&result.output));
}

/* In a new venv: a package may be half installed in the other, and uv runs the Python of one to see what it is. */
static int install_without(struct build *build, struct err *err)
{
    const struct sandbox *sandbox = build->sandbox;
    build->sandbox = NULL;
    workdir_remove(build->venv);
    int r = make_venv(build, err);
    build->sandbox = sandbox;
    return r != 0 ? r : install(build, NULL, err);
}

/*
 * What uv cannot do without the package either no message is to be blamed for. And what is built from source may print
 * what it likes: that the registry is down is believed only where nothing else works either.
 */
static int install_or_blame(struct build *build, struct err *err)
{
    int r = install(build, build->requirement, err);
    bool is_doubtful = r == NEVER || (r == LATER && err->outage && build->sandbox);
    if (!is_doubtful)
        return r;
    struct err without = ERR_INIT;
    int r_without = install_without(build, &without);
    if (r_without == 0) {
        err->outage = false;
        return r;
    }
    *err = without;
    return r_without == NEVER ? err_outage(err, "no_environment", "%s", without.text) : r_without;
}

/* Prints the package's normalized name and its version. */
static const char name_version[] =
    "import glob, os, re, sys\n"
    "def normalize(name): return re.sub('[-_.]+', '-', name).lower()\n"
    "venv, requirement = sys.argv[1:]\n"
    "package, version = normalize(re.match('[A-Za-z0-9._-]+', requirement)[0]), ''\n"
    "for path in glob.glob(glob.escape(venv) + '/lib/python*/site-packages/*.dist-info'):\n"
    "    found = re.fullmatch(r'([^-]+)-([^-]+)\\.dist-info', os.path.basename(path))\n"
    "    if found and normalize(found[1]) == package: version = found[2]\n"
    "print(package, version)\n";

/* The mark, the caller's to free. */
static int make_mark(const struct build *build, cJSON **ret, struct err *err)
{
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = run_python(build, name_version, &result, err);
    if (r != 0)
        return r;
    auto_free char *package = last_line(&result.output);
    auto_json cJSON *mark = cJSON_CreateObject();
    char *version = package ? strchr(package, ' ') : NULL;
    if (!package || !mark)
        return err_no_memory(err);
    if (version)
        *version++ = '\0';
    if (!cJSON_AddStringToObject(mark, "requirement", build->requirement) ||
        !cJSON_AddStringToObject(mark, "interpreter", build->interpreter) ||
        !cJSON_AddStringToObject(mark, "python_prefix", build->python_prefix) ||
        !cJSON_AddStringToObject(mark, "package", package) ||
        !cJSON_AddStringToObject(mark, "version", version ? version : ""))
        return err_no_memory(err);
    *ret = TAKE(mark);
    return 0;
}

static int check_interpreter(const struct build *build, struct err *err)
{
    auto_free char *interpreter = find_interpreter(build);
    if (interpreter && strcmp(interpreter, build->interpreter) == 0)
        return 0;
    return err_never(err, "environment_failed", "a package has put something else in the place of its Python");
}

static int make(struct build *build, const struct sandbox *sandbox, struct err *err)
{
    auto_json cJSON *mark = NULL;
    if (mkdir(build->temporary, 0700) < 0 || (mkdir(build->cache, 0700) < 0 && errno != EEXIST))
        return err_outage(err, "no_environment", "cannot make a directory in %s: %s", build->directory,
                          strerror(errno));
    int r = make_venv(build, err);
    if (r == 0)
        r = find_prefix(build, err);
    build->sandbox = sandbox;
    if (r == 0)
        r = install_or_blame(build, err);
    if (r == 0)
        r = make_mark(build, &mark, err);
    if (r == 0)
        r = check_interpreter(build, err);
    workdir_remove(build->temporary);
    return r != 0 ? r : environment_store_finish(build->directory, mark, err);
}

static int prepare(struct build *build, const char *cache_dir, struct err *err)
{
    build->venv = environment_path("%s/venv", build->directory);
    build->temporary = environment_path("%s/tmp", build->directory);
    /* Strangers' code could put what it likes into a cache. */
    build->cache = build->options.source_builds ? environment_path("%s/tmp/uv", build->directory)
                                                : environment_path("%s/uv", cache_dir);
    build->options.cache_dir = build->cache;
    build->uv = environment_find_program(build->options.uv);
    if (!build->uv)
        return err_outage(err, "cannot_run", "there is no program %s in PATH: install it, or set its path",
                          build->options.uv);
    return build->venv && build->temporary && build->cache ? 0 : err_no_memory(err);
}

int environment_build(const struct itemgend_options *options, const struct sandbox *sandbox, const char *requirement,
                      const char *folder, int stop_fd, struct err *err)
{
    cleanup(build_clear) struct build build = { .options = *options,
                                                .requirement = requirement,
                                                .stop_fd = stop_fd,
                                                .deadline_ms = time_mono_ms() + BUILD_TIME_MS };
    int r = environment_store_begin(folder, &build.directory, err);
    if (r != 0)
        return r;
    r = prepare(&build, options->cache_dir, err);
    if (r == 0)
        r = make(&build, options->source_builds ? sandbox : NULL, err);
    if (r != 0)
        workdir_remove(build.directory);
    return r;
}

/* ---------------------------------------------------------- afterwards */

/* A compiled file takes its place by rename, under the eyes of who uses the environment. Tests that came with a package
 * are never imported. */
static const char compile[] = "import compileall, glob, re, sys\n"
                              "for site in glob.glob(glob.escape(sys.argv[1]) + '/lib/python*/site-packages'):\n"
                              "    compileall.compile_dir(site, quiet=2, rx=re.compile('/tests?/'))\n";

static int compile_in(struct build *build, struct err *err)
{
    if (mkdir(build->temporary, 0700) < 0 && errno != EEXIST)
        return err_outage(err, "no_environment", "cannot make %s: %s", build->temporary, strerror(errno));
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = run_python(build, compile, &result, err);
    workdir_remove(build->temporary);
    return r;
}

int environment_build_compile(const struct itemgend_options *options, const struct sandbox *sandbox,
                              const struct environment *environment, int stop_fd, struct err *err)
{
    cleanup(build_clear) struct build build = { .options = *options,
                                                .requirement = environment->requirement,
                                                .stop_fd = stop_fd,
                                                .deadline_ms = time_mono_ms() + BUILD_TIME_MS,
                                                .niceness = 19 };
    const char *interpreter = json_get_string(environment->json, "interpreter");
    build.venv = strdup(environment->directory);
    build.temporary = environment_path("%s/tmp", environment->build);
    build.interpreter = strdup(interpreter ? interpreter : "");
    build.python_prefix = strdup(environment->python_prefix);
    build.uv = environment_find_program(options->uv);
    if (options->source_builds)
        build.sandbox = sandbox;
    bool is_whole = build.venv && build.temporary && build.interpreter && build.python_prefix && build.uv;
    int r = is_whole ? compile_in(&build, err) : err_no_memory(err);
    return r != 0 ? r : environment_store_compiled(environment, err);
}

int environment_build_trim_cache(const struct itemgend_options *options, int64_t environments, int stop_fd,
                                 struct err *err)
{
    auto_free char *cache = environment_path("%s/uv", options->cache_dir);
    if (!cache)
        return err_no_memory(err);
    if (environments + environment_disk_usage(cache, true) <= options->cache_limit)
        return 0;
    cleanup(build_clear) struct build build = { .options = *options,
                                                .stop_fd = stop_fd,
                                                .deadline_ms = time_mono_ms() + BUILD_TIME_MS };
    build.temporary = environment_path("%s/trim", options->cache_dir);
    build.options.cache_dir = cache;
    if (build.temporary && mkdir(build.temporary, 0700) < 0 && errno != EEXIST)
        return err_outage(err, "no_environment", "cannot make %s: %s", build.temporary, strerror(errno));
    auto_strings struct strings argv = STRINGS_INIT;
    strings_add(&argv, "%s", options->uv);
    strings_add(&argv, "cache");
    strings_add(&argv, "clean");
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = build.temporary ? run(&build, &argv, &result, err) : err_no_memory(err);
    if (r == 0 && result.exit_code != 0)
        r = err_later(err, "environment_slow", "uv cannot empty its cache: %.800s", uv_error_tail(&result.output));
    return r;
}
