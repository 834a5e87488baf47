#include "itemloadd/database.h"

#include "aws/secrets.h"
#include "base/json.h"

int database_open(const struct itemloadd_options *options, struct aws_client *client, int stop_fd, struct database *ret,
                  struct err *err)
{
    *ret = (struct database){ .options = options, .client = client };
    struct pgstac_options pgstac = {
        .stop_fd = stop_fd,
        .statement_timeout_ms = (int)options->statement_timeout_ms,
        .connect_timeout_ms = (int)options->connect_timeout_ms,
        .missing_collection = (enum missing_collection)options->missing_collection,
    };
    return pgstac_new(&pgstac, &ret->pgstac, err);
}

static void forget_secret(struct database *database)
{
    buf_clear(&database->host);
    buf_clear(&database->port);
    buf_clear(&database->dbname);
    buf_clear(&database->username);
    buf_clear(&database->password);
    database->has_secret = false;
}

void database_close(struct database *database)
{
    forget_secret(database);
    pgstac_free(database->pgstac);
    database->pgstac = NULL;
}

/* A string, or a number: some secrets have the port as one. */
static void read_key(const cJSON *secret, const char *key, struct buf *ret, struct buf *missing)
{
    const cJSON *member = json_get(secret, key);
    const char *text = cJSON_IsString(member) ? member->valuestring : json_number_text(member);
    if (text && *text)
        buf_puts(ret, text);
    else
        buf_printf(missing, "%s%s", missing->len ? ", " : "", key);
}

static void wipe_json(cJSON **json)
{
    for (cJSON *member = *json ? (*json)->child : NULL; member; member = member->next)
        if (member->valuestring)
            explicit_bzero(member->valuestring, strlen(member->valuestring));
    cJSON_Delete(*json);
}

static int fetch_secret(struct database *database, struct err *err)
{
    const char *secret_arn = database->options->secret_arn;
    auto_buf struct buf text = BUF_INIT;
    int r = secrets_get(database->client, secret_arn, &text, err);
    if (r != 0)
        return r;
    cleanup(wipe_json) cJSON *json = NULL;
    r = json_parse(buf_str(&text), text.len, &json, NULL);
    if (r < 0)
        return err_no_memory(err);
    if (r != 0 || !cJSON_IsObject(json))
        return err_outage(err, "bad_secret",
                          "secret %s is no JSON object with host, port, dbname, username and password", secret_arn);
    auto_buf struct buf missing = BUF_INIT;
    forget_secret(database);
    read_key(json, "host", &database->host, &missing);
    read_key(json, "port", &database->port, &missing);
    read_key(json, "dbname", &database->dbname, &missing);
    read_key(json, "username", &database->username, &missing);
    read_key(json, "password", &database->password, &missing);
    if (missing.len)
        return err_outage(err, "bad_secret", "secret %s lacks %s", secret_arn, buf_str(&missing));
    database->has_secret = true;
    return 0;
}

static int connect_with_secret(struct database *database, struct err *err)
{
    const struct itemloadd_options *options = database->options;
    const char *root = options->db_sslrootcert && *options->db_sslrootcert ? options->db_sslrootcert : NULL;
    const char *keywords[] = { "host",
                               "port",
                               "dbname",
                               "user",
                               "password",
                               "sslmode",
                               "application_name",
                               "client_encoding",
                               "keepalives_idle",
                               root ? "sslrootcert" : NULL,
                               NULL };
    const char *values[] = { buf_str(&database->host),
                             buf_str(&database->port),
                             buf_str(&database->dbname),
                             buf_str(&database->username),
                             buf_str(&database->password),
                             options->db_sslmode,
                             "itemloadd",
                             "UTF8",
                             "30",
                             root,
                             NULL };
    return pgstac_connect(database->pgstac, keywords, values, err);
}

int database_connect(struct database *database, struct err *err)
{
    if (pgstac_is_connected(database->pgstac))
        return 0;
    int r = database->has_secret ? 0 : fetch_secret(database, err);
    if (r == 0)
        r = connect_with_secret(database, err);
    if (r > 0) {
        database_give_up(database, err);
        err->outage = true;
        r = LATER;
    }
    return r;
}

void database_give_up(struct database *database, const struct err *err)
{
    pgstac_disconnect(database->pgstac);
    if (err_is(err, "database_auth"))
        forget_secret(database);
}
