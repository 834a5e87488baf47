/* database: a worker's connection to pgstac, with credentials from Secrets Manager. */
#ifndef ITEMLOADD_DATABASE_H
#define ITEMLOADD_DATABASE_H

#include "aws/aws.h"
#include "itemloadd/options.h"
#include "pgstac/pgstac.h"

struct database_secret {
    struct buf host, port, dbname, username, password;
};

struct database {
    const struct itemloadd_options *options;
    struct aws_client *client;
    struct pgstac *pgstac;
    bool has_secret;
    struct database_secret secret; /* as it was last read */
};

int database_open(const struct itemloadd_options *options, struct aws_client *client, int stop_fd, struct database *ret,
                  struct err *err) must_check;
void database_close(struct database *database);

/*
 * Connects where there is no connection, to a server that can be written to. The secret is read anew each time: the
 * password may have been rotated, or the database may be another one now. Where it cannot be read, or not be used, what
 * it said before is tried. LATER, always an outage: no secret, no server, refused, read-only, not a pgstac that we can
 * load into.
 */
int database_connect(struct database *database, struct err *err) must_check;

/* After a result that was an outage: the next call connects anew. */
void database_give_up(struct database *database);

#endif
