/*
 * variables: the environment variables of package code and of uv. Each list names the variables that are passed on,
 * because the daemon's own environment may hold credentials.
 */
#ifndef ITEMGEND_VARIABLES_H
#define ITEMGEND_VARIABLES_H

#include "base/strv.h"
#include "itemgend/options.h"

/*
 * Appends those of package code: PATH, proxies, the places of certificates, LANG, one thread for numeric libraries, and
 * `directory` (absolute) as HOME and TMPDIR. No index URLs, because they may hold passwords. A failure is sticky in
 * `variables`.
 */
void variables_for_package(const char *directory, struct strv *variables);

/*
 * Appends those of uv: the same with `home` as HOME and TMPDIR, and uv's settings (cache, Python, constraints,
 * indexes). Values of the configuration replace the UV_* variables with the same meaning. uv never downloads a Python,
 * reads no configuration files, and builds from source only with `source_builds`.
 */
void variables_for_uv(const struct itemgend_options *options, const char *home, struct strv *variables);

/* The name of a proxy variable whose URL contains a password, which package code sees; NULL: none. */
const char *variables_proxy_with_password(void);

#endif
