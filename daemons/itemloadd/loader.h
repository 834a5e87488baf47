/* loader: the workers of itemloadd. Each loads one batch at a time from the queue into the database. */
#ifndef ITEMLOADD_LOADER_H
#define ITEMLOADD_LOADER_H

#include "daemon/service.h"

/* daemon.run of itemloadd; `config` is a struct itemloadd_options. */
int loader_run(const void *config, struct service *service, struct err *err);

#endif
