#include "itemgend/options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "itemgend/packages.h"

#define AT(field) offsetof(struct itemgend_options, field)

/* Each in the order of its enum. */
static const char *const runners[] = { "warm", "uvx", NULL };
static const char *const sandboxes[] = { "auto", "bubblewrap", "limits", NULL };
static const char *const networks[] = { "auto", "filtered", "open", "closed", NULL };

static const struct config_key keys[] = {
    SETTINGS_KEYS(struct itemgend_options, common, "1", "Items made at the same time. Each may take memory_limit.",
                  "URL of the queue of ItemRequests (ItemGenQueue).",
                  "How long a stop lets running items finish before they are ended and their requests handed back."),
    { .name = "load_topic_arn",
      .type = CONFIG_STRING,
      .offset = AT(load_topic_arn),
      .help = "ARN of the topic that finished items are published to (ItemLoadTopic)." },
    { .name = "allowed_packages",
      .type = CONFIG_LIST,
      .offset = AT(allowed_packages),
      .default_text = "[stactools-*]",
      .help = "Patterns (* and ?) of the package names that requests may ask for." },
    { .name = "packages",
      .type = CONFIG_LIST,
      .offset = AT(packages),
      .default_text = "",
      .help = "Packages whose environments are made at the start, and limits of their own: a requirement, then any of "
              "memory_limit, time_limit, cpu_limit, process_limit, open_files_limit, disk_limit, output_limit and "
              "concurrency (items made at the same time) as KEY=VALUE, with blanks between." },
    { .name = "runner",
      .type = CONFIG_CHOICE,
      .offset = AT(runner),
      .choices = runners,
      .default_text = "warm",
      .help = "How create-item is run: in processes that have imported the package already (warm), or by uvx, once for "
              "each item." },
    { .name = "with",
      .type = CONFIG_LIST,
      .offset = AT(with),
      .default_text = "[requests]",
      .help = "Requirements that every environment gets beside the package." },
    { .name = "uv",
      .type = CONFIG_STRING,
      .offset = AT(uv),
      .default_text = "uv",
      .help = "The uv program: a path, or a name that is looked for in PATH." },
    { .name = "uvx",
      .type = CONFIG_STRING,
      .offset = AT(uvx),
      .default_text = "uvx",
      .help = "The uvx program: a path, or a name that is looked for in PATH." },
    { .name = "python",
      .type = CONFIG_STRING,
      .offset = AT(python),
      .default_text = "python3",
      .help = "The Python that environments are made with: a path, a name or a version. None is ever downloaded." },
    { .name = "constraints",
      .type = CONFIG_STRING,
      .offset = AT(constraints),
      .default_text = "",
      .help = "A constraints file for uv: the pins without which packages fail; not set: none." },
    { .name = "default_index",
      .type = CONFIG_STRING,
      .offset = AT(default_index),
      .default_text = "",
      .secret = true, /* a URL may hold a password */
      .help = "URL of the package index that is asked last; not set: uv's own (UV_DEFAULT_INDEX, else PyPI)." },
    { .name = "indexes",
      .type = CONFIG_LIST,
      .offset = AT(indexes),
      .default_text = "",
      .secret = true, /* a URL may hold a password */
      .help = "URLs of package indexes that are asked before the default one." },
    { .name = "source_builds",
      .type = CONFIG_BOOL,
      .offset = AT(source_builds),
      .default_text = "false",
      .help = "Whether a package that has no wheel may be built, which runs its code while the environment is made." },
    { .name = "cache_dir",
      .type = CONFIG_STRING,
      .offset = AT(cache_dir),
      .default_text = "/var/cache/itemgend",
      .help = "Where uv keeps packages and environments." },
    { .name = "prepared_dir",
      .type = CONFIG_STRING,
      .offset = AT(prepared_dir),
      .default_text = "",
      .help = "Where environments lie that itemgend --prepare has made, as in a container's image: used as they are, "
              "never made anew or removed; not set: nowhere." },
    { .name = "cache_limit",
      .type = CONFIG_SIZE,
      .offset = AT(cache_limit),
      .min = 64 << 20,
      .max = INT64_C(1) << 50,
      .default_text = "10GiB",
      .help =
          "Size of all environments and of uv's own cache together, above which the environment that was used longest "
          "ago is removed, and that cache emptied." },
    { .name = "environment_ttl",
      .type = CONFIG_DURATION,
      .offset = AT(environment_ttl_ms),
      .min = 1000,
      .max = INT64_C(365) * 86400000,
      .default_text = "24h",
      .help = "Age at which an environment is made anew, in the background; a request with an exact version gets the "
              "same version again." },
    { .name = "work_dir",
      .type = CONFIG_STRING,
      .offset = AT(work_dir),
      .default_text = "/var/lib/itemgend",
      .help = "Where each item gets a private directory while it is made." },
    { .name = "server_items",
      .type = CONFIG_INT,
      .offset = AT(server_items),
      .min = 1,
      .max = 1000000,
      .default_text = "1000",
      .help = "Items that one warm process makes before another takes its place." },
    { .name = "server_age",
      .type = CONFIG_DURATION,
      .offset = AT(server_age_ms),
      .min = 1000,
      .max = 86400000,
      .default_text = "1h",
      .help = "Age at which another takes its place." },
    { .name = "server_idle",
      .type = CONFIG_DURATION,
      .offset = AT(server_idle_ms),
      .min = 1000,
      .max = 86400000,
      .default_text = "10m",
      .help = "How long it is kept while there is nothing to do." },
    { .name = "sandbox",
      .type = CONFIG_CHOICE,
      .offset = AT(sandbox),
      .choices = sandboxes,
      .default_text = "auto",
      .help = "What package code runs in: bubblewrap, which hides the machine from it, or limits only; auto: "
              "bubblewrap where it works." },
    { .name = "network",
      .type = CONFIG_CHOICE,
      .offset = AT(network),
      .choices = networks,
      .default_text = "auto",
      .help = "What package code reaches: everything but addresses of the machine and of its credentials (filtered), "
              "everything (open), nothing (closed); auto: filtered where that works, else open." },
    { .name = "loopback_ports",
      .type = CONFIG_LIST,
      .offset = AT(loopback_ports),
      .default_text = "",
      .help = "Ports of 127.0.0.1 that package code reaches although the network is filtered." },
    { .name = "package_role_arn",
      .type = CONFIG_STRING,
      .offset = AT(package_role_arn),
      .default_text = "",
      .help = "ARN of a role whose short-lived credentials package code gets, to read private buckets; not set: it "
              "gets none." },
    { .name = "memory_limit",
      .type = CONFIG_SIZE,
      .offset = AT(limits.memory),
      .min = 64 << 20,
      .max = INT64_C(1) << 40,
      .default_text = "1024MiB",
      .help = "Memory that the processes of one item may take together." },
    { .name = "time_limit",
      .type = CONFIG_DURATION,
      .offset = AT(limits.time_ms),
      .min = 1000,
      .max = 39600000,
      .default_text = "120s",
      .help = "Time that one item may take." },
    { .name = "cpu_limit",
      .type = CONFIG_DURATION,
      .offset = AT(limits.cpu_ms),
      .min = 1000,
      .max = 39600000,
      .default_text = "120s",
      .help = "Processor time that the processes of one item may take together." },
    { .name = "process_limit",
      .type = CONFIG_INT,
      .offset = AT(limits.processes),
      .min = 1,
      .max = 100000,
      .default_text = "256",
      .help = "Processes that one item may have at the same time." },
    { .name = "open_files_limit",
      .type = CONFIG_INT,
      .offset = AT(limits.files),
      .min = 16,
      .max = 1000000,
      .default_text = "1024",
      .help = "Files that one process of an item may have open." },
    { .name = "disk_limit",
      .type = CONFIG_SIZE,
      .offset = AT(limits.disk),
      .min = 1 << 20,
      .max = INT64_C(1) << 40,
      .default_text = "1GiB",
      .help = "Size of all files that one item may leave in its directory." },
    { .name = "output_limit",
      .type = CONFIG_SIZE,
      .offset = AT(limits.output),
      .min = 1024,
      .max = INT64_C(1) << 40,
      .default_text = "64MiB",
      .help = "How much one item may print." },
    { .name = "item_limit",
      .type = CONFIG_SIZE,
      .offset = AT(item_limit),
      .min = 1024,
      .max = 64 << 20,
      .default_text = "8MiB",
      .help = "Size of the item file that is read at all. What is published must also fit SNS's 256 KiB, unless there "
              "is an overflow_bucket." },
    { .name = "overflow_bucket",
      .type = CONFIG_STRING,
      .offset = AT(overflow_bucket),
      .default_text = "",
      .help = "S3 bucket for items that are too large for a message: a pointer is published in their place. Itemloadd "
              "must have it among its s3_buckets; not set: such an item is dead-lettered." },
    { .name = "provenance",
      .type = CONFIG_BOOL,
      .offset = AT(provenance),
      .default_text = "false",
      .help = "Whether each item tells the package and version that made it (processing:software of the STAC "
              "processing extension); runner uvx does not know the version." },
};

static void check_ports(const struct config_list *ports, struct buf *errors)
{
    for (size_t i = 0; i < ports->n; i++) {
        int64_t port;
        struct err err = ERR_INIT;
        if (num_parse_i64(ports->items[i], 1, 65535, &port, &err) != 0)
            config_complain(errors, "loopback_ports", "%s: %s", ports->items[i], err.text);
    }
}

static void check_prepared(const struct itemgend_options *options, struct buf *errors)
{
    if (!options->prepared_dir)
        return;
    if (options->prepared_dir[0] != '/')
        config_complain(errors, "prepared_dir", "%s is no absolute path", options->prepared_dir);
    if (strcmp(options->prepared_dir, options->cache_dir) == 0)
        config_complain(errors, "prepared_dir", "must be another directory than cache_dir");
}

static void check(const void *config, struct buf *errors)
{
    const struct itemgend_options *options = config;
    settings_check(&options->common, errors);
    if (options->constraints && access(options->constraints, R_OK) < 0)
        config_complain(errors, "constraints", "cannot read %s: %s", options->constraints, strerror(errno));
    check_prepared(options, errors);
    check_ports(&options->loopback_ports, errors);
    const char *role = options->package_role_arn;
    if (role && *role && (strncmp(role, "arn:", 4) != 0 || !strstr(role, ":role/")))
        config_complain(errors, "package_role_arn", "\"%.200s\" is no ARN of a role", role);
    auto_packages struct packages *packages = NULL;
    if (packages_parse(options, &packages, errors) < 0)
        errors->failed = true;
}

const struct config_schema itemgend_schema = {
    .prefix = "ITEMGEND",
    .keys = keys,
    .n_keys = N_ELEMENTS(keys),
    .size = sizeof(struct itemgend_options),
    .check = check,
};
