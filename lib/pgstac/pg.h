/*
 * pg: libpq with every wait bounded, and its errors sorted into what they mean for a message.
 *
 * Results of the calls, with err filled:
 *     0
 *     LATER          a conflict with other sessions that passes (deadlock, lock or statement timeout, a partition being
 * made) LATER, outage  the server cannot be used by anybody: connection lost, shutting down, read-only, disk full,
 * refused NEVER          the data (or, in a batch, one row of it) cannot be stored After an error inside a transaction
 * the caller rolls back. pg_sqlstate tells more.
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

/* As PQconnectdbParams. LATER (outage): "database_unavailable", "database_auth" (28xxx: password or role refused). */
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
/* Several statements in one string, no parameters, no rows. */
int pg_run(struct pg *pg, const char *sql, struct err *err) must_check;
/* A COPY ... FROM STDIN with the whole of `data`. */
int pg_copy(struct pg *pg, const char *sql, const struct buf *data, struct err *err) must_check;
/* ROLLBACK after a failure; a lost connection stays lost. */
void pg_rollback(struct pg *pg);

bool pg_is_usable(const struct pg *pg);
/* The SQLSTATE of the last failure, "" where the server named none. */
const char *pg_sqlstate(const struct pg *pg);
/* Appends text[]'s literal form of the strings, for one parameter. */
void pg_array_add(struct buf *array, const char *text);
void pg_array_end(struct buf *array);
/* Appends the identifier, quoted. */
void pg_quote_identifier(const char *name, struct buf *ret);

#endif
