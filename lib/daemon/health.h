/* health: --health, what a container's health check runs. Internal to service. */
#ifndef DAEMON_HEALTH_H
#define DAEMON_HEALTH_H

#include "daemon/service.h"

/*
 * Asks the daemon that runs with this configuration for its /health, for 3 s at most; other keys than metrics_address
 * may be missing. Returns the exit code: 0 healthy, 1 not, or no answer, 78 the configuration is wrong, or has no
 * metrics_address. What is wrong goes to stderr.
 */
int health_check(const struct daemon *daemon, const struct config_source *source);

#endif
