/* itemgend: makes STAC items from the requests on ItemGenQueue and publishes them to ItemLoadTopic. */
#include "daemon/service.h"
#include "itemgend/environment_prepare.h"
#include "itemgend/generator.h"
#include "itemgend/options.h"

static const char *log_level(const void *config)
{
    const struct itemgend_options *options = config;
    return worker_config_log_level(&options->common);
}

static int64_t stop_timeout_ms(const void *config)
{
    const struct itemgend_options *options = config;
    return options->common.stop_timeout_ms;
}

static const struct monitoring *monitoring(const void *config)
{
    const struct itemgend_options *options = config;
    return &options->common.monitoring;
}

int main(int argc, char **argv)
{
    static const struct daemon daemon = {
        .name = "itemgend",
        .summary = "makes STAC items from the requests on a queue and publishes them to a topic",
        .schema = &itemgend_schema,
        .default_config = SYSCONFDIR "/stactools-ingest/itemgend.yaml",
        .log_level = log_level,
        .stop_timeout_ms = stop_timeout_ms,
        .monitoring = monitoring,
        .metrics = METRICS_ITEMGEND,
        .run = generator_run,
        .describe = generator_describe,
        .prepare = environment_prepare,
    };
    return daemon_main(&daemon, argc, argv);
}
