/* known_read: reads the ids of a collection, for struct known to remember. */
#ifndef PGSTAC_KNOWN_READ_H
#define PGSTAC_KNOWN_READ_H

#include "pgstac/catalog.h"
#include "pgstac/known.h"

/*
 * In a transaction of its own, which sees one state of the database. *ret_whole: they are known, as of a time after the
 * call began. 0 also where it was not worth it, or failed. LATER: outages only.
 */
int known_read(const struct catalog *catalog, struct pg *pg, const struct catalog_collection *collection,
               bool *ret_whole, struct err *err) must_check;

#endif
