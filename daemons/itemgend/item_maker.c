#include "itemgend/item_maker.h"

#include <malloc.h>

#include "base/hash.h"
#include "itemgend/venv/venv_cache.h"
#include "itemgend/publish/provenance.h"
#include "itemgend/forkserver/forkserver_pool.h"
#include "base/strv.h"
#include "itemgend/venv/uvx.h"
#include "itemgend/sandbox/workdir.h"
#include "stac/item.h"

#define ITEM_FILE "item.json"

enum { LARGE_BYTES = 1 << 20 };

struct generate {
    const struct itemgend_options *options;
    const struct sandbox *sandbox;
    const struct packages *packages;
    struct workdir *workdir;
    struct environments *environments; /* both NULL: runner uvx */
    struct servers *servers;
};

void generated_clear(struct generated *generated)
{
    buf_clear(&generated->text);
    free(generated->item_id);
    free(generated->collection);
    *generated = (struct generated)GENERATED_INIT;
}

/* One request on its way. */
struct making {
    struct generate *generate;
    const struct request *request;
    const char *const *variables;
    int stop_fd;
    struct limits limits;
    struct strings arguments;        /* of the command `stac` */
    struct environment *environment; /* NULL: uvx makes its own */
    char *place, *directory;
};

static void clear_making(struct making *making)
{
    workdir_remove(making->directory);
    free(making->directory);
    free(making->place);
    environments_release(making->generate->environments, making->environment);
    strings_clear(&making->arguments);
}

/*
 * Written so that nothing of the request can be taken for another option than it is: options hold their values
 * ("--flag VALUE" would leave the value to be an argument), and what follows "--" are arguments, negative numbers too.
 * The group is a word (request_parse).
 */
static void add_arguments(const struct request *request, struct strings *arguments)
{
    strings_add(arguments, "%s", request->group_name);
    strings_add(arguments, "create-item");
    for (size_t i = 0; i < request->n_options; i++)
        strings_add(arguments, "--%s=%s", request->options[i].name, request->options[i].value);
    strings_add(arguments, "--");
    for (size_t i = 0; i < request->n_args; i++)
        strings_add(arguments, "%s", request->args[i]);
    strings_add(arguments, ITEM_FILE);
}

/* ------------------------------------------------------------- the item */

/* What the request and the configuration have to say about it. */
static int complete(const struct making *making, cJSON *json, struct err *err)
{
    if (!cJSON_IsObject(json))
        return 0;
    const char *collection_id = making->request->collection_id;
    int r = collection_id ? json_set(json, "collection", cJSON_CreateString(collection_id), err) : 0;
    const struct environment *environment = making->environment;
    if (r == 0 && environment && making->generate->options->provenance)
        r = provenance_add(json, environment->package, environment->version, err);
    return r;
}

static int read_item(const struct making *making, struct generated *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    size_t limit = (size_t)making->generate->options->item_limit;
    int r = workdir_read(making->directory, ITEM_FILE, limit, &text, err);
    if (r != 0)
        return r;
    auto_json cJSON *json = NULL;
    r = json_parse(buf_str(&text), text.len, &json, err);
    if (r == 0)
        r = complete(making, json, err);
    cleanup(stac_item_clear) struct stac_item item = STAC_ITEM_INIT;
    if (r == 0)
        r = stac_item_read(json, STAC_ITEM_GENERATED, &item, err);
    if (r == NEVER)
        err_prefix(err, "what create-item wrote");
    if (r != 0)
        return r;
    if (!item.collection)
        return err_never(err, "no_collection",
                         "item \"%.200s\" belongs to no collection: name one as collection_id in the request", item.id);
    json_write(json, &ret->text);
    ret->item_id = strdup(item.id);
    ret->collection = strdup(item.collection);
    return buf_failed(&ret->text) || !ret->item_id || !ret->collection ? err_no_memory(err) : 0;
}

/* ----------------------------------------------------------- two ways to run it */

static int run_by_server(struct making *making, struct command_result *ret, struct err *err)
{
    const struct server_job job = {
        .environment = making->environment,
        .place = making->place,
        .directory = making->directory,
        .arguments = (const char *const *)making->arguments.list,
        .variables = making->variables,
        .limits = &making->limits,
        .stop_fd = making->stop_fd,
    };
    return servers_run(making->generate->servers, &job, ret, err);
}

static int run_by_uvx(struct making *making, struct command_result *ret, struct err *err)
{
    auto_strings struct strings arguments = STRINGS_INIT;
    strings_add(&arguments, "stac");
    for (size_t i = 0; i < making->arguments.n; i++)
        strings_add(&arguments, "%s", making->arguments.list[i]);
    if (arguments.failed)
        return err_no_memory(err);
    const struct uvx_job job = {
        .options = making->generate->options,
        .sandbox = making->generate->sandbox,
        .requirement = making->request->package_name,
        .arguments = (const char *const *)arguments.list,
        .variables = making->variables,
        .directory = making->directory,
        .limits = &making->limits,
        .stop_fd = making->stop_fd,
    };
    return uvx_run(&job, ret, err);
}

/* The directories of an environment's items lie apart from those of others: a server sees its own only. */
static int find_place(struct making *making, struct err *err)
{
    if (!making->environment)
        return workdir_place(making->generate->workdir, NULL, &making->place, err);
    enum { NAME_BYTES = 10 };
    const char *directory = making->environment->directory;
    unsigned char digest[SHA256_SIZE];
    auto_buf struct buf name = BUF_INIT;
    if (!hash_sha256(directory, strlen(directory), digest))
        return err_no_memory(err);
    buf_add_hex(&name, digest, NAME_BYTES);
    return buf_failed(&name) ? err_no_memory(err)
                             : workdir_place(making->generate->workdir, buf_str(&name), &making->place, err);
}

static int prepare(struct making *making, struct err *err)
{
    struct generate *generate = making->generate;
    const char *requirement = making->request->package_name;
    packages_limits(generate->packages, requirement, &generate->options->limits, &making->limits);
    add_arguments(making->request, &making->arguments);
    if (making->arguments.failed)
        return err_no_memory(err);
    int r = 0;
    if (generate->environments)
        r = environments_use(generate->environments, requirement, making->stop_fd, &making->environment, err);
    if (r == 0)
        r = find_place(making, err);
    return r == 0 ? workdir_new(making->place, &making->directory, err) : r;
}

int generate_item(struct generate *generate, const struct request *request, const char *const *variables, int stop_fd,
                  struct generated *ret, struct err *err)
{
    cleanup(clear_making) struct making making = {
        .generate = generate, .request = request, .variables = variables, .stop_fd = stop_fd
    };
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = prepare(&making, err);
    if (r == 0)
        r = generate->servers ? run_by_server(&making, &result, err) : run_by_uvx(&making, &result, err);
    if (r == 0)
        r = command_result_check(&result, &making.limits, err);
    auto_generated struct generated generated = GENERATED_INIT;
    if (r == 0)
        r = read_item(&making, &generated, err);
    /* What it took to read a large one, up to 45 times its size, would stay with this thread. */
    if (result.disk > LARGE_BYTES)
        malloc_trim(0);
    if (r != 0)
        return r;
    generated.duration_ms = result.duration_ms;
    generated.peak_memory = result.memory;
    *ret = generated;
    generated = (struct generated)GENERATED_INIT;
    return 0;
}

int64_t generate_patience_ms(const struct generate *generate, const struct request *request)
{
    struct limits limits;
    packages_limits(generate->packages, request->package_name, &generate->options->limits, &limits);
    /* An environment, an import and the item; uvx may be run three times where the first one fails. */
    return ENVIRONMENT_WAIT_MS + 3 * limits.time_ms + 60000;
}

/* ------------------------------------------------------------------ all of it */

static int open_runner(struct generate *generate, struct err *err)
{
    if (generate->options->runner == RUNNER_UVX)
        return 0;
    int r = environments_open(generate->options, generate->sandbox, &generate->environments, err);
    return r == 0 ? servers_open(generate->options, generate->sandbox, generate->environments, &generate->servers, err)
                  : r;
}

int generate_open(const struct itemgend_options *options, const struct sandbox *sandbox,
                  const struct packages *packages, struct generate **ret, struct err *err)
{
    struct generate *generate = calloc(1, sizeof(*generate));
    if (!generate)
        return err_no_memory(err);
    generate->options = options;
    generate->sandbox = sandbox;
    generate->packages = packages;
    int r = workdir_open(options->work_dir, &generate->workdir, err);
    if (r == 0)
        r = open_runner(generate, err);
    if (r != 0)
        generate_close(generate);
    else
        *ret = generate;
    return r;
}

void generate_close(struct generate *generate)
{
    if (!generate)
        return;
    servers_close(generate->servers);
    environments_close(generate->environments);
    workdir_close(generate->workdir);
    free(generate);
}
