#include "itemgend/generate.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "itemgend/command.h"
#include "itemgend/strings.h"
#include "itemgend/variables.h"
#include "itemgend/workdir.h"
#include "stac/item.h"

#define ITEM_FILE "item.json"

enum { FILE_LIMIT = 1 << 30, TAIL_MAX = 700 };

void generated_clear(struct generated *generated)
{
    buf_clear(&generated->text);
    free(generated->item_id);
    free(generated->collection);
    *generated = (struct generated)GENERATED_INIT;
}

/* ------------------------------------------------------- the command line */

/* Up to the command that is run in the environment; package_name may be NULL. */
static void make_uvx_arguments(const struct itemgend_options *options, const char *package_name, struct strings *argv)
{
    strings_add(argv, "%s", options->uvx);
    auto_buf struct buf with = BUF_INIT;
    for (size_t i = 0; i < options->with.n; i++)
        buf_printf(&with, "%s%s", with.len ? "," : "", options->with.items[i]);
    if (package_name)
        buf_printf(&with, "%s%s", with.len ? "," : "", package_name);
    argv->failed |= buf_failed(&with);
    if (with.len) {
        strings_add(argv, "--with");
        strings_add(argv, "%s", buf_str(&with));
    }
    strings_add(argv, "--from");
    strings_add(argv, "stactools");
}

/*
 * The original's command, written so that nothing of the request can be taken for another option than it is: options
 * hold their values ("--flag VALUE" would leave the value to be an argument), and what follows "--" are arguments,
 * negative numbers too. The group is a word (request_parse).
 */
static void make_arguments(const struct itemgend_options *options, const struct request *request, struct strings *argv)
{
    make_uvx_arguments(options, request->package_name, argv);
    strings_add(argv, "stac");
    strings_add(argv, "%s", request->group_name);
    strings_add(argv, "create-item");
    for (size_t i = 0; i < request->n_options; i++)
        strings_add(argv, "--%s=%s", request->options[i].name, request->options[i].value);
    strings_add(argv, "--");
    for (size_t i = 0; i < request->n_args; i++)
        strings_add(argv, "%s", request->args[i]);
    strings_add(argv, ITEM_FILE);
}

/* -------------------------------------------------------- how it ended */

/* The last lines, within what a dead letter's error can hold. */
static const char *tail(const struct buf *output)
{
    const char *text = buf_str(output);
    size_t len = strlen(text);
    if (len <= TAIL_MAX)
        return len ? text : "it printed nothing";
    const char *start = text + len - TAIL_MAX;
    const char *line = strchr(start, '\n');
    return line && line[1] ? line + 1 : start;
}

/* The first line that begins with `start`, up to the end of the output. */
static const char *from_line(const struct buf *output, const char *start)
{
    const char *text = buf_str(output);
    for (const char *at = text; (at = strstr(at, start)); at++)
        if (at == text || at[-1] == '\n')
            return at;
    return NULL;
}

static bool mentions_network(const char *text)
{
    static const char *const words[] = { "error sending request",       "Failed to fetch",     "dns error",
                                         "tcp connect error",           "operation timed out", "connection closed",
                                         "error decoding response body" };
    for (size_t i = 0; i < N_ELEMENTS(words); i++)
        if (strstr(text, words[i]))
            return true;
    return false;
}

/* What uv says of a failure of its own, in a line that begins with "error:"; 0: nothing. */
static int uv_failed(const struct buf *output, struct err *err)
{
    if (strstr(buf_str(output), "No solution found when resolving"))
        return err_never(err, "unresolvable", "uv cannot resolve the package: %.800s", tail(output));
    const char *error = from_line(output, "error:");
    if (error && mentions_network(error))
        return err_outage(err, "registry_unavailable", "uv cannot reach the package registry: %.800s", error);
    if (error)
        return err_never(err, "environment_failed", "uv cannot make the environment: %.800s", error);
    return 0;
}

static int command_failed(const struct command_result *result, struct err *err)
{
    const char *usage = from_line(&result->output, "Usage: stac");
    const char *error = usage ? strstr(usage, "Error: ") : NULL;
    if (result->exit_code == 2 && error)
        return err_never(err, "bad_command", "stac refused the command: %.800s", error + strlen("Error: "));
    if (strstr(tail(&result->output), "MemoryError"))
        return err_never(err, "out_of_memory", "create-item ran out of memory: %.800s", tail(&result->output));
    return err_later(err, "create_item_failed", "create-item ended with exit code %d: %.800s", result->exit_code,
                     tail(&result->output));
}

static int check_end(const struct itemgend_options *options, const struct command_result *result, struct err *err)
{
    switch (result->end) {
    case COMMAND_EXITED:
        return result->exit_code == 0 ? 0 : command_failed(result, err);
    case COMMAND_KILLED:
        return err_later(err, "create_item_failed", "create-item was ended by signal %d (%s): %.600s",
                         result->signal_number, strsignal(result->signal_number), tail(&result->output));
    case COMMAND_TIMED_OUT:
        return err_later(err, "time_limit", "create-item took longer than time_limit (%lld s): %.600s",
                         (long long)options->limits.time_ms / 1000, tail(&result->output));
    case COMMAND_OUT_OF_MEMORY:
        return err_never(err, "out_of_memory", "create-item took %lld MiB of memory, more than memory_limit (%lld MiB)",
                         (long long)result->peak_memory >> 20, (long long)options->limits.memory >> 20);
    default:
        return err_later(err, "interrupted", "create-item was interrupted because the service stops");
    }
}

/* ------------------------------------------------------------- the item */

static int set_collection(cJSON *item, const char *collection_id, struct err *err)
{
    if (!collection_id)
        return 0;
    cJSON *value = cJSON_CreateString(collection_id);
    if (!value)
        return err_no_memory(err);
    bool done = json_get(item, "collection") ? cJSON_ReplaceItemInObjectCaseSensitive(item, "collection", value)
                                             : cJSON_AddItemToObject(item, "collection", value);
    if (done)
        return 0;
    cJSON_Delete(value);
    return err_no_memory(err);
}

static int read_item(const struct itemgend_options *options, const struct request *request, const char *directory,
                     struct generated *ret, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    int r = workdir_read(directory, ITEM_FILE, (size_t)options->item_limit, &text, err);
    if (r != 0)
        return r;
    auto_json cJSON *json = NULL;
    r = json_parse(buf_str(&text), text.len, &json, err);
    if (r == 0 && cJSON_IsObject(json))
        r = set_collection(json, request->collection_id, err);
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

/* Runs it in the directory with the item's limits. */
static int run(const struct itemgend_options *options, const struct strings *argv, const char *directory, int stop_fd,
               struct command_result *ret, struct err *err)
{
    auto_strings struct strings environment = STRINGS_INIT;
    variables_for_uv(options, directory, &environment);
    if (argv->failed || environment.failed)
        return err_no_memory(err);
    struct command command = {
        .argv = (const char *const *)argv->list,
        .environment = (const char *const *)environment.list,
        .directory = directory,
        .memory_limit = options->limits.memory,
        .time_limit_ms = options->limits.time_ms,
        .file_limit = FILE_LIMIT,
        .stop_fd = stop_fd,
    };
    return command_run(&command, ret, err);
}

/* Has uv make the environment (without a package where that is NULL) and run Python in it, which runs nothing of the
 * package. 0: it can. */
static int try_environment(const struct itemgend_options *options, const char *package_name, const char *directory,
                           int stop_fd, struct err *err)
{
    auto_strings struct strings argv = STRINGS_INIT;
    make_uvx_arguments(options, package_name, &argv);
    strings_add(&argv, "python");
    strings_add(&argv, "-c");
    strings_add(&argv, "pass");
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int r = run(options, &argv, directory, stop_fd, &result, err);
    if (r != 0 || result.end != COMMAND_EXITED)
        return r != 0 ? r : check_end(options, &result, err);
    return result.exit_code == 0 ? 0 : uv_failed(&result.output, err);
}

/*
 * Whether uv failed, and how; 0: it did not. Its words alone do not tell: a package can print the same ones, and would
 * then stop the service as if the registry were down. And what uv cannot do without the package either (no Python, no
 * space for its cache) no message is to be blamed for.
 */
static int check_environment(const struct itemgend_options *options, const struct request *request,
                             const char *directory, int stop_fd, struct err *err)
{
    int r = try_environment(options, request->package_name, directory, stop_fd, err);
    if (r != NEVER)
        return r;
    struct err without = ERR_INIT;
    int r_without = try_environment(options, NULL, directory, stop_fd, &without);
    if (r_without == 0)
        return r;
    *err = without;
    return r_without == NEVER ? err_outage(err, "no_environment", "%s", without.text) : r_without;
}

static int generate_in(const struct itemgend_options *options, const struct request *request, const char *directory,
                       int stop_fd, struct generated *ret, struct err *err)
{
    auto_strings struct strings argv = STRINGS_INIT;
    make_arguments(options, request, &argv);
    auto_command_result struct command_result result = COMMAND_RESULT_INIT;
    int64_t start_ms = time_mono_ms();
    int r = run(options, &argv, directory, stop_fd, &result, err);
    ret->duration_ms = time_mono_ms() - start_ms;
    ret->peak_memory = result.peak_memory;
    if (r == 0 && result.end == COMMAND_EXITED && result.exit_code != 0 && uv_failed(&result.output, NULL) != 0)
        r = check_environment(options, request, directory, stop_fd, err);
    if (r == 0)
        r = check_end(options, &result, err);
    return r != 0 ? r : read_item(options, request, directory, ret, err);
}

int generate_item(const struct itemgend_options *options, const struct request *request, int stop_fd,
                  struct generated *ret, struct err *err)
{
    auto_free char *directory = NULL;
    int r = workdir_new(options->work_dir, &directory, err);
    if (r != 0)
        return r;
    auto_generated struct generated generated = GENERATED_INIT;
    r = generate_in(options, request, directory, stop_fd, &generated, err);
    workdir_remove(directory);
    if (r != 0)
        return r;
    *ret = generated;
    generated = (struct generated)GENERATED_INIT;
    return 0;
}
