#include "test.h"

#include <stdio.h>

#include "pgstac/id_set.h"

enum { IDS = 5000, PARTITIONS = 7 };

static const char *name(size_t i)
{
    static char text[32];
    snprintf(text, sizeof(text), "LC08_L2SP_%06zu", i);
    return text;
}

/* Each id in one partition, and every third one in the next, too: whatever was added is found, also after it grew. */
static void test_pairs(void)
{
    struct id_set set;
    id_set_init(&set, 1 << 20);
    CHECK(!id_set_is_elsewhere(&set, "a", 0));
    for (size_t i = 0; i < IDS; i++) {
        CHECK(id_set_add(&set, name(i), i % PARTITIONS));
        CHECK(id_set_add(&set, name(i), i % PARTITIONS)); /* once more is nothing more */
        if (i % 3 == 0)
            CHECK(id_set_add(&set, name(i), (i + 1) % PARTITIONS));
    }
    CHECK(set.n == IDS + (IDS + 2) / 3);
    for (size_t i = 0; i < IDS; i++) {
        CHECK_ROW(id_set_is_elsewhere(&set, name(i), i % PARTITIONS) == (i % 3 == 0), "id %zu, from its own", i);
        CHECK_ROW(id_set_is_elsewhere(&set, name(i), (i + 2) % PARTITIONS), "id %zu, from another", i);
        CHECK_ROW(id_set_is_elsewhere(&set, name(i), ID_SET_PARTITIONS), "id %zu, from one that is not there", i);
        CHECK_ROW(!id_set_is_elsewhere(&set, name(IDS + i), 0), "id %zu, which is new", IDS + i);
    }
    id_set_clear(&set);
    CHECK(!id_set_is_elsewhere(&set, name(0), 1));
}

static void test_full(void)
{
    struct id_set set;
    id_set_init(&set, 2048);
    size_t n = 0;
    while (n < IDS && id_set_add(&set, name(n), 0))
        n++;
    CHECK(n == 2048 / 4 * 3);
    for (size_t i = 0; i < n; i++)
        CHECK(id_set_is_elsewhere(&set, name(i), 1));
    id_set_clear(&set);
    id_set_init(&set, 512); /* less than the smallest */
    CHECK(!id_set_add(&set, name(0), 0));
    id_set_clear(&set);
}

static bool add_some(void *context)
{
    (void)context;
    struct id_set set;
    id_set_init(&set, 1 << 20);
    size_t n = 0;
    while (n < IDS && id_set_add(&set, name(n), 0))
        n++;
    for (size_t i = 0; i < n; i++)
        CHECK(id_set_is_elsewhere(&set, name(i), 1));
    id_set_clear(&set);
    return n == IDS;
}

int main(void)
{
    test_pairs();
    test_full();
    test_failing_allocations(add_some, NULL);
    return test_end();
}
