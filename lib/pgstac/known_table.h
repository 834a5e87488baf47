/*
 * known_table: what is remembered of collections: the ids of their partitions, and whether remembering them pays.
 *
 * The data of struct known, which locks it: no function here may be called by two threads at once.
 */
#ifndef PGSTAC_KNOWN_TABLE_H
#define PGSTAC_KNOWN_TABLE_H

#include "pgstac/id_set.h"

enum known_state { KNOWN_NOTHING, KNOWN_READING, KNOWN_ALL };

/* As long as a name of PostgreSQL can be. */
struct known_partition {
    char name[64];
};

struct known_collection {
    struct known_collection *next;
    char *id;
    enum known_state state;
    char *version;    /* of its row, as the witness has it; NULL: not seen yet */
    char *attached;   /* as the witness has it */
    uint64_t reading; /* which one it is, or was */
    uint64_t horizon; /* what had ended before that was seen when the ids were read */
    struct id_set ids;
    struct known_partition *partitions;
    size_t n_partitions, last_partition; /* the last one that was asked for */
    /* Is it worth it? */
    int64_t looked_ms, look_ms; /* looking in the database: since the ids were forgotten; the last time */
    int64_t read_ms;            /* what reading the ids took, or may take; KNOWN_NEVER: there is no room */
    int64_t answers;            /* since they were read */
    int backoff;                /* how often they were forgotten before they had been worth it, in a row */
};

#define KNOWN_NEVER INT64_MAX

struct known_table {
    struct known_collection *collections; /* each stays where it is until known_table_clear */
    size_t n;
};
void known_table_clear(struct known_table *table);

/* NULL: it is not remembered. */
struct known_collection *known_table_find(const struct known_table *table, const char *id);
/* The one that is being read under this number. */
struct known_collection *known_table_find_reading(const struct known_table *table, uint64_t reading);
/* From now on; not where there is no room for one more. */
void known_table_remember(struct known_table *table, const char *id);
/* The room for its ids that the other collections leave, in slots: a power of two; 0: too little. */
size_t known_table_room(const struct known_table *table, const struct known_collection *collection);

/* Its ids. Also while they are read: then it is found out at the end. */
void known_collection_forget(struct known_collection *collection);
/* False: there is no room. */
bool known_collection_add(struct known_collection *collection, const char *partition, const char *id) must_check;
bool known_collection_is_elsewhere(struct known_collection *collection, const char *partition, const char *id);

/*
 * Whether to read the ids: when looking once more would bring the time that looking took to a quarter of what reading
 * takes; twice that after each time it was in vain.
 */
bool known_collection_is_worth_reading(const struct known_collection *collection);
/* What looking takes, as long as it has not been measured. */
void known_collection_estimate(struct known_collection *collection, int64_t rows, int64_t partitions);

#endif
