/* itemgend: makes STAC items from the requests on ItemGenQueue and publishes them to ItemLoadTopic. */
#include "daemon/service.h"
#include "itemgend/venv/venv_prepare.h"
#include "itemgend/generator.h"
#include "itemgend/options.h"

int main(int argc, char **argv)
{
    static const struct daemon daemon = {
        .name = "itemgend",
        .summary = "makes STAC items from the requests on a queue and publishes them to a topic",
        .schema = &itemgend_schema,
        .default_config = SYSCONFDIR "/stactools-ingest/itemgend.yaml",
        .config_offset = offsetof(struct itemgend_options, common.daemon),
        .metrics = METRICS_ITEMGEND,
        .run = generator_run,
        .describe = generator_describe,
        .prepare = venv_prepare,
    };
    return daemon_main(&daemon, argc, argv);
}
