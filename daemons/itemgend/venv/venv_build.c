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

static char *find_interpreter(const struct environment_command *build)
{
    auto_free char *python = environment_path("%s/bin/python", build->venv);
    return python ? realpath(python, NULL) : NULL;
}

/* No package takes part in this, so no package is to blame. */
static int make_venv(struct environment_command *build, struct err *err)
{
    auto_strings struct strings argv = STRINGS_INIT;
    strings_add(&argv, "%s", build->uv);
    strings_add(&argv, "venv");
    strings_add(&argv, "--python");
    strings_add(&argv, "%s", build->options.python);
    strings_add(&argv, "%s", build->venv);
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = environment_command_run(build, &argv, &result, err);
    if (r == NEVER || (r == 0 && result.exit_code != 0))
        return err_outage(err, "no_environment", "uv cannot make an environment: %.800s", output_tail(&result.output));
    if (r != 0)
        return r;
    free(build->interpreter);
    build->interpreter = find_interpreter(build);
    return build->interpreter ? 0 : err_outage(err, "no_environment", "there is no Python in %s", build->venv);
}

static int find_prefix(struct environment_command *build, struct err *err)
{
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = environment_command_python(build, "import sys; print(sys.base_prefix)", &result, err);
    if (r == NEVER)
        return err_outage(err, "no_environment", "%s does not run: %.700s", build->interpreter,
                          output_tail(&result.output));
    if (r == 0 && !(build->python_prefix = environment_command_last_line(&result.output)))
        r = err_no_memory(err);
    return r;
}

/* What `uvx --with WITH,REQUIREMENT --from stactools` resolves; the requirement may be NULL. */
static int install(const struct environment_command *build, const char *requirement, struct err *err)
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
    int r = environment_command_run(build, &argv, &result, err);
    if (r != 0 || result.exit_code == 0)
        return r;
    r = uv_error(&result.output, err);
    return r != 0 ? r
                  : err_never(err, "environment_failed", "uv ended with exit code %d: %.700s", result.exit_code,
                              output_tail(&result.output));
}

/* In a new venv: a package may be half installed in the other, and uv runs the Python of one to see what it is. */
static int install_without(struct environment_command *build, struct err *err)
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
static int install_or_blame(struct environment_command *build, struct err *err)
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
static int make_mark(const struct environment_command *build, cJSON **ret, struct err *err)
{
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = environment_command_python(build, name_version, &result, err);
    if (r != 0)
        return r;
    auto_free char *package = environment_command_last_line(&result.output);
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

static int check_interpreter(const struct environment_command *build, struct err *err)
{
    auto_free char *interpreter = find_interpreter(build);
    if (interpreter && strcmp(interpreter, build->interpreter) == 0)
        return 0;
    return err_never(err, "environment_failed", "a package has put something else in the place of its Python");
}

static int make(struct environment_command *build, const struct sandbox *sandbox, struct err *err)
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
    return r != 0 ? r : environment_store_finish(build->directory, build->is_prepared, mark, err);
}

static int prepare(struct environment_command *build, const char *cache_dir, struct err *err)
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
    cleanup(environment_command_clear) struct environment_command build = {
        .options = *options,
        .requirement = requirement,
        .stop_fd = stop_fd,
        .deadline_ms = time_mono_ms() + ENVIRONMENT_COMMAND_TIME_MS,
        .is_prepared = options->prepared_dir && strcmp(options->cache_dir, options->prepared_dir) == 0,
    };
    int r = environment_store_begin(folder, build.is_prepared, &build.directory, err);
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

/* A compiled file takes its place by rename, under the eyes of who uses the environment. Nobody changes a source any
 * more, so none is looked at later: an image gives all of its files another time. Tests that came with a package
 * are never imported. Where Linux groups processes by session (sched(7), autogroup), niceness counts only within one:
 * there the group is made as nice, or the first server would share the processor with this. */
static const char compile[] = "import compileall, glob, py_compile, re, sys\n"
                              "try: open('/proc/self/autogroup', 'w').write('19')\n"
                              "except OSError: pass\n"
                              "for site in glob.glob(glob.escape(sys.argv[1]) + '/lib/python*/site-packages'):\n"
                              "    compileall.compile_dir(site, quiet=2, rx=re.compile('/tests?/'),\n"
                              "        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)\n";

static int compile_in(struct environment_command *build, struct err *err)
{
    if (!mkdtemp(build->temporary)) /* a new one: another process may compile the same */
        return err_outage(err, "no_environment", "cannot make %s: %s", build->temporary, strerror(errno));
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = environment_command_python(build, compile, &result, err);
    workdir_remove(build->temporary);
    return r;
}

int environment_build_compile(const struct itemgend_options *options, const struct sandbox *sandbox,
                              const struct environment *environment, int stop_fd, struct err *err)
{
    cleanup(environment_command_clear) struct environment_command build = { .options = *options,
                                                                            .requirement = environment->requirement,
                                                                            .stop_fd = stop_fd,
                                                                            .deadline_ms = time_mono_ms() +
                                                                                           ENVIRONMENT_COMMAND_TIME_MS,
                                                                            .niceness = 19 };
    const char *interpreter = json_get_string(environment->json, "interpreter");
    build.venv = strdup(environment->directory);
    build.temporary = environment_path("%s/tmp-XXXXXX", environment->build);
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
    cleanup(environment_command_clear) struct environment_command build = {
        .options = *options, .stop_fd = stop_fd, .deadline_ms = time_mono_ms() + ENVIRONMENT_COMMAND_TIME_MS
    };
    build.temporary = environment_path("%s/trim", options->cache_dir);
    build.options.cache_dir = cache;
    if (build.temporary && mkdir(build.temporary, 0700) < 0 && errno != EEXIST)
        return err_outage(err, "no_environment", "cannot make %s: %s", build.temporary, strerror(errno));
    auto_strings struct strings argv = STRINGS_INIT;
    strings_add(&argv, "%s", options->uv);
    strings_add(&argv, "cache");
    strings_add(&argv, "clean");
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = build.temporary ? environment_command_run(&build, &argv, &result, err) : err_no_memory(err);
    if (r == 0 && result.exit_code != 0)
        r = err_later(err, "environment_slow", "uv cannot empty its cache: %.800s", output_tail(&result.output));
    return r;
}
