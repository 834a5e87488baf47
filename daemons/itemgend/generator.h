/* generator: a worker of itemgend: one request at a time, from the queue to the load topic. */
#ifndef ITEMGEND_GENERATOR_H
#define ITEMGEND_GENERATOR_H

#include "daemon/service.h"

/* daemon.run of itemgend; `config` is a struct itemgend_options. */
int generator_run(const void *config, struct service *service, struct err *err);

/* daemon.describe: what package code will run in, found out by trying. */
bool generator_describe(const void *config, struct buf *ret);

#endif
