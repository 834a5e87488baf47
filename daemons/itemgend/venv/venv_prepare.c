#include "itemgend/venv/venv_prepare.h"

#include <string.h>

#include "itemgend/venv/venv_build.h"
#include "itemgend/venv/venv_files.h"
#include "itemgend/venv/venv_store.h"
#include "itemgend/request/requirement.h"
#include "itemgend/sandbox/sandbox.h"
#include "itemgend/sandbox/workdir.h"

static void free_environment(struct environment **environment)
{
    environment_free(*environment);
}

static void free_sandbox(struct sandbox **sandbox)
{
    sandbox_free(*sandbox);
}

static int lock_folder(const char *folder, int *ret_lock, struct err *err)
{
    int r = environment_store_lock(folder, ret_lock, err);
    if (r == 0 && *ret_lock < 0)
        r = err_later(err, "environment_slow", "somebody else is making the environment in %s", folder);
    return r;
}

/* The folder is locked. */
static int find_or_build(const struct itemgend_options *options, const struct sandbox *sandbox, const char *requirement,
                         const char *folder, struct environment **ret, struct err *err)
{
    int r = environment_store_newest(folder, ret, err);
    if (r != 0 || *ret)
        return r;
    r = environment_build(options, sandbox, requirement, folder, -1, err);
    if (r == 0)
        r = environment_store_newest(folder, ret, err);
    if (r == 0 && !*ret)
        r = err_outage(err, "no_environment", "the environment of %s was made in %s and is not there", requirement,
                       folder);
    return r;
}

static int prepare(const struct itemgend_options *options, const struct sandbox *sandbox, const char *requirement,
                   struct buf *ret, struct err *err)
{
    auto_free char *folder = NULL;
    auto_close int lock = -1;
    cleanup(free_environment) struct environment *environment = NULL;
    auto_buf struct buf normalized = BUF_INIT;
    requirement_normalize(requirement, &normalized);
    if (buf_failed(&normalized))
        return err_no_memory(err);
    int r = environment_store_folder(options, buf_str(&normalized), &folder, err);
    if (r == 0)
        r = lock_folder(folder, &lock, err);
    if (r == 0)
        r = find_or_build(options, sandbox, buf_str(&normalized), folder, &environment, err);
    if (r == 0 && !environment->is_compiled)
        r = environment_build_compile(options, sandbox, environment, -1, err);
    if (r == 0)
        buf_printf(ret, "%s: version %s in %s\n", requirement, environment->version, environment->directory);
    return r;
}

static int prepare_all(const struct itemgend_options *options, const struct sandbox *sandbox, struct buf *ret,
                       struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < options->packages.n; i++) {
        const char *entry = options->packages.items[i];
        auto_free char *requirement = strndup(entry, strcspn(entry, " \t"));
        r = requirement ? prepare(options, sandbox, requirement, ret, err) : err_no_memory(err);
    }
    return r;
}

int environment_prepare(const void *config, struct buf *ret, struct err *err)
{
    struct itemgend_options options = *(const struct itemgend_options *)config;
    cleanup(free_sandbox) struct sandbox *sandbox = NULL;
    if (!options.prepared_dir)
        return err_never(err, "bad_value", "prepared_dir is not set: it says where environments are to be made");
    options.cache_dir = options.prepared_dir;
    auto_free char *downloads = environment_path("%s/uv", options.prepared_dir);
    int r = downloads ? 0 : err_no_memory(err);
    if (r == 0 && options.source_builds)
        r = sandbox_open(&options, -1, &sandbox, err);
    if (r == 0)
        r = prepare_all(&options, sandbox, ret, err);
    workdir_remove(downloads);
    return r;
}
