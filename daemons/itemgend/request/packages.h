/*
 * packages: the `packages:` of the configuration: which environments are made at the start, and whose limits differ.
 *
 * An entry is "REQUIREMENT [KEY=VALUE ...]". One that is a name alone is about every requirement of that package, as
 * PEP 503 normalizes it; one with extras or versions is about that requirement only, and goes before the other.
 */
#ifndef ITEMGEND_PACKAGES_H
#define ITEMGEND_PACKAGES_H

#include "itemgend/options.h"

struct package {
    char *requirement;
    struct limits limits; /* 0: none of its own */
    int64_t concurrency;  /* items made at the same time; 0: no limit but the workers */
};

struct packages {
    struct package *list;
    size_t n;
};

/* Adds a line to `errors` (config_complain) for each entry that is wrong; `ret` has the others. < 0: no memory. */
int packages_parse(const struct itemgend_options *options, struct packages **ret, struct buf *errors) must_check;
void packages_free(struct packages *packages);
static inline void packages_free_pointer(struct packages **packages)
{
    packages_free(*packages);
}
#define auto_packages cleanup(packages_free_pointer)

/* The entry that a requirement (a plain one) falls under; NULL: none. */
const struct package *packages_find(const struct packages *packages, const char *requirement);

/* What the making of an item may take: the entry's own limits, and `otherwise` for those that it does not have. */
void packages_limits(const struct packages *packages, const char *requirement, const struct limits *otherwise,
                     struct limits *ret);

#endif
