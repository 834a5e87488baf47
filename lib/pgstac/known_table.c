#include "pgstac/known_table.h"

#include <stdio.h>

enum {
    SLOTS_MAX = 1 << 23, /* of all collections: 64 MiB, 6 million ids */
    SLOTS_MIN = 1024,
    COLLECTIONS_MAX = 10000,
    BACKOFF_MAX = 6,
};

/* Until it has been measured: reading, and looking for a thousand items. */
enum { READ_ROWS_PER_MS = 2000, LOOK_ROWS_PER_MS = 4000, LOOK_PARTITIONS_PER_MS = 3 };

void known_collection_forget(struct known_collection *collection)
{
    if (collection->state == KNOWN_ALL) {
        bool was_worth_it = collection->answers * collection->look_ms >= collection->read_ms;
        collection->backoff = was_worth_it ? 0 : collection->backoff + (collection->backoff < BACKOFF_MAX);
    }
    collection->state = KNOWN_NOTHING;
    collection->looked_ms = collection->answers = 0;
    free(TAKE(collection->version));
    free(TAKE(collection->attached));
    collection->horizon = 0;
    id_set_clear(&collection->ids);
    free(TAKE(collection->partitions));
    collection->n_partitions = collection->last_partition = 0;
}

void known_table_clear(struct known_table *table)
{
    while (table->collections) {
        struct known_collection *next = table->collections->next;
        known_collection_forget(table->collections);
        free(table->collections->id);
        free(table->collections);
        table->collections = next;
    }
    table->n = 0;
}

struct known_collection *known_table_find(const struct known_table *table, const char *id)
{
    for (struct known_collection *at = table->collections; at; at = at->next)
        if (strcmp(at->id, id) == 0)
            return at;
    return NULL;
}

struct known_collection *known_table_find_reading(const struct known_table *table, uint64_t reading)
{
    for (struct known_collection *at = table->collections; at; at = at->next)
        if (at->state == KNOWN_READING && at->reading == reading)
            return at;
    return NULL;
}

void known_table_remember(struct known_table *table, const char *id)
{
    if (known_table_find(table, id) || table->n >= COLLECTIONS_MAX)
        return;
    struct known_collection *collection = calloc(1, sizeof(*collection));
    if (!collection)
        return;
    collection->id = strdup(id);
    if (!collection->id) {
        free(collection);
        return;
    }
    collection->next = table->collections;
    table->collections = collection;
    table->n++;
}

size_t known_table_room(const struct known_table *table, const struct known_collection *collection)
{
    size_t used = 0, room = SLOTS_MAX;
    for (const struct known_collection *at = table->collections; at; at = at->next)
        if (at != collection)
            used += at->state == KNOWN_READING ? at->ids.max_slots : at->ids.n_slots;
    while (room >= SLOTS_MIN && room + used > SLOTS_MAX)
        room >>= 1;
    return room >= SLOTS_MIN ? room : 0;
}

static size_t partition_of(struct known_collection *collection, const char *name)
{
    if (collection->last_partition < collection->n_partitions &&
        strcmp(collection->partitions[collection->last_partition].name, name) == 0)
        return collection->last_partition;
    for (size_t i = 0; i < collection->n_partitions; i++)
        if (strcmp(collection->partitions[i].name, name) == 0)
            return collection->last_partition = i;
    return collection->n_partitions;
}

bool known_collection_add(struct known_collection *collection, const char *partition, const char *id)
{
    size_t number = partition_of(collection, partition);
    if (number == collection->n_partitions) {
        struct known_partition *grown =
            number < ID_SET_PARTITIONS ? reallocarray(collection->partitions, number + 1, sizeof(*grown)) : NULL;
        if (!grown)
            return false;
        collection->partitions = grown;
        snprintf(grown[number].name, sizeof(grown[number].name), "%s", partition);
        collection->last_partition = number;
        collection->n_partitions++;
    }
    return id_set_add(&collection->ids, id, number);
}

bool known_collection_is_elsewhere(struct known_collection *collection, const char *partition, const char *id)
{
    return id_set_is_elsewhere(&collection->ids, id, partition_of(collection, partition));
}

bool known_collection_is_worth_reading(const struct known_collection *collection)
{
    return collection->read_ms != KNOWN_NEVER &&
           collection->looked_ms + collection->look_ms >= collection->read_ms / 4 * (1 << collection->backoff);
}

/* A small partition is read, in a large one each item takes a microsecond; planning takes longer than that. */
void known_collection_estimate(struct known_collection *collection, int64_t rows, int64_t partitions)
{
    bool has_room = (uint64_t)rows < collection->ids.max_slots / 4 * 3;
    int64_t rows_ms = rows / LOOK_ROWS_PER_MS;
    collection->read_ms = has_room ? rows / READ_ROWS_PER_MS : KNOWN_NEVER;
    if (collection->look_ms == 0)
        collection->look_ms = partitions / LOOK_PARTITIONS_PER_MS + (rows_ms < partitions ? rows_ms : partitions);
}
