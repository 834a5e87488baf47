#include "itemgend/item_maker.h"

#include <malloc.h>

#include "base/hash.h"
#include "base/strv.h"
#include "itemgend/forkserver/forkserver_pool.h"
#include "itemgend/publish/provenance.h"
#include "itemgend/sandbox/workdir.h"
#include "itemgend/venv/uvx.h"
#include "itemgend/venv/venv_cache.h"
#include "stac/item.h"

#define ITEM_FILE "item.json"

enum { LARGE_BYTES = 1 << 20 };

struct item_maker {
    const struct itemgend_options *options;
    const struct sandbox *sandbox;
    const struct packages *packages;
    struct workdir *workdir;
    struct venv_cache *venvs; /* both NULL: runner uvx */
    struct forkserver_pool *servers;
};

void made_item_clear(struct made_item *item)
{
    buf_clear(&item->text);
    free(item->item_id);
    free(item->collection);
    *item = (struct made_item)MADE_ITEM_INIT;
}

/*
 * The command line, in a form in which no part of the request can act as an option it is not: "--flag VALUE" would
 * make the value an argument, so options hold their values. After "--" everything is an argument, also "-5".
 * The group is a plain word (request_parse).
 */
static void add_arguments(const struct request *request, struct strv *arguments)
{
    strv_add(arguments, "stac");
    strv_add(arguments, "%s", request->group_name);
    strv_add(arguments, "create-item");
    for (size_t i = 0; i < request->n_options; i++)
        strv_add(arguments, "--%s=%s", request->options[i].name, request->options[i].value);
    strv_add(arguments, "--");
    for (size_t i = 0; i < request->n_args; i++)
        strv_add(arguments, "%s", request->args[i]);
    strv_add(arguments, ITEM_FILE);
}

/* The directory that holds the item's own. A fork server sees the directories of its own environment only, so each
 * environment has its own place. */
static int find_place(struct item_maker *maker, const struct venv *venv, char **ret_place, struct err *err)
{
    enum { NAME_BYTES = 10 };
    if (!venv)
        return workdir_place(maker->workdir, NULL, ret_place, err);
    unsigned char digest[SHA256_SIZE];
    auto_buf struct buf name = BUF_INIT;
    if (!hash_sha256(venv->directory, strlen(venv->directory), digest))
        return err_no_memory(err);
    buf_add_hex(&name, digest, NAME_BYTES);
    return buf_failed(&name) ? err_no_memory(err) : workdir_place(maker->workdir, buf_str(&name), ret_place, err);
}

/* Reads the item's file, adds what the request and the configuration ask for, and checks it. */
static int read_item(const struct item_maker *maker, const struct request *request, const struct venv *venv,
                     const char *directory, struct made_item *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = workdir_read(directory, ITEM_FILE, (size_t)maker->options->item_limit, &text, err);
    if (r != 0)
        return r;
    auto_json cJSON *json = NULL;
    cleanup(stac_item_clear) struct stac_item item = STAC_ITEM_INIT;
    r = json_parse(buf_str(&text), text.len, &json, err);
    if (r == 0 && cJSON_IsObject(json) && request->collection_id)
        r = json_set(json, "collection", cJSON_CreateString(request->collection_id), err);
    if (r == 0 && cJSON_IsObject(json) && venv && maker->options->provenance)
        r = provenance_add(json, venv->package, venv->version, err);
    if (r == 0)
        r = stac_item_read(json, STAC_ITEM_GENERATED, &item, err);
    if (r == NEVER)
        err_prefix(err, "the file that create-item wrote");
    if (r != 0)
        return r;
    if (!item.collection)
        return err_never(err, "no_collection", "item \"%.200s\" has no collection: set collection_id in the request",
                         item.id);
    json_write(json, &ret->text);
    ret->item_id = strdup(item.id);
    ret->collection = strdup(item.collection);
    return buf_failed(&ret->text) || !ret->item_id || !ret->collection ? err_no_memory(err) : 0;
}

int item_maker_make(struct item_maker *maker, const struct request *request, const char *const *variables, int stop_fd,
                    struct made_item *ret, struct err *err)
{
    struct limits limits;
    packages_limits(maker->packages, request->package_name, &maker->options->limits, &limits);
    auto_strv struct strv arguments = STRV_INIT;
    add_arguments(request, &arguments);
    const struct venv *venv = NULL;
    auto_free char *place = NULL, *directory = NULL;
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    auto_made_item struct made_item item = MADE_ITEM_INIT;

    int r = arguments.failed ? err_no_memory(err) : 0;
    if (r == 0 && maker->venvs)
        r = venv_cache_use(maker->venvs, request->package_name, stop_fd, &venv, err);
    if (r == 0)
        r = find_place(maker, venv, &place, err);
    if (r == 0)
        r = workdir_new(place, &directory, err);
    if (r == 0 && maker->servers) {
        const struct forkserver_job job = { .arguments = (const char *const *)arguments.list + 1, /* without "stac" */
                                            .directory = directory,
                                            .variables = variables,
                                            .limits = &limits,
                                            .stop_fd = stop_fd };
        r = forkserver_pool_run(maker->servers, venv, place, &job, &result, err);
    } else if (r == 0) {
        const struct uvx_job job = { .options = maker->options,
                                     .sandbox = maker->sandbox,
                                     .requirement = request->package_name,
                                     .arguments = (const char *const *)arguments.list,
                                     .directory = directory,
                                     .variables = variables,
                                     .limits = &limits,
                                     .stop_fd = stop_fd };
        r = uvx_run(&job, &result, err);
    }
    if (r == 0)
        r = command_result_check(&result, &limits, err);
    if (r == 0)
        r = read_item(maker, request, venv, directory, &item, err);
    workdir_remove(directory);
    venv_cache_release(maker->venvs, venv);
    if (result.disk > LARGE_BYTES) /* parsing took up to 45 times its size, which would stay with this thread */
        malloc_trim(0);
    if (r != 0)
        return r;
    item.duration_ms = result.duration_ms;
    item.peak_memory = result.memory;
    *ret = item;
    item = (struct made_item)MADE_ITEM_INIT;
    return 0;
}

int64_t item_maker_patience_ms(const struct item_maker *maker, const struct request *request)
{
    enum { RUNS_OF_UVX_MAX = 3, MARGIN_MS = 60000 };
    struct limits limits;
    packages_limits(maker->packages, request->package_name, &maker->options->limits, &limits);
    return VENV_CACHE_WAIT_MS + RUNS_OF_UVX_MAX * limits.time_ms + MARGIN_MS;
}

int item_maker_open(const struct itemgend_options *options, const struct sandbox *sandbox,
                    const struct packages *packages, struct item_maker **ret, struct err *err)
{
    struct item_maker *maker = calloc(1, sizeof(*maker));
    if (!maker)
        return err_no_memory(err);
    *maker = (struct item_maker){ .options = options, .sandbox = sandbox, .packages = packages };
    int r = workdir_open(options->work_dir, &maker->workdir, err);
    if (r == 0 && options->runner == RUNNER_WARM)
        r = venv_cache_open(options, sandbox, &maker->venvs, err);
    if (r == 0 && options->runner == RUNNER_WARM)
        r = forkserver_pool_open(options, sandbox, maker->venvs, &maker->servers, err);
    if (r != 0)
        item_maker_close(maker);
    else
        *ret = maker;
    return r;
}

void item_maker_close(struct item_maker *maker)
{
    if (!maker)
        return;
    forkserver_pool_close(maker->servers);
    venv_cache_close(maker->venvs);
    workdir_close(maker->workdir);
    free(maker);
}
