/*
 * packages: the configuration key `packages`: environments to build at the start, and packages with their own limits.
 *
 * An entry is "REQUIREMENT [KEY=VALUE ...]". An entry with only a name applies to all requirements of that package
 * (names are compared as PEP 503 normalizes them). An entry with extras or versions applies to that requirement only,
 * and takes precedence.
 */
#ifndef ITEMGEND_PACKAGES_H
#define ITEMGEND_PACKAGES_H

#include "itemgend/options.h"

struct package {
    char *requirement;
    struct limits limits; /* 0: not set */
    int64_t concurrency;  /* items made at the same time; 0: limited by the workers only */
};

struct packages {
    struct package *list;
    size_t n;
};

/* Adds a line to `errors` (config_complain) for each wrong entry; `ret` has the others. < 0: no memory. */
int packages_parse(const struct itemgend_options *options, struct packages **ret, struct buf *errors) must_check;
void packages_free(struct packages *packages);
static inline void packages_free_pointer(struct packages **packages)
{
    packages_free(*packages);
}
#define auto_packages cleanup(packages_free_pointer)

/* The entry that applies to a plain requirement; NULL: none. */
const struct package *packages_find(const struct packages *packages, const char *requirement);

/* The limits of an item: those of the package's entry, and those of `otherwise` that the entry does not set. */
void packages_limits(const struct packages *packages, const char *requirement, const struct limits *otherwise,
                     struct limits *ret);

#endif
