/*
 * known: which ids each partition of a collection holds, remembered for as long as only we put items in.
 *
 * So a new item is not looked for in hundreds of partitions. The ids are read once, and each transaction of ours adds
 * its own before it commits: what is remembered has every row of the collection, and perhaps more. The witness shows
 * whether others have put items in. Then all is forgotten, items are looked for in the database, and when that has cost
 * enough, the ids are read again.
 *
 * All connections of a process share one struct known, and threads may use it at once; what one connection is about to
 * do is in its struct known_session.
 */
#ifndef PGSTAC_KNOWN_H
#define PGSTAC_KNOWN_H

#include "pgstac/pg.h"

struct known;

int known_new(struct known **ret, struct err *err) must_check;
void known_free(struct known *known);

enum known_stage { KNOWN_IDLE, KNOWN_LOCKING, KNOWN_LOCKED, KNOWN_ADDING };
/* Of one connection. */
struct known_session {
    struct known *known;
    enum known_stage stage;
    uint64_t xid;     /* of the transaction; 0: not known */
    PGresult *before; /* what the witness said before the collections were locked; NULL: it was not asked */
};

/* All of it: the connection may lead to another server now. */
void known_forget(struct known *known);

/* ------------------------------------------------------- a transaction of ours */

/*
 * Around the lock that it takes on the collections' rows ("SELECT ... FOR SHARE"), which writes over what the witness
 * says. `ids`: the collections' text[].
 */
int known_before_lock(struct known_session *session, struct pg *pg, const char *ids, struct err *err) must_check;
int known_after_lock(struct known_session *session, struct pg *pg, struct err *err) must_check;
/* Before its COMMIT: that it has put items in, then which ones. `id`: the collection's. */
void known_will_add(struct known_session *session);
void known_add(struct known_session *session, const char *id, const char *partition, const char *item_id);
/* After its end. `sure`: that it has ended, whether committed or not, is sure. */
void known_end(struct known_session *session, bool sure);

/* ------------------------------------------------------------ and behind its COMMIT */

/* Whether the collection's ids are known: of each item, whether another partition may have it, too. */
int known_ask(struct known_session *session, struct pg *pg, const char *id, int timeout_ms, bool *ret_known,
              struct err *err) must_check;
bool known_is_elsewhere(struct known_session *session, const char *id, const char *partition, const char *item_id);

/* Where they are not known: whether to read the ids now, instead of looking for the items in the database. */
bool known_is_worth_reading(struct known_session *session, const char *id);
/* Items had to be looked for, which took so long; or were looked for in vain where the ids are known. */
void known_looked(struct known_session *session, const char *id, int64_t look_ms);

/* ---------------------------------------------------------- reading, for known_read */

/* What our transactions add counts from now on. Its number, or 0: another thread does it, or there is no room. */
uint64_t known_begin_reading(struct known *known, const char *id);
struct known_size {
    int64_t rows, partitions;
};
/*
 * About so much is to be read, where the witness says this (WITNESS_COLUMNS, WITNESS_ATTACHED). False: it had better be
 * done later.
 */
bool known_reading_is_worth_it(struct known *known, uint64_t reading, const struct known_size *size,
                               const PGresult *witness) must_check;
/* False: to no avail: others have put items in meanwhile, or there is no room. */
bool known_reading_add(struct known *known, uint64_t reading, const char *partition, const char *item_id) must_check;
void known_end_reading(struct known *known, uint64_t reading, bool whole, int64_t took_ms);

#endif
