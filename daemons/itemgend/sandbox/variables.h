/*
 * variables: the environment that package code and uv get. Lists of what is passed on, never of what is left out: the
 * daemon's own environment may hold credentials, or the way to them.
 */
#ifndef ITEMGEND_VARIABLES_H
#define ITEMGEND_VARIABLES_H

#include "itemgend/options.h"
#include "base/strv.h"

/*
 * What package code gets: PATH, proxies, where the certificates are, LANG, one thread for numerics, and `directory`
 * (absolute) as HOME and TMPDIR. No index URLs, which may hold passwords. A failure is sticky in `environment`.
 */
void variables_for_package(const char *directory, struct strings *environment);

/*
 * What uv gets: the same with `home` as HOME and TMPDIR, and its own settings: cache, Python, constraints, indexes.
 * Those of the configuration stand in the place of the UV_* variables that mean the same. uv never downloads a Python,
 * reads no configuration files, and builds nothing from source unless `source_builds` says so.
 */
void variables_for_uv(const struct itemgend_options *options, const char *home, struct strings *environment);

/* The name of a proxy variable whose URL holds a password, which package code therefore sees; NULL: none does. */
const char *variables_proxy_with_password(void);

#endif
