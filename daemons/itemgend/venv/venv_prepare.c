#include "itemgend/venv/venv_prepare.h"

#include <string.h>

#include "itemgend/venv/venv_build.h"
#include "itemgend/venv/venv_files.h"
#include "itemgend/venv/venv_store.h"
#include "itemgend/request/requirement.h"
#include "itemgend/sandbox/sandbox.h"
#include "itemgend/sandbox/workdir.h"

static int lock_folder(const char *folder, int *ret_lock, struct err *err)
{
    int r = venv_store_lock(folder, ret_lock, err);
    if (r == 0 && *ret_lock < 0)
        r = err_later(err, "environment_slow", "another process is building the environment in %s", folder);
    return r;
}

/* The caller has locked the folder. */
static int find_or_build(const struct itemgend_options *options, const struct sandbox *sandbox, const char *requirement,
                         const char *folder, struct stored_venv **ret, struct err *err)
{
    int r = venv_store_newest(folder, ret, err);
    if (r != 0 || *ret)
        return r;
    r = venv_build(options, sandbox, requirement, folder, -1, err);
    if (r == 0)
        r = venv_store_newest(folder, ret, err);
    if (r == 0 && !*ret)
        r = err_outage(err, "no_environment", "the new environment of %s in %s has disappeared", requirement, folder);
    return r;
}

static int prepare(const struct itemgend_options *options, const struct sandbox *sandbox, const char *requirement,
                   struct buf *ret, struct err *err)
{
    auto_free char *folder = NULL;
    auto_close int lock = -1;
    auto_stored_venv struct stored_venv *stored = NULL;
    auto_buf struct buf normalized = BUF_INIT;
    requirement_normalize(requirement, &normalized);
    if (buf_failed(&normalized))
        return err_no_memory(err);
    int r = venv_store_folder(options, buf_str(&normalized), &folder, err);
    if (r == 0)
        r = lock_folder(folder, &lock, err);
    if (r == 0)
        r = find_or_build(options, sandbox, buf_str(&normalized), folder, &stored, err);
    if (r == 0 && !stored->is_compiled)
        r = venv_build_compile(options, sandbox, stored, -1, err);
    if (r == 0)
        buf_printf(ret, "%s: version %s in %s\n", requirement, stored->venv.version, stored->venv.directory);
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

int venv_prepare(const void *config, struct buf *ret, struct err *err)
{
    struct itemgend_options options = *(const struct itemgend_options *)config;
    auto_sandbox struct sandbox *sandbox = NULL;
    if (!options.prepared_dir)
        return err_never(err, "bad_value", "prepared_dir is not set: set it to the directory for the environments");
    options.cache_dir = options.prepared_dir;
    auto_free char *downloads = venv_files_path("%s/uv", options.prepared_dir);
    int r = downloads ? 0 : err_no_memory(err);
    if (r == 0 && options.source_builds)
        r = sandbox_open(&options, -1, &sandbox, err);
    if (r == 0)
        r = prepare_all(&options, sandbox, ret, err);
    workdir_remove(downloads);
    return r;
}
