#include "itemgend/venv/venv_build.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time.h"
#include "itemgend/venv/venv_command.h"
#include "itemgend/venv/venv_files.h"
#include "itemgend/venv/venv_store.h"
#include "itemgend/sandbox/output.h"
#include "itemgend/venv/uv_error.h"
#include "itemgend/sandbox/workdir.h"

static char *find_interpreter(const struct venv_command *build)
{
    auto_free char *python = venv_files_path("%s/bin/python", build->venv);
    return python ? realpath(python, NULL) : NULL;
}

/* The package has no part in this yet, so it cannot be the cause of a failure. */
static int make_venv(struct venv_command *build, struct err *err)
{
    auto_strv struct strv argv = STRV_INIT;
    strv_add(&argv, "%s", build->uv);
    strv_add(&argv, "venv");
    strv_add(&argv, "--python");
    strv_add(&argv, "%s", build->options.python);
    strv_add(&argv, "%s", build->venv);
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = venv_command_run(build, &argv, &result, err);
    if (r == NEVER || (r == 0 && result.exit_code != 0))
        return err_outage(err, "no_environment", "uv cannot create a virtual environment: %.800s",
                          output_tail(&result.output));
    if (r != 0)
        return r;
    free(build->interpreter);
    build->interpreter = find_interpreter(build);
    return build->interpreter ? 0 : err_outage(err, "no_environment", "uv installed no Python in %s", build->venv);
}

static int find_prefix(struct venv_command *build, struct err *err)
{
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = venv_command_python(build, "import sys; print(sys.base_prefix)", &result, err);
    if (r == NEVER)
        return err_outage(err, "no_environment", "%s does not run: %.700s", build->interpreter,
                          output_tail(&result.output));
    if (r == 0 && !(build->python_prefix = venv_command_last_line(&result.output)))
        r = err_no_memory(err);
    return r;
}

/* Installs the packages that `uvx --with WITH,REQUIREMENT --from stactools` resolves; the requirement may be NULL. */
static int install(const struct venv_command *build, const char *requirement, struct err *err)
{
    auto_strv struct strv argv = STRV_INIT;
    strv_add(&argv, "%s", build->uv);
    strv_add(&argv, "pip");
    strv_add(&argv, "install");
    strv_add(&argv, "--quiet"); /* prints errors only */
    strv_add(&argv, "--python");
    strv_add(&argv, "%s/bin/python", build->venv);
    if (!build->options.source_builds)
        strv_add(&argv, "--no-build"); /* `uv pip` ignores UV_NO_BUILD */
    strv_add(&argv, "--");
    strv_add(&argv, "stactools");
    for (size_t i = 0; i < build->options.with.n; i++)
        strv_add(&argv, "%s", build->options.with.items[i]);
    if (requirement)
        strv_add(&argv, "%s", requirement);
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = venv_command_run(build, &argv, &result, err);
    if (r != 0 || result.exit_code == 0)
        return r;
    r = uv_error(&result.output, err);
    return r != 0 ? r
                  : err_never(err, "environment_failed", "uv ended with exit code %d: %.700s", result.exit_code,
                              output_tail(&result.output));
}

/* In a new venv: the package may be half installed in the old one, and uv runs the Python of a venv to inspect it. */
static int install_without(struct venv_command *build, struct err *err)
{
    const struct sandbox *sandbox = build->sandbox;
    build->sandbox = NULL;
    workdir_remove(build->venv);
    int r = make_venv(build, err);
    build->sandbox = sandbox;
    return r != 0 ? r : install(build, NULL, err);
}

/*
 * Finds out whether the package causes the failure. If uv fails without the package too, the machine or the registry
 * is the cause. And a package that is built from source can print that the registry is down: this counts only if
 * installing without the package fails too.
 */
static int install_or_blame(struct venv_command *build, struct err *err)
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

/* The build's mark (venv_store_finish), which the caller frees. */
static int make_mark(const struct venv_command *build, cJSON **ret, struct err *err)
{
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = venv_command_python(build, name_version, &result, err);
    if (r != 0)
        return r;
    auto_free char *package = venv_command_last_line(&result.output);
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

static int check_interpreter(const struct venv_command *build, struct err *err)
{
    auto_free char *interpreter = find_interpreter(build);
    if (interpreter && strcmp(interpreter, build->interpreter) == 0)
        return 0;
    return err_never(err, "environment_failed", "a package has replaced the Python of its environment");
}

static int make(struct venv_command *build, const struct sandbox *sandbox, struct err *err)
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
    return r != 0 ? r : venv_store_finish(build->directory, build->is_prepared, mark, err);
}

static int prepare(struct venv_command *build, const char *cache_dir, struct err *err)
{
    build->venv = venv_files_path("%s/venv", build->directory);
    build->temporary = venv_files_path("%s/tmp", build->directory);
    /* Package code could put anything into a shared cache. */
    build->cache = build->options.source_builds ? venv_files_path("%s/tmp/uv", build->directory)
                                                : venv_files_path("%s/uv", cache_dir);
    build->options.cache_dir = build->cache;
    build->uv = venv_files_find_program(build->options.uv);
    if (!build->uv)
        return err_outage(err, "cannot_run", "program %s not found in PATH: install it, or set its path",
                          build->options.uv);
    return build->venv && build->temporary && build->cache ? 0 : err_no_memory(err);
}

int venv_build(const struct itemgend_options *options, const struct sandbox *sandbox, const char *requirement,
               const char *folder, int stop_fd, struct err *err)
{
    cleanup(venv_command_clear) struct venv_command build = {
        .options = *options,
        .requirement = requirement,
        .stop_fd = stop_fd,
        .deadline_ms = time_mono_ms() + VENV_COMMAND_TIME_MS,
        .is_prepared = options->prepared_dir && strcmp(options->cache_dir, options->prepared_dir) == 0,
    };
    int r = venv_store_begin(folder, build.is_prepared, &build.directory, err);
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

/*
 * Compiled files are put in place by rename, while others use the environment. Sources never change after the build,
 * so their times are not checked: a container image changes the times of all files. The tests of packages are never
 * imported. Linux may group processes by session (sched(7), autogroup), and niceness then counts only within a
 * session: so the group gets the same niceness, or this would compete with the first fork server.
 */
static const char compile[] = "import compileall, glob, py_compile, re, sys\n"
                              "try: open('/proc/self/autogroup', 'w').write('19')\n"
                              "except OSError: pass\n"
                              "for site in glob.glob(glob.escape(sys.argv[1]) + '/lib/python*/site-packages'):\n"
                              "    compileall.compile_dir(site, quiet=2, rx=re.compile('/tests?/'),\n"
                              "        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)\n";

static int compile_in(struct venv_command *build, struct err *err)
{
    if (!mkdtemp(build->temporary)) /* a name of its own: another process may compile the same environment */
        return err_outage(err, "no_environment", "cannot make %s: %s", build->temporary, strerror(errno));
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = venv_command_python(build, compile, &result, err);
    workdir_remove(build->temporary);
    return r;
}

int venv_build_compile(const struct itemgend_options *options, const struct sandbox *sandbox,
                       const struct stored_venv *stored, int stop_fd, struct err *err)
{
    cleanup(venv_command_clear) struct venv_command build = { .options = *options,
                                                              .requirement = stored->venv.requirement,
                                                              .stop_fd = stop_fd,
                                                              .deadline_ms = time_mono_ms() + VENV_COMMAND_TIME_MS,
                                                              .niceness = 19 };
    const char *interpreter = json_get_string(stored->json, "interpreter");
    build.venv = strdup(stored->venv.directory);
    build.temporary = venv_files_path("%s/tmp-XXXXXX", stored->build);
    build.interpreter = strdup(interpreter ? interpreter : "");
    build.python_prefix = strdup(stored->venv.python_prefix);
    build.uv = venv_files_find_program(options->uv);
    if (options->source_builds)
        build.sandbox = sandbox;
    bool is_whole = build.venv && build.temporary && build.interpreter && build.python_prefix && build.uv;
    int r = is_whole ? compile_in(&build, err) : err_no_memory(err);
    return r != 0 ? r : venv_store_compiled(stored, err);
}

int venv_build_trim_cache(const struct itemgend_options *options, int64_t venvs_size, int stop_fd, struct err *err)
{
    auto_free char *cache = venv_files_path("%s/uv", options->cache_dir);
    if (!cache)
        return err_no_memory(err);
    if (venvs_size + venv_files_disk_usage(cache, true) <= options->cache_limit)
        return 0;
    cleanup(venv_command_clear) struct venv_command build = { .options = *options,
                                                              .stop_fd = stop_fd,
                                                              .deadline_ms = time_mono_ms() + VENV_COMMAND_TIME_MS };
    build.temporary = venv_files_path("%s/trim", options->cache_dir);
    build.options.cache_dir = cache;
    if (build.temporary && mkdir(build.temporary, 0700) < 0 && errno != EEXIST)
        return err_outage(err, "no_environment", "cannot make %s: %s", build.temporary, strerror(errno));
    auto_strv struct strv argv = STRV_INIT;
    strv_add(&argv, "%s", options->uv);
    strv_add(&argv, "cache");
    strv_add(&argv, "clean");
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = build.temporary ? venv_command_run(&build, &argv, &result, err) : err_no_memory(err);
    if (r == 0 && result.exit_code != 0)
        r = err_later(err, "environment_slow", "uv cannot empty its cache: %.800s", output_tail(&result.output));
    return r;
}
