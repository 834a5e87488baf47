/* database: a worker's connection to pgstac, with credentials from Secrets Manager or where libpq finds them. */
#ifndef PGSTAC_DATABASE_H
#define PGSTAC_DATABASE_H

#include "aws/aws.h"
#include "pgstac/pgstac.h"

struct database_options {         /* the texts are borrowed for as long as the database is open */
    const char *secret_arn;       /* ARN or name; NULL: libpq's environment, service and password files */
    const char *sslmode;          /* with secret_arn: in libpq's words */
    const char *sslrootcert;      /* with secret_arn: NULL or "": libpq's own default */
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
    struct database_secret secret; /* as it was last read */
};

/* `client`: for the secret; NULL where there is none. Both it and `stop_fd` are borrowed. */
int database_open(const struct database_options *options, struct aws_client *client, int stop_fd, struct database *ret,
                  struct err *err) must_check;
void database_close(struct database *database);

/*
 * Connects where there is no connection, to a server that can be written to. The secret is read anew each time: the
 * password may have been rotated, or the database may be another one now. Where it cannot be read, or not be used, what
 * it said before is tried. Without a secret libpq looks for everything itself. LATER, always an outage: no secret, no
 * server, refused, read-only, not a pgstac that we can load into.
 */
int database_connect(struct database *database, struct err *err) must_check;

/* After a result that was an outage: the next call connects anew. */
void database_give_up(struct database *database);

#endif
