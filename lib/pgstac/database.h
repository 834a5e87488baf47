/*
 * database: a worker's connection to pgstac, with credentials from Secrets Manager or where libpq finds them.
 *
 * The connection is made when a call needs it, and closed after a call that met an outage: until the outage is over,
 * the caller waits and makes the same call again.
 */
#ifndef PGSTAC_DATABASE_H
#define PGSTAC_DATABASE_H

#include "aws/aws.h"
#include "pgstac/pgstac.h"

struct database_options {         /* the strings are borrowed while the database is open */
    const char *secret_arn;       /* ARN or name; NULL: libpq's environment, service and password files */
    const char *sslmode;          /* with secret_arn: one of libpq's */
    const char *sslrootcert;      /* with secret_arn: NULL or "": libpq's default */
    const char *application_name; /* shown in pg_stat_activity */
    int statement_timeout_ms, connect_timeout_ms;
    enum missing_collection missing_collection;
    struct known *known; /* shared by the process's connections, borrowed */
};

struct database_secret {
    struct buf host, port, dbname, username, password;
};

struct database {
    struct database_options options;
    struct aws_client *client;
    struct pgstac *pgstac;
    int64_t n_connections; /* made so far */
    bool has_secret;
    struct database_secret secret; /* as last read */
};

/* `client` reads the secret; NULL without secret_arn. It and `stop_fd` are borrowed. */
int database_open(const struct database_options *options, struct aws_client *client, int stop_fd, struct database *ret,
                  struct err *err) must_check;
void database_close(struct database *database);

/*
 * Connects, unless there is a connection, to a server that accepts writes.
 * - The secret is read again each time, because the password may have been rotated, or the database replaced. If it
 *   cannot be read or used, the secret as last read is tried.
 * - Without secret_arn, libpq finds host, user and password.
 * LATER, always an outage: no secret, no server, refused, read-only, not a pgstac that we can load into.
 */
int database_connect(struct database *database, struct err *err) must_check;

/*
 * Connect first if need be. Then as pgstac_load and pgstac_update_statistics; of a collection the result is in
 * `collection`, as of an item. LATER is always an outage, except of statistics.
 */
int database_load(struct database *database, struct pgstac_item *const *items, size_t n, struct err *err) must_check;
int database_load_collection(struct database *database, struct pgstac_item *collection, struct err *err) must_check;
int database_update_statistics(struct database *database, int interval_ms, struct err *err) must_check;

/* Closes the connection, if there is one. The next call opens another one. */
void database_disconnect(struct database *database);

#endif
