#include "itemloadd/options.h"

#include <string.h>

#define AT(field) offsetof(struct itemloadd_options, field)

/* In the order of enum missing_collection. */
static const char *const missing_collection[] = { "retry", "reject", "create", NULL };

static const struct config_key keys[] = {
    SETTINGS_KEYS(struct itemloadd_options, common, "2",
                  "Batches filled and loaded at the same time, each over a database connection of its own.",
                  "URL of the queue of STAC items (ItemLoadQueue).",
                  "How long a stop lets batches finish before they are broken off and their messages handed back."),
    { .name = "secret_arn",
      .type = CONFIG_STRING,
      .offset = AT(secret_arn),
      .help = "ARN or name of the secret with the database's host, port, dbname, username and password." },
    { .name = "db_sslmode",
      .type = CONFIG_STRING,
      .offset = AT(db_sslmode),
      .default_text = "verify-full",
      .help = "TLS to the database, in libpq's words: verify-full, verify-ca, require, prefer, disable." },
    { .name = "db_sslrootcert",
      .type = CONFIG_STRING,
      .offset = AT(db_sslrootcert),
      .default_text = "",
      .help =
          "File with the certificates that the database's is checked against (for RDS: the bundle that AWS publishes); "
          "not set: libpq's own default." },
    { .name = "batch_items",
      .type = CONFIG_INT,
      .offset = AT(batch_items),
      .min = 1,
      .max = 10000,
      .default_text = "1000",
      .help = "A batch closes when it has so many messages." },
    { .name = "batch_window",
      .type = CONFIG_DURATION,
      .offset = AT(batch_window_ms),
      .max = 900000,
      .default_text = "60s",
      .help = "A batch closes so long after its first message, full or not." },
    { .name = "batch_idle",
      .type = CONFIG_DURATION,
      .offset = AT(batch_idle_ms),
      .max = 900000,
      .default_text = "2s",
      .help = "A batch closes when for so long no receive has come back full: there is no flood to wait for." },
    { .name = "batch_bytes",
      .type = CONFIG_SIZE,
      .offset = AT(batch_bytes),
      .min = 1024,
      .max = 256 << 20,
      .default_text = "6MiB",
      .help = "A batch closes when its messages are so large together." },
    { .name = "receives",
      .type = CONFIG_INT,
      .offset = AT(receives),
      .min = 1,
      .max = 100,
      .default_text = "10",
      .help = "Receives that a worker has under way at once while a batch fills, each of ten messages at most." },
    { .name = "s3_buckets",
      .type = CONFIG_LIST,
      .offset = AT(s3_buckets),
      .default_text = "",
      .help = "Patterns of the S3 buckets whose objects may be loaded where a message names an object (an S3 event, a "
              "pointer); not set: none. Whoever may publish can have all of their objects loaded that this service may "
              "read." },
    { .name = "document_limit",
      .type = CONFIG_SIZE,
      .offset = AT(document_limit),
      .min = 1024,
      .max = 1 << 30,
      .default_text = "64MiB",
      .help = "Largest S3 object that is loaded, also when it is unpacked; a worker may need three times as much "
              "memory for one of many items, ten times for a single one." },
    { .name = "missing_collection",
      .type = CONFIG_CHOICE,
      .offset = AT(missing_collection),
      .choices = missing_collection,
      .default_text = "retry",
      .help = "What becomes of an item whose collection is not in the catalog: tried again, for it may be on its way; "
              "dead-lettered at once; or a minimal collection is made." },
    { .name = "statement_timeout",
      .type = CONFIG_DURATION,
      .offset = AT(statement_timeout_ms),
      .min = 1000,
      .max = 3600000,
      .default_text = "45s",
      .help = "Longest that one statement may take in the database." },
    { .name = "connect_timeout",
      .type = CONFIG_DURATION,
      .offset = AT(connect_timeout_ms),
      .min = 1000,
      .max = 600000,
      .default_text = "10s",
      .help = "Longest that connecting to the database may take." },
    { .name = "statistics_interval",
      .type = CONFIG_DURATION,
      .offset = AT(statistics_interval_ms),
      .max = 86400000,
      .default_text = "1m",
      .help = "How often the statistics of a partition that is loaded into are written, beside when idle and at the "
              "stop." },
};

static void check(const void *config, struct buf *errors)
{
    static const char *const modes[] = { "verify-full", "verify-ca", "require", "prefer", "allow", "disable" };
    const struct itemloadd_options *options = config;
    settings_check(&options->common, errors);
    bool known = false;
    for (size_t i = 0; i < N_ELEMENTS(modes); i++)
        known |= options->db_sslmode && strcmp(options->db_sslmode, modes[i]) == 0;
    if (!known)
        config_complain(errors, "db_sslmode", "is none of verify-full, verify-ca, require, prefer, allow, disable");
}

const struct config_schema itemloadd_schema = {
    .prefix = "ITEMLOADD",
    .keys = keys,
    .n_keys = N_ELEMENTS(keys),
    .size = sizeof(struct itemloadd_options),
    .check = check,
};
