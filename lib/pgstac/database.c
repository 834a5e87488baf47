#include "pgstac/database.h"

#include "aws/secrets.h"
#include "base/json.h"

int database_open(const struct database_options *options, struct aws_client *client, int stop_fd, struct database *ret,
                  struct err *err)
{
    *ret = (struct database){ .options = *options, .client = client };
    struct pgstac_options pgstac = {
        .stop_fd = stop_fd,
        .statement_timeout_ms = options->statement_timeout_ms,
        .connect_timeout_ms = options->connect_timeout_ms,
        .missing_collection = options->missing_collection,
        .known = options->known,
    };
    return pgstac_new(&pgstac, &ret->pgstac, err);
}

static void clear_secret(struct database_secret *secret)
{
    buf_clear(&secret->host);
    buf_clear(&secret->port);
    buf_clear(&secret->dbname);
    buf_clear(&secret->username);
    buf_clear(&secret->password);
}

void database_close(struct database *database)
{
    clear_secret(&database->secret);
    database->has_secret = false;
    pgstac_free(database->pgstac);
    database->pgstac = NULL;
}

/* A string or a number: the port is a number in some secrets. */
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

static bool secret_failed(const struct database_secret *secret)
{
    return buf_failed(&secret->host) || buf_failed(&secret->port) || buf_failed(&secret->dbname) ||
           buf_failed(&secret->username) || buf_failed(&secret->password);
}

static int fetch_secret(struct database *database, struct err *err)
{
    const char *secret_arn = database->options.secret_arn;
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
                          "secret %s is not a JSON object with host, port, dbname, username and password", secret_arn);
    auto_buf struct buf missing = BUF_INIT;
    cleanup(clear_secret) struct database_secret secret = { .host = BUF_INIT };
    read_key(json, "host", &secret.host, &missing);
    read_key(json, "port", &secret.port, &missing);
    read_key(json, "dbname", &secret.dbname, &missing);
    read_key(json, "username", &secret.username, &missing);
    read_key(json, "password", &secret.password, &missing);
    if (missing.len)
        return err_outage(err, "bad_secret", "secret %s lacks %s", secret_arn, buf_str(&missing));
    if (secret_failed(&secret))
        return err_no_memory(err);
    clear_secret(&database->secret);
    database->secret = secret;
    secret = (struct database_secret){ .host = BUF_INIT };
    database->has_secret = true;
    return 0;
}

static int connect_with_secret(struct database *database, struct err *err)
{
    const struct database_options *options = &database->options;
    const char *root = options->sslrootcert && *options->sslrootcert ? options->sslrootcert : NULL;
    const char *keywords[] = { "host",
                               "port",
                               "dbname",
                               "user",
                               "password",
                               "sslmode",
                               "application_name",
                               "client_encoding",
                               "keepalives_idle",
                               "target_session_attrs",
                               root ? "sslrootcert" : NULL,
                               NULL };
    const char *values[] = { buf_str(&database->secret.host),
                             buf_str(&database->secret.port),
                             buf_str(&database->secret.dbname),
                             buf_str(&database->secret.username),
                             buf_str(&database->secret.password),
                             options->sslmode,
                             options->application_name,
                             "UTF8",
                             "30",
                             "read-write",
                             root,
                             NULL };
    return pgstac_connect(database->pgstac, keywords, values, err);
}

/* Host, user and the rest from PGHOST, PGSERVICE, ... */
static int connect_as_libpq(struct database *database, struct err *err)
{
    const char *keywords[] = { "fallback_application_name", "client_encoding", "keepalives_idle",
                               "target_session_attrs", NULL };
    const char *values[] = { database->options.application_name, "UTF8", "30", "read-write", NULL };
    return pgstac_connect(database->pgstac, keywords, values, err);
}

/* With the secret as it is now, or if it cannot be read, as last read. */
static int connect_by_secret(struct database *database, struct err *err)
{
    struct err secret_err = ERR_INIT;
    int fetched = fetch_secret(database, &secret_err);
    int r = fetched;
    if (fetched != 0)
        *err = secret_err;
    if (fetched == 0 || (fetched > 0 && database->has_secret))
        r = connect_with_secret(database, err);
    if (r > 0 && fetched != 0 && database->has_secret)
        err_prefix(err, "%.400s; trying the secret as last read", secret_err.text);
    return r;
}

int database_connect(struct database *database, struct err *err)
{
    if (pgstac_is_connected(database->pgstac))
        return 0;
    int r = database->options.secret_arn ? connect_by_secret(database, err) : connect_as_libpq(database, err);
    if (r == 0)
        database->n_connections++;
    if (r <= 0)
        return r;
    database_disconnect(database);
    err->outage = true;
    return LATER;
}

void database_disconnect(struct database *database)
{
    pgstac_disconnect(database->pgstac);
}

/* ---------------------------------------------------------- calls that connect */

static int after_call(struct database *database, int result, const struct err *err)
{
    if (result == LATER && err->outage)
        database_disconnect(database);
    return result;
}

int database_load(struct database *database, struct pgstac_item *const *items, size_t n, struct err *err)
{
    int r = database_connect(database, err);
    return r != 0 ? r : after_call(database, pgstac_load(database->pgstac, items, n, err), err);
}

int database_load_collection(struct database *database, struct pgstac_item *collection, struct err *err)
{
    int r = database_connect(database, err);
    if (r != 0)
        return r;
    r = after_call(database, pgstac_load_collection(database->pgstac, collection, err), err);
    if (r < 0 || (r == LATER && err->outage))
        return r;
    collection->result = r;
    if (r != 0)
        collection->err = *err;
    return 0;
}

int database_update_statistics(struct database *database, int interval_ms, struct err *err)
{
    int r = database_connect(database, err);
    return r != 0 ? r : after_call(database, pgstac_update_statistics(database->pgstac, interval_ms, err), err);
}
