/* database: a worker's connection to pgstac, with credentials from Secrets Manager or where libpq finds them. */
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

/* Closes the connection after a result that was an outage. database_connect then opens another one. */
void database_give_up(struct database *database);

#endif
