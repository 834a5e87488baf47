/* Of several versions of an item the newest is loaded, and an older one where the newest can never be. */
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

static void check_row(size_t row)
{
    static char collection[] = "c";
    char ids[VERSIONS][8];
    struct pgstac_item items[VERSIONS];
    struct dedupe_version versions[VERSIONS];
    size_t n = 0, picked[VERSIONS], n_picked;
    memset(items, 0, sizeof(items));
    for (; n < VERSIONS && rows[row].versions[n]; n++) {
        snprintf(ids[n], sizeof(ids[n]), "%.1s", rows[row].versions[n]);
        items[n].item.id = ids[n];
        items[n].item.collection = collection;
        items[n].published_at_ms = rows[row].versions[n][2] - '0';
        versions[n] = (struct dedupe_version){ .item = &items[n], .order = n };
    }
    auto_buf struct buf loaded = BUF_INIT, superseded = BUF_INIT;
    dedupe_sort(versions, n);
    while ((n_picked = dedupe_pick(versions, n, picked)) > 0) {
        bool marks[VERSIONS] = { false };
        for (size_t i = 0; i < n_picked; i++) {
            struct dedupe_version *version = &versions[picked[i]];
            version->item->result = result_of(rows[row].versions[version->order]);
            marks[version->order] = true;
        }
        add_mark(marks, &loaded);
        buf_putc(&loaded, '|');
        dedupe_settle(versions, n);
    }
    bool marks[VERSIONS] = { false };
    for (size_t i = 0; i < n; i++) {
        marks[versions[i].order] = versions[i].superseded;
        CHECK_ROW(versions[i].settled, "row %zu: %zu is not settled", row, i);
        CHECK_ROW(!versions[i].superseded || versions[i].item->result == 0, "row %zu: %zu has a result", row, i);
    }
    add_mark(marks, &superseded);
    CHECK_STRING(buf_str(&loaded), rows[row].loaded);
    CHECK_STRING(buf_str(&superseded), rows[row].superseded);
}

int main(void)
{
    for (size_t row = 0; row < N_ELEMENTS(rows); row++)
        check_row(row);
    return test_end();
}
