/* itemloadd: loads the STAC items on ItemLoadQueue into a pgstac database. */
#include "daemon/service.h"
#include "itemloadd/loader.h"
#include "itemloadd/options.h"

static const char *log_level(const void *config)
{
    const struct itemloadd_options *options = config;
    return worker_config_log_level(&options->common);
}

static int64_t stop_timeout_ms(const void *config)
{
    const struct itemloadd_options *options = config;
    return options->common.stop_timeout_ms;
}

static const struct monitoring *monitoring(const void *config)
{
    const struct itemloadd_options *options = config;
    return &options->common.monitoring;
}

int main(int argc, char **argv)
{
    static const struct daemon daemon = {
        .name = "itemloadd",
        .summary = "loads the STAC items on a queue into a pgstac database",
        .schema = &itemloadd_schema,
        .default_config = SYSCONFDIR "/stactools-ingest/itemloadd.yaml",
        .log_level = log_level,
        .stop_timeout_ms = stop_timeout_ms,
        .monitoring = monitoring,
        .metrics = METRICS_ITEMLOADD,
        .run = loader_run,
    };
    return daemon_main(&daemon, argc, argv);
}
