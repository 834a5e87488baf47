/* options: itemloadd's configuration (etc/itemloadd.yaml, ITEMLOADD_*). */
#ifndef ITEMLOADD_OPTIONS_H
#define ITEMLOADD_OPTIONS_H

#include "worker/worker_config.h"

struct itemloadd_options {
    struct worker_config common;
    char *secret_arn, *db_sslrootcert;
    int db_sslmode; /* index into itemloadd_sslmodes */
    int64_t batch_items, batch_window_ms, batch_idle_ms, batch_bytes, receives;
    int64_t statement_timeout_ms, connect_timeout_ms, statistics_interval_ms;
    int64_t document_limit;
    struct config_list s3_buckets;
    int missing_collection; /* enum missing_collection */
};

extern const char *const itemloadd_sslmodes[];
extern const struct config_schema itemloadd_schema;

#endif
