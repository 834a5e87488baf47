/*
 * sweep: an item lives once: after a load's commit, what its items have in other partitions goes.
 *
 * A unique index sees to it within a partition, nothing does across partitions. One transaction is not enough: two
 * loaders that move an item at once each miss the other's row; the one that commits last sees both.
 */
#ifndef PGSTAC_SWEEP_H
#define PGSTAC_SWEEP_H

#include "pgstac/batch.h"

/*
 * For the items of the rows, settled ones excepted: of what the collection has by one id the newest published_at stays;
 * it gets what else the operator kept in `private` of those that go. A row of ours that went becomes PGSTAC_STALE.
 * Also for rows that were there already: a loader may have ended between its commit and its sweep, and the message came
 * again. Items that are known to be nowhere else (known.h) are not looked for. In transactions of its own. LATER: the
 * batch may be loaded again, which changes nothing, and swept again.
 */
int sweep_twins(struct catalog *catalog, struct pg *pg, struct batch_row *rows, const struct batch_group *groups,
                size_t n_groups, struct err *err) must_check;

#endif
