#include "pgstac/id_set.h"

enum { FIRST_SLOTS = 1024, PARTITION_BITS = 16 };

void id_set_init(struct id_set *set, size_t max_slots)
{
    *set = (struct id_set){ .max_slots = max_slots };
    set->seed = (uint64_t)(random_unit() * 0x1p53) << 11 ^ (uint64_t)(random_unit() * 0x1p53);
}

void id_set_clear(struct id_set *set)
{
    free(set->slots);
    *set = (struct id_set){ .slots = NULL };
}

/* FNV-1a, its bits spread by the last steps of MurmurHash3. */
static uint64_t hash(const struct id_set *set, const char *id)
{
    uint64_t h = set->seed ^ UINT64_C(0xcbf29ce484222325);
    for (const unsigned char *at = (const unsigned char *)id; *at; at++)
        h = (h ^ *at) * UINT64_C(0x100000001b3);
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

/* A slot holds 48 bits of the hash, and behind them the partition's number from 1 on: 0 is an empty slot. */
static uint64_t slot_of(uint64_t hashed, size_t partition)
{
    return hashed >> PARTITION_BITS << PARTITION_BITS | (partition + 1);
}

/* From what a slot holds, so that a larger table is filled from a smaller one. */
static size_t first_place(const struct id_set *set, uint64_t slot)
{
    return (size_t)(slot >> PARTITION_BITS) & (set->n_slots - 1);
}

static size_t next_place(const struct id_set *set, size_t place)
{
    return (place + 1) & (set->n_slots - 1);
}

static void put(struct id_set *set, uint64_t slot)
{
    size_t place = first_place(set, slot);
    while (set->slots[place] != 0 && set->slots[place] != slot)
        place = next_place(set, place);
    set->n += set->slots[place] == 0;
    set->slots[place] = slot;
}

static bool grow(struct id_set *set)
{
    struct id_set larger = *set;
    larger.n = 0;
    larger.n_slots = set->n_slots ? set->n_slots * 2 : FIRST_SLOTS;
    if (larger.n_slots > set->max_slots)
        return false;
    larger.slots = calloc(larger.n_slots, sizeof(*larger.slots));
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < set->n_slots; i++)
        if (set->slots[i] != 0)
            put(&larger, set->slots[i]);
    free(set->slots);
    *set = larger;
    return true;
}

bool id_set_add(struct id_set *set, const char *id, size_t partition)
{
    if (set->n >= set->n_slots / 4 * 3 && !grow(set))
        return false;
    put(set, slot_of(hash(set, id), partition));
    return true;
}

bool id_set_is_elsewhere(const struct id_set *set, const char *id, size_t partition)
{
    if (set->n_slots == 0)
        return false;
    uint64_t hashed = hash(set, id) >> PARTITION_BITS;
    for (size_t at = first_place(set, hashed << PARTITION_BITS); set->slots[at] != 0; at = next_place(set, at))
        if (set->slots[at] >> PARTITION_BITS == hashed && (set->slots[at] & ID_SET_PARTITIONS) != partition + 1)
            return true;
    return false;
}
