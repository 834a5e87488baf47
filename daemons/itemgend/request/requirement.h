/*
 * requirement: the package of a request.
 *
 * A plain requirement of PEP 508: a name, extras and version clauses, without blanks: "stactools-landsat",
 * "stactools-landsat[extra,other]", "stactools-landsat==0.5.0", "stactools-landsat>=0.5,<1". uv also accepts paths,
 * URLs, markers, several requirements and options; these are refused. uv splits the value of --with at commas, but
 * not at those inside a plain requirement.
 */
#ifndef ITEMGEND_REQUIREMENT_H
#define ITEMGEND_REQUIREMENT_H

#include "daemon/config.h"

/* NEVER: "invalid_package" (not plain), "package_not_allowed" (its normalized name matches no pattern in `allowed`; the
 * patterns are normalized too). */
int requirement_check(const char *requirement, const struct config_list *allowed, struct err *err) must_check;

/* All of the following take a plain requirement. */

/* Appends its name, normalized as in PEP 503: lower case, and '-' for each run of '-', '_' and '.'. */
void requirement_name(const char *requirement, struct buf *ret);
/* Appends the requirement with its name normalized, so that all spellings give the same text. */
void requirement_normalize(const char *requirement, struct buf *ret);
/* Whether two requirements have the same normalized name. */
bool requirement_is_same_package(const char *a, const char *b);
/* The part after the name: extras and versions, or "". */
const char *requirement_rest(const char *requirement);

#endif
