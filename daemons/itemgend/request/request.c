#include "itemgend/request/request.h"

#include <ctype.h>
#include <string.h>

#include "itemgend/request/requirement.h"

enum { ARGS_MAX = 1000, OPTIONS_MAX = 200 };

void request_clear(struct request *request)
{
    cJSON_Delete(request->json);
    free(request->args);
    free(request->options);
    buf_clear(&request->unknown_keys);
    *request = (struct request)REQUEST_INIT;
}

static void complain(struct buf *wrong, const char *key, const char *problem)
{
    buf_printf(wrong, "%s%s %s", wrong->len ? "; " : "", key, problem);
}

static const char *read_string(const cJSON *json, const char *key, bool required, struct buf *wrong)
{
    const cJSON *member = json_get(json, key);
    if (!member && required)
        complain(wrong, key, "is missing");
    else if (member && !(cJSON_IsNull(member) && !required) && (!cJSON_IsString(member) || !*member->valuestring))
        complain(wrong, key, "is not a string, or is empty");
    return cJSON_GetStringValue(member);
}

/* A name of a group or an option on stac's command line; never a path, an option or several words. */
static bool is_word(const char *text)
{
    if (!isalnum((unsigned char)*text))
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && *text != '-' && *text != '_' && *text != '.')
            return false;
    return true;
}

/* The commands of `stac` itself, beside the groups of packages. After one of them, "create-item" would be a file name.
 */
static bool is_command_of_stac(const char *text)
{
    static const char *const commands[] = {
        "add",      "add-asset",   "add-raster", "copy",          "create-item",
        "describe", "info",        "layout",     "lint",          "merge",
        "migrate",  "move-assets", "summary",    "update-extent", "update-geometry",
        "validate", "version",
    };
    for (size_t i = 0; i < N_ELEMENTS(commands); i++)
        if (strcmp(text, commands[i]) == 0)
            return true;
    return false;
}

/* After "--" it would be an argument, but its publisher meant an option. "-5" is an argument. */
static bool looks_like_option(const char *text)
{
    return text[0] == '-' && (isalpha((unsigned char)text[1]) || text[1] == '-');
}

static int read_args(struct request *request, struct buf *wrong, struct err *err)
{
    const cJSON *args = json_get(request->json, "create_item_args");
    if (!cJSON_IsArray(args)) {
        complain(wrong, "create_item_args", args ? "is not a list of strings" : "is missing");
        return 0;
    }
    size_t n = (size_t)cJSON_GetArraySize(args);
    if (n > ARGS_MAX) {
        complain(wrong, "create_item_args", "has more than 1000 members");
        return 0;
    }
    request->args = calloc(n + 1, sizeof(*request->args));
    if (!request->args)
        return err_no_memory(err);
    for (const cJSON *arg = args->child; arg; arg = arg->next) {
        if (!cJSON_IsString(arg)) {
            complain(wrong, "create_item_args", "has a member that is not a string");
            return 0;
        }
        if (looks_like_option(arg->valuestring)) {
            complain(wrong, "create_item_args", "has an option as a member; put options into create_item_options");
            return 0;
        }
        request->args[request->n_args++] = arg->valuestring;
    }
    return 0;
}

static int read_options(struct request *request, struct buf *wrong, struct err *err)
{
    const cJSON *options = json_get(request->json, "create_item_options");
    if (!options || cJSON_IsNull(options))
        return 0;
    if (!cJSON_IsObject(options)) {
        complain(wrong, "create_item_options", "is not an object of strings");
        return 0;
    }
    size_t n = (size_t)cJSON_GetArraySize(options);
    if (n > OPTIONS_MAX) {
        complain(wrong, "create_item_options", "has more than 200 members");
        return 0;
    }
    request->options = calloc(n + 1, sizeof(*request->options));
    if (!request->options)
        return err_no_memory(err);
    for (const cJSON *option = options->child; option; option = option->next) {
        if (!is_word(option->string) || !cJSON_IsString(option)) {
            complain(wrong, "create_item_options",
                     "has a member whose name cannot be an option, or whose value is not a string");
            return 0;
        }
        request->options[request->n_options++] = (struct request_option){ option->string, option->valuestring };
    }
    return 0;
}

static void note_unknown_keys(struct request *request)
{
    static const char *const known[] = { "package_name", "group_name", "create_item_args", "create_item_options",
                                         "collection_id" };
    for (const cJSON *member = request->json->child; member; member = member->next) {
        bool found = false;
        for (size_t i = 0; i < N_ELEMENTS(known); i++)
            found |= strcmp(member->string, known[i]) == 0;
        if (!found)
            buf_printf(&request->unknown_keys, "%s%.100s", request->unknown_keys.len ? ", " : "", member->string);
    }
}

int request_parse(const char *text, size_t len, const struct config_list *allowed_packages, struct request *ret,
                  struct err *err)
{
    auto_request struct request request = REQUEST_INIT;
    int r = json_parse(text, len, &request.json, err);
    if (r != 0)
        return r;
    if (!cJSON_IsObject(request.json))
        return err_never(err, "invalid_request", "not an ItemRequest: %s where an object was expected",
                         json_kind(request.json));

    auto_buf struct buf wrong = BUF_INIT;
    request.package_name = read_string(request.json, "package_name", true, &wrong);
    request.group_name = read_string(request.json, "group_name", true, &wrong);
    request.collection_id = read_string(request.json, "collection_id", false, &wrong);
    if (request.group_name && *request.group_name && !is_word(request.group_name))
        complain(&wrong, "group_name", "cannot be the name of a stactools group (letters, digits, '-', '_', '.')");
    if (request.group_name && is_command_of_stac(request.group_name))
        complain(&wrong, "group_name", "is a command of stac itself, not the group of a package");
    r = read_args(&request, &wrong, err);
    if (r == 0)
        r = read_options(&request, &wrong, err);
    if (r != 0)
        return r;
    note_unknown_keys(&request);
    if (buf_failed(&wrong) || buf_failed(&request.unknown_keys))
        return err_no_memory(err);
    if (wrong.len)
        return err_never(err, "invalid_request", "not an ItemRequest: %s", buf_str(&wrong));
    r = requirement_check(request.package_name, allowed_packages, err);
    if (r != 0)
        return r;
    *ret = request;
    request = (struct request)REQUEST_INIT;
    return 0;
}
