/*
 * requirement: what a request may name as its package.
 *
 * A plain requirement of PEP 508: a name, one extra, one version clause: "stactools-landsat",
 * "stactools-landsat[extra]", "stactools-landsat==0.5.0". No path, URL, marker, comma or option, because uv takes all
 * of these.
 */
#ifndef ITEMGEND_REQUIREMENT_H
#define ITEMGEND_REQUIREMENT_H

#include "common/config.h"

/* NEVER: "invalid_package" (not plain), "package_not_allowed" (no pattern of `allowed` fits its normalized name). */
int requirement_check(const char *requirement, const struct config_list *allowed, struct err *err) must_check;

#endif
