/*
 * pg: libpq with every wait bounded, and its errors sorted into what they mean for a message.
 *
 * A call returns 0, or with err filled:
 *   - LATER: it passes: "database_conflict" (deadlock, lock timeout, objects that change), "partition_unavailable"
 *     (being made, widened or dropped), "database_timeout" (the server's statement_timeout);
 *   - LATER with err->outage: nobody can use the server: "database_unavailable" (no connection, or no answer),
 *     "database_auth" (pg_connect only), "database_refused" (shutting down, read-only, disk full, no right to do this),
 *     "interrupted" (the stop descriptor);
 *   - NEVER, "database_rejected": the data, or in a batch one row of it, cannot be stored.
 * After an error inside a transaction the caller rolls back. Texts end with the SQLSTATE.
 */
#ifndef PGSTAC_PG_H
#define PGSTAC_PG_H

#include <libpq-fe.h>

#include "base/buf.h"
#include "base/err.h"

struct pg;

struct pg_options {
    int stop_fd; /* readable: the call ends with LATER "interrupted"; -1: none */
    int connect_timeout_ms;
    int call_timeout_ms; /* of a call whose server does not answer; longer than the server's statement_timeout */
};

/*
 * As PQconnectdbParams, both arrays ending with NULL. Strings are UTF-8 on the connection whatever the environment or
 * the role says. "database_auth" (outage): the server knows no such role, password or database, or lets it not in
 * (SQLSTATE 28xxx, 3D000), or asks for a password where none was given. The name lookup is libpq's: it blocks.
 */
int pg_connect(const struct pg_options *options, const char *const *keywords, const char *const *values,
               struct pg **ret, struct err *err) must_check;
void pg_free(struct pg *pg);

static inline void pg_clear_result(PGresult **result)
{
    PQclear(*result);
}
#define auto_pg_result cleanup(pg_clear_result)

/* One statement with text parameters (NULL: none given). `ret` may be NULL: rows are dropped. */
int pg_exec(struct pg *pg, const char *sql, const char *const *params, int n_params, PGresult **ret, struct err *err)
    must_check;
/*
 * `n` statements in one string, without parameters, in one round trip. ret[i] (cleared by the caller, NULL before) gets
 * what the i-th returns; the first failure ends them all.
 */
int pg_exec_all(struct pg *pg, const char *sql, PGresult **ret, size_t n, struct err *err) must_check;
/* Several statements in one string, no parameters, no rows. */
int pg_run(struct pg *pg, const char *sql, struct err *err) must_check;
/*
 * After a pg_run whose last statement is a COPY ... FROM STDIN: sends `data`, which is empty then; ends the COPY. After
 * a failure only pg_rollback.
 */
int pg_copy_send(struct pg *pg, struct buf *data, struct err *err) must_check;
int pg_copy_end(struct pg *pg, struct err *err) must_check;
/*
 * The messages of severity INFO that came with the last pg_exec, each with a line end: pgstac reports errors that it
 * caught this way. Cut at 4 KiB; valid until the next call.
 */
const char *pg_infos(const struct pg *pg);
/* The result, and err, of an error with this SQLSTATE and message, as if the server had raised it. */
int pg_judge(const char *state, const char *message, struct err *err) must_check;
/*
 * "COPY ... TO STDOUT": each call of pg_copy_receive gives a part (in the binary format a row, but the header with the
 * first and the trailer by itself), which the caller frees; NULL at the end. One that is not read to its end ends the
 * connection.
 */
int pg_copy_out(struct pg *pg, const char *sql, struct err *err) must_check;
int pg_copy_receive(struct pg *pg, char **ret, size_t *ret_len, struct err *err) must_check;
/* ROLLBACK after a failure; a lost connection stays lost. */
void pg_rollback(struct pg *pg);

bool pg_is_usable(const struct pg *pg);
/* Whether an idle connection is still there, as far as can be told without asking: who ends it mostly says so. */
bool pg_is_alive(struct pg *pg);
/* The row whose first column is `value`; -1: none. */
int pg_find_row(const PGresult *rows, const char *value);
/* Appends text[]'s literal form of the strings, for one parameter. */
void pg_array_add(struct buf *array, const char *text);
void pg_array_end(struct buf *array);
/* Appends the identifier or the string, quoted. */
void pg_quote_identifier(const char *name, struct buf *ret);
void pg_quote_literal(const char *text, struct buf *ret);

#endif
