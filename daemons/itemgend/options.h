/* options: itemgend's configuration (etc/itemgend.yaml, ITEMGEND_*). */
#ifndef ITEMGEND_OPTIONS_H
#define ITEMGEND_OPTIONS_H

#include "worker/worker_config.h"
#include "itemgend/limits.h"

enum runner { RUNNER_WARM, RUNNER_UVX };
enum sandbox_choice { SANDBOX_AUTO, SANDBOX_BUBBLEWRAP, SANDBOX_RLIMITS };
enum network_choice { NETWORK_AUTO, NETWORK_FILTERED, NETWORK_OPEN, NETWORK_CLOSED };

struct itemgend_options {
    struct worker_config common;
    char *load_topic_arn;
    struct config_list allowed_packages, packages, with, indexes;
    int runner; /* enum runner */
    char *uv, *uvx, *python, *constraints, *default_index, *cache_dir, *prepared_dir, *work_dir;
    bool source_builds;
    int64_t environment_ttl_ms, cache_limit;
    int64_t server_items, server_age_ms, server_idle_ms;
    int sandbox; /* enum sandbox_choice */
    int network; /* enum network_choice */
    struct config_list loopback_ports;
    char *package_role_arn;
    struct limits limits; /* of packages without their own */
    int64_t item_limit;
    char *overflow_bucket;
    bool provenance;
};

extern const struct config_schema itemgend_schema;

#endif
