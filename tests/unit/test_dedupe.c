/* Of several versions of an item the newest is loaded, or the next older one if the newest can never be. */
#include "pgstac/dedupe.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

enum { VERSIONS = 8 };

/* "ID AGE RESULT": in the order of arrival; RESULT is what loading it gives: 0, l(ater) or n(ever). */
static const struct {
    const char *versions[VERSIONS];
    const char *loaded;     /* by order of arrival, a '|' after each round */
    const char *superseded; /* by order of arrival */
} rows[] = {
    { { NULL }, "", "" },
    { { "a 1 0" }, "0|", "" },
    { { "a 1 0", "b 1 0", "a 2 0" }, "12|", "0" },
    { { "a 2 0", "b 1 0", "a 1 0" }, "01|", "2" },
    { { "a 1 0", "a 1 0", "a 1 0" }, "2|", "01" },
    { { "a 3 n", "a 2 0", "a 1 0" }, "0|1|", "2" },
    { { "a 1 0", "a 2 n", "a 3 n", "b 1 n" }, "23|1|0|", "" },
    { { "a 1 n", "a 2 n" }, "1|0|", "" },
    { { "a 1 0", "a 2 l" }, "1|", "0" },
    { { "b 1 0", "b 2 n", "a 2 0", "a 1 n", "c 1 l", "c 0 0" }, "124|0|", "35" },
};

static void add_mark(bool marks[VERSIONS], struct buf *ret)
{
    for (int i = 0; i < VERSIONS; i++)
        if (marks[i])
            buf_printf(ret, "%d", i);
}

static int result_of(const char *version)
{
    const char *space = strrchr(version, ' ');
    return space[1] == 'n' ? NEVER : space[1] == 'l' ? LATER : 0;
}

/* At most `max` items are loaded together. */
static void check_row(size_t row, size_t max)
{
    static char collection[] = "c";
    char ids[VERSIONS][8];
    struct pgstac_item items[VERSIONS];
    struct pgstac_item **together;
    size_t n = 0;
    auto_dedupe struct dedupe dedupe = { .n = 0 };
    struct err err = ERR_INIT;
    CHECK(dedupe_init(&dedupe, VERSIONS, &err) == 0);
    memset(items, 0, sizeof(items));
    for (; n < VERSIONS && rows[row].versions[n]; n++) {
        snprintf(ids[n], sizeof(ids[n]), "%.1s", rows[row].versions[n]);
        items[n].item.id = ids[n];
        items[n].item.collection = collection;
        items[n].published_at_ms = rows[row].versions[n][2] - '0';
        dedupe_add(&dedupe, &items[n], n);
    }
    auto_buf struct buf loaded = BUF_INIT, superseded = BUF_INIT;
    bool marks[VERSIONS] = { false };
    for (size_t n_together; (n_together = dedupe_next(&dedupe, max, &together)) > 0;) {
        CHECK_ROW(n_together <= max, "row %zu: %zu at once", row, n_together);
        for (size_t i = 0; i < n_together; i++) {
            size_t order = (size_t)(together[i] - items);
            together[i]->result = result_of(rows[row].versions[order]);
            marks[order] = true;
            together[i] = NULL; /* the array is the caller's */
        }
        if (dedupe.at < dedupe.n_round)
            continue;
        add_mark(marks, &loaded);
        memset(marks, 0, sizeof(marks));
        buf_putc(&loaded, '|');
    }
    for (size_t i = 0; i < n; i++) {
        const struct dedupe_version *version = &dedupe.versions[i];
        bool is_superseded = version->item->outcome == PGSTAC_SUPERSEDED;
        marks[version->order] = is_superseded;
        CHECK_ROW(version->settled, "row %zu: %zu is not settled", row, i);
        CHECK_ROW(!is_superseded || version->item->result == 0, "row %zu: %zu has a result", row, i);
    }
    add_mark(marks, &superseded);
    CHECK_STRING(buf_str(&loaded), rows[row].loaded);
    CHECK_STRING(buf_str(&superseded), rows[row].superseded);
}

int main(void)
{
    for (size_t row = 0; row < N_ELEMENTS(rows); row++)
        for (size_t max = 1; max <= VERSIONS; max++)
            check_row(row, max);
    return test_end();
}
