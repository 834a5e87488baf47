#include "itemgend/options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "itemgend/request/packages.h"

#define AT(field) offsetof(struct itemgend_options, field)

/* Each in the order of its enum. */
static const char *const runners[] = { "warm", "uvx", NULL };
static const char *const sandboxes[] = { "auto", "bubblewrap", "limits", NULL };
static const char *const networks[] = { "auto", "filtered", "open", "closed", NULL };

static const struct config_key keys[] = {
    { .name = "load_topic_arn",
      .type = CONFIG_STRING,
      .offset = AT(load_topic_arn),
      .example = "arn:aws:sns:us-west-2:123456789012:stactools-ingest-test-ItemLoadTopic",
      .help = "ARN of the topic to which items are published (ItemLoadTopic)." },
    { .name = "allowed_packages",
      .type = CONFIG_LIST,
      .offset = AT(allowed_packages),
      .default_text = "[stactools-*]",
      .help = "Patterns (* and ?) of the package names that requests may use." },
    { .name = "packages",
      .type = CONFIG_LIST,
      .offset = AT(packages),
      .default_text = "",
      .example = "[stactools-glad-glclu2020, stactools-landsat==0.5.0 memory_limit=2GiB concurrency=2]",
      .help = "Packages to install at the start, and packages with limits of their own. An entry is a requirement, "
              "then any number of KEY=VALUE, separated by blanks. The keys are memory_limit, time_limit, cpu_limit, "
              "process_limit, open_files_limit, disk_limit, output_limit and concurrency (items of this package made "
              "at the same time)." },
    { .name = "runner",
      .type = CONFIG_CHOICE,
      .offset = AT(runner),
      .choices = runners,
      .default_text = "warm",
      .help = "How create-item runs. warm: in a process that has already imported the package. uvx: by the command "
              "uvx, once for each item." },
    { .name = "with",
      .type = CONFIG_LIST,
      .offset = AT(with),
      .default_text = "[requests]",
      .help = "Requirements to install into every environment in addition to the package." },
    { .name = "uv",
      .type = CONFIG_STRING,
      .offset = AT(uv),
      .default_text = "uv",
      .help = "The program uv: its path, or a name to look up in PATH." },
    { .name = "uvx",
      .type = CONFIG_STRING,
      .offset = AT(uvx),
      .default_text = "uvx",
      .help = "The program uvx: its path, or a name to look up in PATH." },
    { .name = "python",
      .type = CONFIG_STRING,
      .offset = AT(python),
      .default_text = "python3",
      .help = "The Python for the environments: a path, a name or a version. itemgend never downloads a Python." },
    { .name = "constraints",
      .type = CONFIG_STRING,
      .offset = AT(constraints),
      .default_text = "",
      .example = "/etc/stactools-ingest/constraints.txt",
      .help =
          "Constraints file for uv, with the version pins without which some packages fail. Not set: no constraints." },
    { .name = "default_index",
      .type = CONFIG_STRING,
      .offset = AT(default_index),
      .default_text = "",
      .secret = true, /* a URL may contain a password */
      .help =
          "URL of the package index that is searched last. Not set: the default of uv (UV_DEFAULT_INDEX, else PyPI)." },
    { .name = "indexes",
      .type = CONFIG_LIST,
      .offset = AT(indexes),
      .default_text = "",
      .example = "[https://packages.example.com/simple]",
      .secret = true, /* a URL may contain a password */
      .help = "URLs of package indexes that are searched before the default one." },
    { .name = "source_builds",
      .type = CONFIG_BOOL,
      .offset = AT(source_builds),
      .default_text = "false",
      .help = "Whether packages without a wheel may be built from source. A build runs code of the package." },
    { .name = "cache_dir",
      .type = CONFIG_STRING,
      .offset = AT(cache_dir),
      .default_text = "/var/cache/itemgend",
      .help = "Directory of the environments and of the cache of uv." },
    { .name = "prepared_dir",
      .type = CONFIG_STRING,
      .offset = AT(prepared_dir),
      .default_text = "",
      .example = "/usr/local/lib/itemgend",
      .help = "Directory of the environments that itemgend --prepare has installed, for example in a container image. "
              "They are used as they are, and never updated or removed. Not set: none." },
    { .name = "cache_limit",
      .type = CONFIG_SIZE,
      .offset = AT(cache_limit),
      .min = 64 << 20,
      .max = INT64_C(1) << 50,
      .default_text = "10GiB",
      .help = "Maximum size of all environments and the cache of uv together. Above it, the least recently used "
              "environments are removed and the cache is emptied." },
    { .name = "environment_ttl",
      .type = CONFIG_DURATION,
      .offset = AT(environment_ttl_ms),
      .min = 1000,
      .max = INT64_C(365) * 86400000,
      .default_text = "24h",
      .help = "Age at which an environment is installed again, in the background, to get new versions. A requirement "
              "with an exact version keeps that version." },
    { .name = "work_dir",
      .type = CONFIG_STRING,
      .offset = AT(work_dir),
      .default_text = "/var/lib/itemgend",
      .help = "Directory in which each item gets a private directory while it is made." },
    { .name = "server_items",
      .type = CONFIG_INT,
      .offset = AT(server_items),
      .min = 1,
      .max = 1000000,
      .default_text = "1000",
      .help = "Maximum number of items that one warm process makes before it is replaced." },
    { .name = "server_age",
      .type = CONFIG_DURATION,
      .offset = AT(server_age_ms),
      .min = 1000,
      .max = 86400000,
      .default_text = "1h",
      .help = "Maximum age of a warm process before it is replaced." },
    { .name = "server_idle",
      .type = CONFIG_DURATION,
      .offset = AT(server_idle_ms),
      .min = 1000,
      .max = 86400000,
      .default_text = "10m",
      .help = "How long a warm process is kept without work." },
    { .name = "sandbox",
      .type = CONFIG_CHOICE,
      .offset = AT(sandbox),
      .choices = sandboxes,
      .default_text = "auto",
      .help = "Isolation of package code. bubblewrap: a sandbox that hides the machine. limits: resource limits only. "
              "auto: bubblewrap if it works here, else limits." },
    { .name = "network",
      .type = CONFIG_CHOICE,
      .offset = AT(network),
      .choices = networks,
      .default_text = "auto",
      .help = "Network access of package code. filtered: everything except addresses of this machine and of its "
              "credentials. open: everything. closed: nothing. auto: filtered if it works here, else open." },
    { .name = "loopback_ports",
      .type = CONFIG_LIST,
      .offset = AT(loopback_ports),
      .default_text = "",
      .example = "[8080]",
      .help = "Ports of 127.0.0.1 that package code can reach even though the network is filtered." },
    { .name = "package_role_arn",
      .type = CONFIG_STRING,
      .offset = AT(package_role_arn),
      .default_text = "",
      .example = "arn:aws:iam::123456789012:role/read-scenes",
      .help = "ARN of a role. Package code gets short-lived credentials of it, for example to read private buckets. "
              "Not set: package code gets no credentials." },
    { .name = "memory_limit",
      .type = CONFIG_SIZE,
      .offset = AT(limits.memory),
      .min = 64 << 20,
      .max = INT64_C(1) << 40,
      .default_text = "1024MiB",
      .help = "Maximum memory of all processes of one item together." },
    { .name = "time_limit",
      .type = CONFIG_DURATION,
      .offset = AT(limits.time_ms),
      .min = 1000,
      .max = 39600000,
      .default_text = "120s",
      .help = "Maximum time to make one item." },
    { .name = "cpu_limit",
      .type = CONFIG_DURATION,
      .offset = AT(limits.cpu_ms),
      .min = 1000,
      .max = 39600000,
      .default_text = "120s",
      .help = "Maximum processor time of all processes of one item together." },
    { .name = "process_limit",
      .type = CONFIG_INT,
      .offset = AT(limits.processes),
      .min = 1,
      .max = 100000,
      .default_text = "256",
      .help = "Maximum number of processes of one item at the same time." },
    { .name = "open_files_limit",
      .type = CONFIG_INT,
      .offset = AT(limits.files),
      .min = 16,
      .max = 1000000,
      .default_text = "1024",
      .help = "Maximum number of files that one process of an item has open." },
    { .name = "disk_limit",
      .type = CONFIG_SIZE,
      .offset = AT(limits.disk),
      .min = 1 << 20,
      .max = INT64_C(1) << 40,
      .default_text = "1GiB",
      .help = "Maximum size of all files in the directory of one item together." },
    { .name = "output_limit",
      .type = CONFIG_SIZE,
      .offset = AT(limits.output),
      .min = 1024,
      .max = INT64_C(1) << 40,
      .default_text = "64MiB",
      .help = "Maximum size of what create-item prints for one item." },
    { .name = "item_limit",
      .type = CONFIG_SIZE,
      .offset = AT(item_limit),
      .min = 1024,
      .max = 64 << 20,
      .default_text = "8MiB",
      .help = "Maximum size of the item file. A published item must also fit into a message of SNS (256 KiB), unless "
              "overflow_bucket is set." },
    { .name = "overflow_bucket",
      .type = CONFIG_STRING,
      .offset = AT(overflow_bucket),
      .default_text = "",
      .example = "stac-items",
      .help = "S3 bucket for items that are too large for a message. A pointer to the object is published instead; "
              "itemloadd must have the bucket among its s3_buckets. Not set: such items are dead-lettered." },
    { .name = "provenance",
      .type = CONFIG_BOOL,
      .offset = AT(provenance),
      .default_text = "false",
      .help = "Whether to record in each item the package and version that made it (processing:software of the STAC "
              "processing extension). It has no effect with runner uvx." },
    WORKER_CONFIG_KEYS(struct itemgend_options, common, "ItemGenQueue",
                       "URL of the queue of item requests (ItemGenQueue).", "1",
                       "Number of items made at the same time. Each may use memory_limit.",
                       "How long a stop waits for items in progress. After that they are ended and their requests are "
                       "returned to the queue."),
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
        config_complain(errors, "prepared_dir", "%s is not an absolute path", options->prepared_dir);
    if (strcmp(options->prepared_dir, options->cache_dir) == 0)
        config_complain(errors, "prepared_dir", "must not be the same directory as cache_dir");
}

static void check(const void *config, struct buf *errors)
{
    const struct itemgend_options *options = config;
    worker_config_check(&options->common, errors);
    if (options->constraints && access(options->constraints, R_OK) < 0)
        config_complain(errors, "constraints", "cannot read %s: %s", options->constraints, strerror(errno));
    check_prepared(options, errors);
    check_ports(&options->loopback_ports, errors);
    const char *role = options->package_role_arn;
    if (role && *role && (strncmp(role, "arn:", 4) != 0 || !strstr(role, ":role/")))
        config_complain(errors, "package_role_arn",
                        "\"%.200s\" is not the ARN of a role, for example arn:aws:iam::123456789012:role/NAME", role);
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
