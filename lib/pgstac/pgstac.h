/*
 * pgstac: loads items and collections into a pgstac database.
 *
 * One struct pgstac is one connection, used by one thread. Where the database has the layout of pgstac 0.8 and 0.9
 * (looked at when connecting) it goes past pgstac's own loading functions: items are dehydrated and
 * geometries encoded here, one COPY brings a batch into a temporary table, one statement per
 * partition upserts it, all in one transaction; a second transaction removes what an item
 * left in another partition. Into another layout pgstac's own functions load, much slower: the portable path.
 * docs/explanation/loading.md says why.
 */
#ifndef PGSTAC_PGSTAC_H
#define PGSTAC_PGSTAC_H

#include "pgstac/known.h"
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
    struct known *known; /* shared by the connections of a process, borrowed; NULL: it has its own */
    bool portable;       /* the portable path also where the fast one could be taken: for tests */
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
/* Between calls: a connection that ended while it was idle is none. */
bool pgstac_is_connected(struct pgstac *pgstac);
void pgstac_disconnect(struct pgstac *pgstac);
const char *pgstac_version(const struct pgstac *pgstac); /* of the schema, "0.9.12"; NULL: not connected */
/* What the database has or lacks ("lacks ..., keeps ...") that puts the portable path in force; NULL: the fast one is.
 */
const char *pgstac_why_portable(const struct pgstac *pgstac);

enum pgstac_outcome {
    PGSTAC_INSERTED,
    PGSTAC_UPDATED,
    PGSTAC_STALE,      /* not loaded: the database has a newer version */
    PGSTAC_SUPERSEDED, /* not loaded: the same batch has a newer version (pgstac/dedupe.h) */
};

struct pgstac_item {
    /* Given */
    const char *text; /* its JSON: borrowed, and read again where its collection has changed since */
    size_t text_len;
    int64_t published_at_ms;
    /* Made by pgstac_item_read */
    struct stac_item item;
    char *content; /* dehydrated; NULL: not yet */
    size_t content_len;
    char *private;       /* its member of that name, which goes to the column that no search returns; NULL: none */
    uint64_t generation; /* of the collection that it was dehydrated against */
    /* Results */
    int result;                  /* 0, LATER or NEVER */
    enum pgstac_outcome outcome; /* where result is 0 */
    int rebased_partitions;      /* of a collection: see pgstac_load_collection */
    struct err err;
};

/*
 * Checks an item and makes of it what a load needs, so that its tree can be freed. `json`: item->text, parsed. The
 * database is not asked: where it has not yet been asked for the collection, pgstac_load reads the text once more.
 * NEVER: as stac_item_read has it, "reserved_value". item->result and item->err are set too.
 */
int pgstac_item_read(const struct pgstac *pgstac, const cJSON *json, struct pgstac_item *item) must_check;
void pgstac_item_clear(struct pgstac_item *item);

/*
 * Loads items that were read, no (collection, id) twice among them. Returns 0 when each item has its result: a bad one
 * fails alone (NEVER), one whose partition or collection is not to be had waits alone (LATER). LATER with err->outage
 * when the database cannot be had: no item's result counts, some of them may be loaded, and all of them may be given
 * again. < 0 when this process cannot go on. It takes as long as the statements do: each is bounded by
 * statement_timeout_ms, and what meets conflicts is tried six times.
 */
int pgstac_load(struct pgstac *pgstac, struct pgstac_item *const *items, size_t n, struct err *err) must_check;

/*
 * Inserts or replaces a collection: what is given of an item, its outcome PGSTAC_UPDATED (pgstac does not say whether
 * it was there) or PGSTAC_STALE. Before pgstac 0.10 a catalog keeps one base item per collection, with which all items
 * are put together again: where the new one differs, rebased_partitions says how many partitions have items that may
 * read back differently from now on; else it is 0. NEVER: "invalid_json", "invalid_collection", "database_rejected" (an
 * extent that pgstac cannot read); LATER as pg.h has it.
 */
int pgstac_load_collection(struct pgstac *pgstac, struct pgstac_item *collection, struct err *err) must_check;

/*
 * Writes the statistics of the partitions that were loaded into since they were last written (pgstac's search
 * reads them). `interval_ms`: only those whose last time is that long ago; 0: all. LATER: what failed stays due.
 */
int pgstac_update_statistics(struct pgstac *pgstac, int interval_ms, struct err *err) must_check;

#endif
