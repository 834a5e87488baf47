#include "test.h"

#include "pgstac/witness.h"

static const struct witness_ours *ours(void)
{
    static struct witness_ours some;
    if (some.next == 0) {
        witness_add_ours(&some, 110);
        witness_add_ours(&some, 120);
        witness_add_ours(&some, (UINT64_C(7) << 32) + 5);
    }
    return &some;
}

/* A row of the query, of which only these two columns are looked at. */
static PGresult *make_row(const char *xmax, const char *members)
{
    char *names[] = { "id", "version", "xmax", "members", "snapshot" };
    PGresAttDesc columns[N_ELEMENTS(names)];
    memset(columns, 0, sizeof(columns));
    for (size_t i = 0; i < N_ELEMENTS(names); i++)
        columns[i].name = names[i];
    PGresult *row = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    bool ok = PQsetResultAttrs(row, WITNESS_END, columns);
    for (int i = 0; ok && i < WITNESS_END; i++) {
        const char *value = i == WITNESS_XMAX ? xmax : i == WITNESS_MEMBERS ? members : "";
        auto_free char *copy = value ? strdup(value) : NULL;
        ok = PQsetvalue(row, 0, i, copy, copy ? (int)strlen(copy) : -1);
    }
    CHECK(ok);
    return row;
}

static void test_rows(void)
{
    static const struct {
        const char *xmax, *members;
        uint64_t horizon;
        bool is_ours;
    } rows[] = {
        { "110", NULL, 100, true },
        { "120", NULL, 100, true },
        { "119", NULL, 100, false },
        { "99", NULL, 100, true }, /* had ended */
        { "100", NULL, 100, false },
        { "0", NULL, 100, false },
        { "", NULL, 100, false },
        { "x", NULL, 100, false },
        { "3", "110,120", 100, true },
        { "3", "110", 100, true },
        { "3", "110,98,120", 100, true },
        { "3", "110,119", 100, false },
        { "3", "119,110", 100, false },
        { "119", "110,120", 100, false }, /* may be a transaction as well */
        { "110", "119", 100, false },
        /* Only the lower half of a number is in a row's header. */
        { "5", NULL, (UINT64_C(7) << 32) + 2, true },
        { "4", NULL, (UINT64_C(7) << 32) + 2, false },
        { "1", NULL, (UINT64_C(7) << 32) + 2, true },
        { "4294967295", NULL, (UINT64_C(7) << 32) + 2, true },
        { "5", NULL, (UINT64_C(6) << 32) + 4294967290, true },
        { "4", NULL, (UINT64_C(6) << 32) + 4294967290, false },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        PGresult *row = make_row(rows[i].xmax, rows[i].members);
        CHECK_ROW(witness_is_ours(row, 0, ours(), rows[i].horizon) == rows[i].is_ours, "row %zu", i);
        PQclear(row);
    }
}

static void test_snapshots(void)
{
    static const struct {
        const char *before, *after;
        bool others;
    } rows[] = {
        { "100:100:", "100:100:", false },
        { "100:110:", "100:111:", false },           /* 110 is ours */
        { "100:110:", "100:112:", true },            /* 111 is not */
        { "100:110:", "100:112:111", false },        /* and runs */
        { "100:110:105", "100:110:105", false },     /* still runs */
        { "100:110:105", "110:110:", true },         /* has ended */
        { "100:120:104,110", "104:121:104", false }, /* 110 and 120 are ours */
        { "100:120:104,110", "110:121:110", true },  /* 104 is not */
        { "100:110:", "100:109:", true },            /* that cannot be */
        { "1:1:", "1:1000000000:", true },           /* too many to look at */
        { "30064771077:30064771077:", "30064771078:30064771078:", false },
        { "", "100:110:", true },
        { "100:110:", "", true },
        { "100:110", "100:110:", true },
        { "100:110:", "100 110", true },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        CHECK_ROW(witness_others_ended(rows[i].before, rows[i].after, ours()) == rows[i].others, "row %zu", i);
    CHECK(witness_horizon("100:110:105") == 100);
    CHECK(witness_horizon("30064771077:30064771077:") == UINT64_C(30064771077));
    CHECK(witness_horizon("") == 0);
    CHECK(witness_horizon("-1:5:") == 0);
}

static void test_ours(void)
{
    struct witness_ours some = { .next = 0 };
    for (uint64_t xid = 1; xid <= WITNESS_OURS_MAX + 1; xid++)
        witness_add_ours(&some, xid);
    CHECK(witness_others_ended("1:1:", "2:2:", &some)); /* so long ago that it is not remembered */
    CHECK(!witness_others_ended("2:2:", "9:9:", &some));
    witness_remove_ours(&some, 5);
    CHECK(witness_others_ended("2:2:", "9:9:", &some));
}

int main(void)
{
    test_rows();
    test_snapshots();
    test_ours();
    return test_end();
}
