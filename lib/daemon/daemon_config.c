#include "daemon/daemon_config.h"

#include <string.h>

#include "daemon/address.h"

enum { NAMESPACE_MAX = 255 };

const char *const daemon_config_log_levels[] = { "error", "warning", "notice", "info", "debug", NULL };

/* https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html. "AWS/..." is reserved for
 * AWS services. */
static bool is_namespace(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_/#:";
    size_t len = strlen(text);
    return len <= NAMESPACE_MAX && strspn(text, allowed) == len && text[0] != ':' && strncmp(text, "AWS/", 4) != 0;
}

void daemon_config_check(const struct daemon_config *config, struct buf *errors)
{
    struct address address;
    struct err err = ERR_INIT;
    const char *where = config->metrics_address, *space = config->metrics_namespace;
    if (where && *where && address_parse(where, &address, &err) != 0)
        config_complain(errors, "metrics_address", "%s", err.text);
    if (space && *space && !is_namespace(space))
        config_complain(errors, "metrics_namespace",
                        "\"%.300s\" is not a valid CloudWatch namespace for custom metrics", space);
}
