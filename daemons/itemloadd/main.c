/* itemloadd: loads the STAC items on ItemLoadQueue into a pgstac database. */
#include "daemon/service.h"
#include "itemloadd/loader.h"
#include "itemloadd/options.h"

int main(int argc, char **argv)
{
    static const struct daemon daemon = {
        .name = "itemloadd",
        .summary = "loads the STAC items on a queue into a pgstac database",
        .schema = &itemloadd_schema,
        .default_config = SYSCONFDIR "/stactools-ingest/itemloadd.yaml",
        .config_offset = offsetof(struct itemloadd_options, common.daemon),
        .metrics = METRICS_ITEMLOADD,
        .run = loader_run,
    };
    return daemon_main(&daemon, argc, argv);
}
