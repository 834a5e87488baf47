/* options: itemgend's configuration (etc/itemgend.yaml, ITEMGEND_*). */
#ifndef ITEMGEND_OPTIONS_H
#define ITEMGEND_OPTIONS_H

#include "common/settings.h"

struct itemgend_options {
    struct settings common;
    char *load_topic_arn;
    struct config_list allowed_packages, with;
    char *uvx, *python, *constraints, *cache_dir, *work_dir;
    int64_t memory_limit, time_limit_ms, item_limit;
};

extern const struct config_schema itemgend_schema;

#endif
