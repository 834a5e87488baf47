/*
 * requirement: what a request may name as its package.
 *
 * A plain requirement of PEP 508: a name, extras, version clauses, without blanks: "stactools-landsat",
 * "stactools-landsat[extra,other]", "stactools-landsat==0.5.0", "stactools-landsat>=0.5,<1". No path, URL, marker,
 * second requirement or option, because uv takes all of these; it splits what stands behind --with at commas, but at
 * none of those above.
 */
#ifndef ITEMGEND_REQUIREMENT_H
#define ITEMGEND_REQUIREMENT_H

#include "daemon/config.h"

/* NEVER: "invalid_package" (not plain), "package_not_allowed" (no pattern of `allowed`, spelled as it may be, fits its
 * normalized name). */
int requirement_check(const char *requirement, const struct config_list *allowed, struct err *err) must_check;

/* Appends a plain requirement's name as PEP 503 normalizes it: lower case, runs of '-', '_' and '.' are one '-'. */
void requirement_name(const char *requirement, struct buf *ret);
/* Appends a plain requirement with its name normalized: how all spellings of it are known as one. */
void requirement_normalize(const char *requirement, struct buf *ret);
/* Whether two plain requirements have the same name, normalized. */
bool requirement_is_same_package(const char *a, const char *b);
/* What stands behind the name: extras and versions, or "". */
const char *requirement_rest(const char *requirement);

#endif
