/* environment_build: has uv make one environment. Internal to environment. */
#ifndef ITEMGEND_ENVIRONMENT_BUILD_H
#define ITEMGEND_ENVIRONMENT_BUILD_H

#include "itemgend/environment.h"

/*
 * Makes a whole build in the folder, which the caller has locked (environment_store.h); what fails leaves nothing.
 * `sandbox` NULL: without one. Results as environments_use has them.
 */
int environment_build(const struct itemgend_options *options, const struct sandbox *sandbox, const char *requirement,
                      const char *folder, int stop_fd, struct err *err) must_check;

#endif
