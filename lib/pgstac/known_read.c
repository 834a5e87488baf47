#include "pgstac/known_read.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/time.h"
#include "pgstac/witness.h"

/*
 * What the witness says, about how many rows there are (in a table that nobody has analyzed they have some 3 KB each),
 * and how many partitions lack the trigger that the witness relies on.
 */
#define LOOK                                                                                                    \
    "SELECT " WITNESS_COLUMNS ", " WITNESS_ATTACHED ", t.n, t.partitions, t.untold" WITNESS_FROM "CROSS JOIN (" \
    "SELECT coalesce(sum(greatest(p.reltuples, pg_relation_size(p.oid) / 3000))::int8, 0) AS n, count(*) AS "   \
    "partitions, "                                                                                              \
    "count(*) FILTER (WHERE NOT EXISTS (SELECT FROM pg_trigger AS g JOIN pg_proc AS f ON f.oid = g.tgfoid "     \
    "WHERE g.tgrelid = p.oid AND f.proname = 'RI_FKey_check_ins' AND g.tgenabled IN ('O', 'A') "                \
    "AND g.tgconstrrelid = 'pgstac.collections'::regclass)) AS untold "                                         \
    "FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhrelid WHERE i.inhparent = to_regclass($2)) AS t " \
    "WHERE c.id = $1"
enum { LOOK_ROWS = WITNESS_END + 1, LOOK_PARTITIONS, LOOK_UNTOLD };
#define PARTITIONS \
    "SELECT p.relname FROM pg_inherits JOIN pg_class AS p ON p.oid = inhrelid WHERE inhparent = to_regclass($1)"

/*
 * Each partition by itself, named by a number: PostgreSQL can then read its index alone, which a system column such as
 * tableoid rules out. The limit is more than can be remembered.
 */
#define COPY_BEGIN "COPY (SELECT * FROM ("
#define COPY_END ") AS ids LIMIT 7000000) TO STDOUT (FORMAT binary)"
static const char COPY_HEADER[] = "PGCOPY\n\377\r\n"; /* its NUL is a part of it */
enum { COPY_HEADER_SIZE = 19, COPY_TRAILER_SIZE = 2 };

/* Before the first query. */
#define ONE_STATE "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

static int look(struct pg *pg, const char *id, const char *table, struct known *known, uint64_t reading,
                bool *ret_worth, struct err *err)
{
    const char *params[] = { id, table };
    auto_pg_result PGresult *row = NULL;
    int r = pg_exec(pg, LOOK, params, 2, &row, err);
    struct known_size size = { .rows = 0 };
    *ret_worth = r == 0 && PQntuples(row) == 1 && strcmp(PQgetvalue(row, 0, LOOK_UNTOLD), "0") == 0 &&
                 num_parse_i64(PQgetvalue(row, 0, LOOK_ROWS), 0, INT64_MAX, &size.rows, NULL) == 0 &&
                 num_parse_i64(PQgetvalue(row, 0, LOOK_PARTITIONS), 0, INT64_MAX, &size.partitions, NULL) == 0 &&
                 known_reading_is_worth_it(known, reading, &size, row);
    return r;
}

static uint32_t get_u32(const char *at)
{
    uint32_t be;
    memcpy(&be, at, sizeof(be));
    return be32toh(be);
}

/* A row: the number of its columns (2 bytes), then the length (4) and value of each: the partition's number (4), id. */
enum { AT_PARTITION = 2 + 4, AT_ID_LEN = AT_PARTITION + 4, AT_ID = AT_ID_LEN + 4 };

struct reader {
    struct known *known;
    uint64_t reading;
    const PGresult *partitions;
};

/* libpq puts a NUL behind each row. False: to no avail. */
static bool add_row(struct reader *reader, const char *row, size_t len)
{
    if (len >= COPY_HEADER_SIZE && memcmp(row, COPY_HEADER, sizeof(COPY_HEADER)) == 0) {
        row += COPY_HEADER_SIZE;
        len -= COPY_HEADER_SIZE;
    }
    if (len <= COPY_TRAILER_SIZE)
        return true;
    if (len < AT_ID || get_u32(row + AT_ID_LEN) != len - AT_ID)
        return false;
    int partition = (int)get_u32(row + AT_PARTITION);
    return partition < PQntuples(reader->partitions) &&
           known_reading_add(reader->known, reader->reading, PQgetvalue(reader->partitions, partition, 0), row + AT_ID);
}

/* To the end also where it is to no avail: a connection takes no other statement before. */
static int read_rows(struct pg *pg, struct reader *reader, bool *ret_ok, struct err *err)
{
    auto_buf struct buf sql = BUF_INIT;
    buf_puts(&sql, COPY_BEGIN);
    for (int i = 0; i < PQntuples(reader->partitions); i++) {
        buf_printf(&sql, "%s SELECT %d, id FROM ", i > 0 ? " UNION ALL" : "", i);
        pg_quote_identifier(PQgetvalue(reader->partitions, i, 0), &sql);
    }
    buf_puts(&sql, COPY_END);
    if (buf_failed(&sql))
        return err_no_memory(err);
    int r = pg_copy_out(pg, buf_str(&sql), err);
    for (bool any = true; r == 0 && any;) {
        char *row = NULL;
        size_t len = 0;
        r = pg_copy_receive(pg, &row, &len, err);
        any = row != NULL;
        *ret_ok = *ret_ok && (r != 0 || !any || add_row(reader, row, len));
        PQfreemem(row);
    }
    return r;
}

/* *ret_whole: all of them. */
static int read_all(const struct catalog *catalog, struct pg *pg, const char *id, const char *table, uint64_t reading,
                    bool *ret_whole, struct err *err)
{
    struct known *known = catalog->known->known;
    const char *params[] = { table };
    auto_pg_result PGresult *partitions = NULL;
    bool ok = false;
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = pg_run(pg, ONE_STATE, err);
    if (r == 0)
        r = look(pg, id, table, known, reading, &ok, err);
    if (r == 0 && ok)
        r = pg_exec(pg, PARTITIONS, params, 1, &partitions, err);
    ok = ok && r == 0 && PQntuples(partitions) > 0;
    if (ok)
        r = read_rows(pg, &(struct reader){ .known = known, .reading = reading, .partitions = partitions }, &ok, err);
    pg_rollback(pg);
    *ret_whole = r == 0 && ok;
    return r;
}

int known_read(const struct catalog *catalog, struct pg *pg, const struct catalog_collection *collection,
               bool *ret_whole, struct err *err)
{
    struct known *known = catalog->known->known;
    char table[64];
    snprintf(table, sizeof(table), "pgstac._items_%" PRId64, collection->key);
    int64_t began_ms = time_mono_ms();
    uint64_t reading = known_begin_reading(known, collection->id);
    *ret_whole = false;
    if (reading == 0)
        return 0;
    struct err why = ERR_INIT;
    int r = read_all(catalog, pg, collection->id, table, reading, ret_whole, &why);
    known_end_reading(known, reading, *ret_whole, time_mono_ms() - began_ms);
    if (r == 0 || (r > 0 && !why.outage))
        return 0;
    *err = why;
    return r;
}
