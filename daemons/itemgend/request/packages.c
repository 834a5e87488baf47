#include "itemgend/request/packages.h"

#include "base/num.h"
#include "daemon/config_value.h"
#include "itemgend/request/requirement.h"

enum { CONCURRENCY_MAX = 10000 };

void packages_free(struct packages *packages)
{
    if (!packages)
        return;
    for (size_t i = 0; i < packages->n; i++)
        free(packages->list[i].requirement);
    free(packages->list);
    free(packages);
}

/* The configuration key of a limit; NULL: no limit has this name. */
static const struct config_key *find_limit(const char *name)
{
    size_t from = offsetof(struct itemgend_options, limits), to = from + sizeof(struct limits);
    for (size_t i = 0; i < itemgend_schema.n_keys; i++) {
        const struct config_key *key = &itemgend_schema.keys[i];
        if (key->offset >= from && key->offset < to && strcmp(key->name, name) == 0)
            return key;
    }
    return NULL;
}

static int set_limit(struct package *package, const char *name, const char *value, struct err *err)
{
    const struct config_key *key = find_limit(name);
    if (!key)
        return err_never(err, "bad_value", "unknown limit");
    struct itemgend_options own = { .limits = package->limits };
    int r = config_value_set_text(key, &own, value, err);
    package->limits = own.limits;
    return r;
}

/* Reads "KEY=VALUE". */
static int read_pair(struct package *package, char *text, struct err *err)
{
    char *value = strchr(text, '=');
    if (!value || !value[1])
        return err_never(err, "bad_value", "\"%.100s\" is not KEY=VALUE", text);
    *value++ = '\0';
    int r = strcmp(text, "concurrency") == 0 ? num_parse_i64(value, 1, CONCURRENCY_MAX, &package->concurrency, err)
                                             : set_limit(package, text, value, err);
    if (r != 0)
        err_prefix(err, "%.100s", text);
    return r;
}

static int read_entry(const struct itemgend_options *options, char *text, struct package *ret, struct err *err)
{
    const char *requirement = strsep(&text, " ");
    int r = requirement_check(requirement, &options->allowed_packages, err);
    while (r == 0 && text) {
        char *pair = strsep(&text, " ");
        if (*pair)
            r = read_pair(ret, pair, err);
    }
    if (r != 0)
        return r;
    ret->requirement = strdup(requirement);
    return ret->requirement ? 0 : err_no_memory(err);
}

static bool is_there(const struct packages *packages, const char *requirement)
{
    const struct package *found = packages_find(packages, requirement);
    return found && strcmp(requirement_rest(found->requirement), requirement_rest(requirement)) == 0;
}

static int add_entry(const struct itemgend_options *options, const char *entry, struct packages *packages,
                     struct err *err)
{
    struct package package = { .requirement = NULL };
    auto_free char *copy = strdup(entry);
    int r = copy ? read_entry(options, copy, &package, err) : err_no_memory(err);
    if (r == 0 && is_there(packages, package.requirement))
        r = err_never(err, "bad_value", "this requirement already has an entry");
    if (r == 0)
        packages->list[packages->n++] = package;
    else
        free(package.requirement);
    return r;
}

int packages_parse(const struct itemgend_options *options, struct packages **ret, struct buf *errors)
{
    auto_packages struct packages *packages = calloc(1, sizeof(*packages));
    if (!packages)
        return err_no_memory(NULL);
    packages->list = calloc(options->packages.n + 1, sizeof(*packages->list));
    if (!packages->list)
        return err_no_memory(NULL);
    for (size_t i = 0; i < options->packages.n; i++) {
        const char *entry = options->packages.items[i];
        struct err err = ERR_INIT;
        int r = add_entry(options, entry, packages, &err);
        if (r < 0)
            return r;
        if (r != 0)
            config_complain(errors, "packages", "\"%.200s\": %s", entry, err.text);
    }
    *ret = TAKE(packages);
    return 0;
}

const struct package *packages_find(const struct packages *packages, const char *requirement)
{
    const struct package *found = NULL;
    for (size_t i = 0; i < packages->n; i++) {
        const struct package *package = &packages->list[i];
        const char *rest = requirement_rest(package->requirement);
        if (!requirement_is_same_package(package->requirement, requirement))
            continue;
        if (strcmp(rest, requirement_rest(requirement)) == 0)
            return package;
        if (!*rest)
            found = package;
    }
    return found;
}

static void take(int64_t own, int64_t *ret)
{
    if (own)
        *ret = own;
}

void packages_limits(const struct packages *packages, const char *requirement, const struct limits *otherwise,
                     struct limits *ret)
{
    const struct package *package = packages_find(packages, requirement);
    *ret = *otherwise;
    if (!package)
        return;
    take(package->limits.memory, &ret->memory);
    take(package->limits.time_ms, &ret->time_ms);
    take(package->limits.cpu_ms, &ret->cpu_ms);
    take(package->limits.processes, &ret->processes);
    take(package->limits.files, &ret->files);
    take(package->limits.disk, &ret->disk);
    take(package->limits.output, &ret->output);
}
