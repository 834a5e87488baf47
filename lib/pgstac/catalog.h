/*
 * catalog: what the database says of collections, remembered between batches.
 *
 * A collection is remembered with a digest of its base item: the load transaction reads the digest again, and a batch
 * that was dehydrated against another base item is prepared again.
 */
#ifndef PGSTAC_CATALOG_H
#define PGSTAC_CATALOG_H

#include "pgstac/dehydrate.h"
#include "pgstac/known.h"

enum catalog_trunc { TRUNC_NONE, TRUNC_YEAR, TRUNC_MONTH };

struct catalog_collection {
    struct catalog_collection *next;
    char *id;
    struct base_item base;
    char *version;       /* changes with the base item, key or partition_trunc */
    uint64_t generation; /* of this version, no other has it: what was made from another one is stale */
    int64_t key;
    enum catalog_trunc trunc;
    bool is_known; /* false: the database was asked and has none */
    bool is_stale; /* must be read again */
};

struct catalog {
    int statement_timeout_ms;               /* set by the owner, for catalog_begin */
    struct known_session *known;            /* set by the owner */
    bool is_portable;                       /* set by the owner: pgstac dehydrates, base items are not looked at */
    bool has_base_items;                    /* set by the owner: the catalog keeps versions of base items */
    struct catalog_collection *collections; /* each stays where it is, its content replaced, until catalog_trim */
    size_t n_collections;
    uint64_t generations; /* the last one given */
};

void catalog_clear(struct catalog *catalog);
#define auto_catalog cleanup(catalog_clear)

/* Forgets, between batches, where more is remembered than a catalog can have in use. */
void catalog_trim(struct catalog *catalog);

/*
 * Reads the collections of these ids (repetitions allowed) that are not remembered, or not trusted.
 * NEVER: "unusable_collection": one of them has a base_item that is beyond json_parse.
 */
int catalog_read_collections(struct catalog *catalog, struct pg *pg, const char *const *ids, size_t n, struct err *err)
    must_check;
/* What is remembered may be wrong: each collection is read again before it is used again. */
void catalog_distrust(struct catalog *catalog);
/* The remembered collection, or NULL where the database has none. The pointer is valid until catalog_trim. */
const struct catalog_collection *catalog_collection(const struct catalog *catalog, const char *id);

/*
 * Inside the load's transaction: locks the collections FOR SHARE and compares their digests.
 * LATER: "collection_changing": one has changed since it was read, so the batch must be prepared again;
 * "database_upgraded" (outage): pgstac was migrated from or to 0.10, so the connection has to look at the schema again.
 */
int catalog_lock_collections(struct catalog *catalog, struct pg *pg, const char *const *ids, size_t n, struct err *err)
    must_check;

/*
 * Begins a transaction with what pgstac's functions and ours expect (search path, UTC, ISO dates) and the statement
 * timeout: set in each, as pgbouncer in transaction mode needs it.
 */
int catalog_begin(const struct catalog *catalog, struct pg *pg, struct err *err) must_check;

#endif
