#include "itemloadd/options.h"

#define AT(field) offsetof(struct itemloadd_options, field)

const char *const itemloadd_sslmodes[] = { "verify-full", "verify-ca", "require", "prefer", "allow", "disable", NULL };
/* In the order of enum missing_collection. */
static const char *const missing_collection[] = { "retry", "reject", "create", NULL };

static const struct config_key keys[] = {
    { .name = "secret_arn",
      .type = CONFIG_STRING,
      .offset = AT(secret_arn),
      .example = "arn:aws:secretsmanager:us-west-2:123456789012:secret:stactools-ingest-test-pgstac",
      .help = "ARN or name of the secret of the database, which has host, port, dbname, username and password." },
    { .name = "db_sslmode",
      .type = CONFIG_CHOICE,
      .offset = AT(db_sslmode),
      .choices = itemloadd_sslmodes,
      .default_text = "verify-full",
      .help = "TLS to the database: sslmode of libpq." },
    { .name = "db_sslrootcert",
      .type = CONFIG_STRING,
      .offset = AT(db_sslrootcert),
      .default_text = "",
      .example = "/etc/ssl/certs/rds-global-bundle.pem",
      .help = "File of the certificates that the certificate of the database is checked against. For RDS it is the "
              "bundle that AWS publishes. Not set: the default of libpq." },
    { .name = "batch_items",
      .type = CONFIG_INT,
      .offset = AT(batch_items),
      .min = 1,
      .max = 10000,
      .default_text = "1000",
      .help = "Maximum number of messages in a batch." },
    { .name = "batch_window",
      .type = CONFIG_DURATION,
      .offset = AT(batch_window_ms),
      .max = 900000,
      .default_text = "60s",
      .help = "Maximum age of a batch, from its first message." },
    { .name = "batch_idle",
      .type = CONFIG_DURATION,
      .offset = AT(batch_idle_ms),
      .max = 900000,
      .default_text = "2s",
      .help = "A batch is closed early if no receive returned as many messages as it can (ten) for this long." },
    { .name = "batch_bytes",
      .type = CONFIG_SIZE,
      .offset = AT(batch_bytes),
      .min = 1024,
      .max = 256 << 20,
      .default_text = "6MiB",
      .help = "Size of all messages of a batch together at which it is closed." },
    { .name = "receives",
      .type = CONFIG_INT,
      .offset = AT(receives),
      .min = 1,
      .max = 100,
      .default_text = "10",
      .help = "Maximum number of receives that a worker has open at the same time while a batch fills. Each returns up "
              "to ten messages." },
    { .name = "s3_buckets",
      .type = CONFIG_LIST,
      .offset = AT(s3_buckets),
      .default_text = "",
      .example = "[stac-items, stac-archive-*]",
      .help = "Patterns (* and ?) of the S3 buckets whose objects are loaded when a message names them (an S3 event or "
              "a pointer). Anyone who may publish messages can have any object in these buckets loaded that itemloadd "
              "may read. Not set: none." },
    { .name = "document_limit",
      .type = CONFIG_SIZE,
      .offset = AT(document_limit),
      .min = 1024,
      .max = 1 << 30,
      .default_text = "64MiB",
      .help = "Maximum size of an S3 object, also when it is unpacked. A worker may need three times as much memory "
              "for an object with many items, and ten times as much for a single item." },
    { .name = "missing_collection",
      .type = CONFIG_CHOICE,
      .offset = AT(missing_collection),
      .choices = missing_collection,
      .default_text = "retry",
      .help = "What happens to an item whose collection does not exist. retry: it is tried again, because the "
              "collection may arrive later. reject: it is dead-lettered. create: a minimal collection is created." },
    { .name = "statement_timeout",
      .type = CONFIG_DURATION,
      .offset = AT(statement_timeout_ms),
      .min = 1000,
      .max = 3600000,
      .default_text = "45s",
      .help = "Maximum time of one database statement." },
    { .name = "connect_timeout",
      .type = CONFIG_DURATION,
      .offset = AT(connect_timeout_ms),
      .min = 1000,
      .max = 600000,
      .default_text = "10s",
      .help = "Maximum time to connect to the database." },
    { .name = "statistics_interval",
      .type = CONFIG_DURATION,
      .offset = AT(statistics_interval_ms),
      .max = 86400000,
      .default_text = "1m",
      .help = "Minimum time between two updates of the statistics of a partition while items are loaded into it. An "
              "empty queue and a stop also update them." },
    WORKER_CONFIG_KEYS(
        struct itemloadd_options, common, "ItemLoadQueue", "URL of the queue of STAC items (ItemLoadQueue).", "2",
        "Number of batches filled and loaded at the same time. Each uses a database connection of its own.",
        "How long a stop waits for batches in progress. After that they are rolled back and their messages "
        "are returned to the queue."),
};

static void check(const void *config, struct buf *errors)
{
    const struct itemloadd_options *options = config;
    worker_config_check(&options->common, errors);
}

const struct config_schema itemloadd_schema = {
    .prefix = "ITEMLOADD",
    .keys = keys,
    .n_keys = N_ELEMENTS(keys),
    .size = sizeof(struct itemloadd_options),
    .check = check,
};
