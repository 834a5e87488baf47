/*
 * pgstac: loads items and collections into a pgstac database.
 *
 * One struct pgstac is one connection, used by one thread. It knows the layout of pgstac 0.8 and 0.9
 * (checked when connecting) and goes past pgstac's own loading functions: items are dehydrated and
 * geometries encoded here, one COPY brings a batch into a temporary table, one statement per
 * partition upserts it, all in one transaction; a second transaction removes what an item
 * left in another partition. docs/loading.md says why.
 */
#ifndef PGSTAC_PGSTAC_H
#define PGSTAC_PGSTAC_H

#include "stac/item.h"

enum missing_collection {
    MISSING_COLLECTION_RETRY,  /* LATER: it may be on its way */
    MISSING_COLLECTION_REJECT, /* NEVER */
    MISSING_COLLECTION_CREATE, /* a minimal collection is made */
};

struct pgstac_options {
    int stop_fd;              /* readable: give up at once; -1: none */
    int statement_timeout_ms; /* of each statement, at the server */
    int connect_timeout_ms;
    enum missing_collection missing_collection;
};

struct pgstac;

/* Makes the object; nothing is connected yet. */
int pgstac_new(const struct pgstac_options *options, struct pgstac **ret, struct err *err) must_check;
void pgstac_free(struct pgstac *pgstac);

/*
 * Connects, and looks at the schema. `keywords` and `values` as PQconnectdbParams takes them, borrowed.
 * 0 when connected already. LATER (outage): "database_unavailable"; "database_auth" where the
 * server refused name or password (fetch them anew). NEVER: "database_unsupported", with what was found.
 */
int pgstac_connect(struct pgstac *pgstac, const char *const *keywords, const char *const *values, struct err *err)
    must_check;
bool pgstac_is_connected(const struct pgstac *pgstac);
void pgstac_disconnect(struct pgstac *pgstac);
const char *pgstac_version(const struct pgstac *pgstac); /* of the schema, "0.9.12"; NULL: not connected */

enum pgstac_outcome { PGSTAC_INSERTED, PGSTAC_UPDATED, PGSTAC_STALE /* a newer version was there */ };

struct pgstac_item {
    struct stac_item item;
    int64_t published_at_ms;
    /* Results */
    int result;                  /* 0, LATER or NEVER */
    enum pgstac_outcome outcome; /* where result is 0 */
    struct err err;
};

/*
 * Loads items, no (collection, id) twice among them. Returns 0 when each item has its result: a bad one fails alone
 * (NEVER), one whose partition or collection is not to be had waits alone (LATER). LATER with err->outage when the
 * database cannot be had: no item's result counts, some of them may be loaded, and all of them may be given again. < 0
 * when this process cannot go on. It takes as long as the statements do: each is bounded by statement_timeout_ms, and
 * what meets conflicts is tried six times.
 */
int pgstac_load(struct pgstac *pgstac, struct pgstac_item *items, size_t n, struct err *err) must_check;

/*
 * Inserts or replaces a collection. `json` as published. NEVER: "invalid_collection", "database_rejected" (an extent
 * that pgstac cannot read); LATER as pg.h has it.
 */
int pgstac_load_collection(struct pgstac *pgstac, const cJSON *json, struct err *err) must_check;

/*
 * Writes the statistics of the partitions that were loaded into since they were last written (pgstac's search
 * reads them). `interval_ms`: only those whose last time is that long ago; 0: all. LATER: what failed stays due.
 */
int pgstac_update_statistics(struct pgstac *pgstac, int interval_ms, struct err *err) must_check;

#endif
