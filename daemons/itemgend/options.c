#include "itemgend/options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define AT(field) offsetof(struct itemgend_options, field)

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
    { .name = "with",
      .type = CONFIG_LIST,
      .offset = AT(with),
      .default_text = "[requests]",
      .help = "Requirements that every environment gets beside the package." },
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
    { .name = "cache_dir",
      .type = CONFIG_STRING,
      .offset = AT(cache_dir),
      .default_text = "/var/cache/itemgend",
      .help = "Where uv keeps packages and environments." },
    { .name = "work_dir",
      .type = CONFIG_STRING,
      .offset = AT(work_dir),
      .default_text = "/var/lib/itemgend",
      .help = "Where each item gets a private directory while it is made." },
    { .name = "memory_limit",
      .type = CONFIG_SIZE,
      .offset = AT(memory_limit),
      .min = 64 << 20,
      .max = INT64_C(1) << 40,
      .default_text = "1024MiB",
      .help = "Memory that the processes of one item may take together." },
    { .name = "time_limit",
      .type = CONFIG_DURATION,
      .offset = AT(time_limit_ms),
      .min = 1000,
      .max = 39600000,
      .default_text = "120s",
      .help = "Time that one item may take." },
    { .name = "item_limit",
      .type = CONFIG_SIZE,
      .offset = AT(item_limit),
      .min = 1024,
      .max = 64 << 20,
      .default_text = "8MiB",
      .help = "Size of the item file that is read at all. What is published must also fit SNS's 256 KiB." },
};

static void check(const void *config, struct buf *errors)
{
    const struct itemgend_options *options = config;
    settings_check(&options->common, errors);
    if (options->constraints && access(options->constraints, R_OK) < 0)
        config_complain(errors, "constraints", "cannot read %s: %s", options->constraints, strerror(errno));
}

const struct config_schema itemgend_schema = {
    .prefix = "ITEMGEND",
    .keys = keys,
    .n_keys = N_ELEMENTS(keys),
    .size = sizeof(struct itemgend_options),
    .check = check,
};
