/*
 * schema: which version of pgstac a database has, and which way its layout can be loaded into.
 *
 * The layout is looked at, not the version: what a path relies on is there or is not.
 */
#ifndef PGSTAC_SCHEMA_H
#define PGSTAC_SCHEMA_H

#include "pgstac/pg.h"

/* Whether items name the version of their base item (pgstac 0.10): an SQL condition. */
#define SCHEMA_HAS_BASE_ITEMS                            \
    "(to_regclass('pgstac.base_items') IS NOT NULL AND " \
    "to_regprocedure('pgstac.current_base_item(text)') IS NOT NULL)"

struct schema {
    char *version;       /* pgstac's, "none" where there is none */
    char *not_fast;      /* what is in the way of the fast path: "lacks ..., keeps ..."; "": nothing */
    char *not_portable;  /* likewise of the portable path */
    bool has_base_items; /* SCHEMA_HAS_BASE_ITEMS */
    bool has_fragments;  /* items are split into columns and fragments: an unreleased layout, no path loads into it */
};

int schema_read(struct pg *pg, struct schema *ret, struct err *err) must_check;
void schema_clear(struct schema *schema);

#endif
