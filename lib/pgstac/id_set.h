/*
 * id_set: which ids are in which partitions, in 8 bytes a pair: a set that forgets nothing.
 *
 * It holds 48 bits of each id's hash. So it may take an id for another one, which costs a look into the database, but
 * it never misses one that was added.
 */
#ifndef PGSTAC_ID_SET_H
#define PGSTAC_ID_SET_H

#include "base/base.h"

enum { ID_SET_PARTITIONS = 65535 };

struct id_set {
    uint64_t *slots; /* NULL: empty */
    size_t n, n_slots;
    size_t max_slots; /* set by the owner: a power of two; three quarters of it are used */
    uint64_t seed;    /* so that nobody outside can choose ids that collide */
};

void id_set_init(struct id_set *set, size_t max_slots);
void id_set_clear(struct id_set *set);

/* Adds the pair; `partition` is below ID_SET_PARTITIONS. False: it is full, or there is no memory. */
bool id_set_add(struct id_set *set, const char *id, size_t partition) must_check;

/* Whether the id may be in another partition than this one, which may be a number that no partition has. */
bool id_set_is_elsewhere(const struct id_set *set, const char *id, size_t partition);

#endif
