/*
 * locked: which rows of a batch somebody else has locked for longer than a statement may take.
 */
#ifndef PGSTAC_LOCKED_H
#define PGSTAC_LOCKED_H

#include "pgstac/batch.h"

/*
 * After a statement timeout: settles those of the sorted rows (LATER, with the story `why`) whose items are locked in
 * the catalog now; *ret_n: how many. It does not wait for locks. What it cannot see (another session's insert that is
 * not committed) it does not find. LATER: "database_conflict" where a whole table is locked; outages.
 */
int locked_settle(const struct catalog *catalog, struct pg *pg, struct batch_row *rows, size_t n, const struct err *why,
                  size_t *ret_n, struct err *err) must_check;

#endif
