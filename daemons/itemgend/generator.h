/* generator: a worker of itemgend: takes a request from the queue, makes its item, publishes it, settles the message.
 */
#ifndef ITEMGEND_GENERATOR_H
#define ITEMGEND_GENERATOR_H

#include "daemon/service.h"

/* daemon.run of itemgend; `config` is a struct itemgend_options. */
int generator_run(const void *config, struct service *service, struct err *err);

/* daemon.describe of itemgend: tries which sandbox works here and appends it. False: itemgend cannot start. */
bool generator_describe(const void *config, struct buf *ret);

#endif
