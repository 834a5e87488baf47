/*
 * status_server: serves the status by HTTP, in a thread of its own. Internal to service.
 *
 * GET and HEAD only, one answer per connection; at most 16 connections at once, of 16 KiB each, which end after 5 s
 * without a byte.
 */
#ifndef DAEMON_STATUS_SERVER_H
#define DAEMON_STATUS_SERVER_H

#include "daemon/status.h"

struct status_server;
/* `status` is borrowed. NEVER, "cannot_listen": nothing can listen at this address. */
int status_server_start(struct status *status, const char *address, struct status_server **ret, struct err *err)
    must_check;
/* NULL is allowed. */
void status_server_stop(struct status_server *server);

#endif
