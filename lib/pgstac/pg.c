#include "pgstac/pg.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"

struct pg {
    PGconn *conn;
    struct pg_options options;
    struct buf infos;
};

/* A part of a COPY that is small enough for libpq to buffer beside it. */
enum { COPY_CHUNK = 64 * 1024 };

enum { INFOS_MAX = 4096 };

enum { PARTING_WORDS_MAX = 8 }; /* reads of what a server said to an idle connection */

/* Others are not kept: pgstac raises NOTICE for each of its steps. */
static void keep_info(void *context, const PGresult *result)
{
    struct pg *pg = context;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (severity && strcmp(severity, "INFO") == 0 && text && pg->infos.len + strlen(text) < INFOS_MAX)
        buf_printf(&pg->infos, "%s\n", text);
}

const char *pg_infos(const struct pg *pg)
{
    return buf_str(&pg->infos);
}

/* ------------------------------------------------------------------ errors */

static const char *const outage_states[] = {
    "08",    /* connection exceptions */
    "25006", /* read-only transaction: a standby after a failover */
    "28",    /* authorization */
    "3D",    /* no such database */
    "42",    /* permissions, undefined functions: all messages would meet it alike */
    "53",    /* disk full, out of memory, too many connections */
    "57P",   /* shutting down, starting up, dropped */
    "58",    /* input/output errors */
    "XX001", /* corrupted; XX000 is what PostGIS says to a geometry it dislikes */
    "XX002",
};

static const char *const conflict_states[] = {
    "40",                      /* serialization failures, deadlocks */
    "55006", "55P03", "23503", /* the collection went away */
};

static const char *const partition_states[] = {
    "42P01", /* it is being made, or was dropped by a repartition */
    "23514", /* its range is being widened */
};

/* Objects that went or changed under a statement: internal errors to PostgreSQL, whose texts for them are not
 * translated. */
static const char *const conflict_texts[] = { "tuple concurrently updated", "tuple concurrently deleted",
                                              "could not open relation with OID", "cache lookup failed for" };

static bool has_prefix(const char *state, const char *const *prefixes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(state, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static bool is_conflict(const char *state, const char *message)
{
    if (has_prefix(state, conflict_states, N_ELEMENTS(conflict_states)))
        return true;
    for (size_t i = 0; strcmp(state, "XX000") == 0 && i < N_ELEMENTS(conflict_texts); i++)
        if (strstr(message, conflict_texts[i]))
            return true;
    return false;
}

/* A message of several lines (the first says what, further ones, which libpq indents, where) as one. */
static void put_lines(struct buf *ret, const char *message)
{
    for (const char *at = message; *at; at++)
        if (*at != '\n' && *at != '\t')
            buf_putc(ret, *at);
        else if (*at == '\n' && at[1])
            buf_puts(ret, "; ");
}

static int lost(const char *message, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    put_lines(&text, message);
    return err_outage(err, "database_unavailable", "lost the database: %s", buf_str(&text));
}

int pg_judge(const char *state, const char *message, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    put_lines(&text, message);
    if (strcmp(state, "57014") == 0)
        return err_later(err, "database_timeout", "%s (SQLSTATE %s)", buf_str(&text), state);
    if (has_prefix(state, partition_states, N_ELEMENTS(partition_states)))
        return err_later(err, "partition_unavailable", "%s (SQLSTATE %s)", buf_str(&text), state);
    if (is_conflict(state, message))
        return err_later(err, "database_conflict", "%s (SQLSTATE %s)", buf_str(&text), state);
    if (has_prefix(state, outage_states, N_ELEMENTS(outage_states)))
        return err_outage(err, "database_refused", "%s (SQLSTATE %s)", buf_str(&text), state);
    return err_never(err, "database_rejected", "%s (SQLSTATE %s)", buf_str(&text), state);
}

static int failed(const struct pg *pg, const char *message, const char *state, struct err *err)
{
    return pg_is_usable(pg) && state && *state ? pg_judge(state, message, err) : lost(message, err);
}

/* What the server said to a statement, or what libpq said where it said nothing. */
static int result_failed(const struct pg *pg, const PGresult *result, struct err *err)
{
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    auto_buf struct buf text = BUF_INIT;
    buf_puts(&text, primary ? primary : PQresultErrorMessage(result));
    if (detail)
        buf_printf(&text, "\n%s", detail);
    /* It ends the session, whatever its state: an idle limit's 25P03 says nothing against a row. */
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
        return lost(buf_str(&text), err);
    return failed(pg, buf_str(&text), PQresultErrorField(result, PG_DIAG_SQLSTATE), err);
}

static int waited_in_vain(struct pg *pg, enum wait_result waited, struct err *err)
{
    /* The exchange is broken off in the middle: nothing else can be said on this connection. */
    PQfinish(pg->conn);
    pg->conn = NULL;
    if (waited == WAIT_STOPPED)
        return err_outage(err, "interrupted", "interrupted while waiting for the database");
    return err_outage(err, "database_unavailable", "the database did not answer within %d s",
                      pg->options.call_timeout_ms / 1000);
}

/* -------------------------------------------------------------- connecting */

/*
 * The SQLSTATE of a refused connection, for which libpq has no function: verbose messages show it behind the severity
 * ("FATAL:  28P01: ..."), whatever their language. Of several hosts the last one's; "" where no server answered.
 */
static void connect_state(const char *message, char ret[6])
{
    ret[0] = '\0';
    for (const char *at = message; (at = strstr(at, ":  ")); at += 3)
        if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[8] == ':')
            snprintf(ret, 6, "%.5s", at + 3);
}

static int connect_failed(const struct pg *pg, struct err *err)
{
    static const char *const refusals[] = { "28", "3D000" };
    char *message = PQerrorMessage(pg->conn);
    char state[6];
    connect_state(message, state);
    auto_buf struct buf text = BUF_INIT;
    char *location = strstr(message, "\nLOCATION:"); /* of the server's source */
    if (location)
        *location = '\0';
    put_lines(&text, message);
    if (has_prefix(state, refusals, N_ELEMENTS(refusals)) || PQconnectionNeedsPassword(pg->conn))
        return err_outage(err, "database_auth", "%s", buf_str(&text));
    return err_outage(err, "database_unavailable", "%s", buf_str(&text));
}

/* The environment (PGCLIENTENCODING) or the role may ask for another. */
static int use_utf8(struct pg *pg, struct err *err)
{
    const char *encoding = PQparameterStatus(pg->conn, "client_encoding");
    return encoding && strcmp(encoding, "UTF8") == 0 ? 0 : pg_run(pg, "SET client_encoding TO 'UTF8'", err);
}

int pg_connect(const struct pg_options *options, const char *const *keywords, const char *const *values,
               struct pg **ret, struct err *err)
{
    struct pg *pg = calloc(1, sizeof(*pg));
    if (!pg)
        return err_no_memory(err);
    pg->options = *options;
    pg->conn = PQconnectStartParams(keywords, values, 0);
    if (!pg->conn) {
        pg_free(pg);
        return err_no_memory(err);
    }
    PQsetErrorVerbosity(pg->conn, PQERRORS_VERBOSE);
    int64_t deadline_ms = time_mono_ms() + options->connect_timeout_ms;
    PostgresPollingStatusType polling = PGRES_POLLING_WRITING;
    while (PQstatus(pg->conn) != CONNECTION_BAD && polling != PGRES_POLLING_OK && polling != PGRES_POLLING_FAILED) {
        short events = polling == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        enum wait_result waited = wait_fd(PQsocket(pg->conn), events, options->stop_fd, deadline_ms);
        if (waited != WAIT_READY) {
            pg_free(pg);
            if (waited == WAIT_STOPPED)
                return err_outage(err, "interrupted", "interrupted while connecting to the database");
            return err_outage(err, "database_unavailable", "no connection within %d s",
                              options->connect_timeout_ms / 1000);
        }
        polling = PQconnectPoll(pg->conn);
    }
    if (PQstatus(pg->conn) != CONNECTION_OK || PQsetnonblocking(pg->conn, 1) != 0) {
        int r = connect_failed(pg, err);
        pg_free(pg);
        return r;
    }
    PQsetErrorVerbosity(pg->conn, PQERRORS_DEFAULT);
    PQsetNoticeReceiver(pg->conn, keep_info, pg);
    int r = use_utf8(pg, err);
    if (r != 0) {
        pg_free(pg);
        return r;
    }
    *ret = pg;
    return 0;
}

void pg_free(struct pg *pg)
{
    if (!pg)
        return;
    PQfinish(pg->conn);
    buf_clear(&pg->infos);
    free(pg);
}

bool pg_is_usable(const struct pg *pg)
{
    return pg && PQstatus(pg->conn) == CONNECTION_OK;
}

bool pg_is_alive(struct pg *pg)
{
    /* What was said meanwhile (a farewell, settings that changed), then the end behind it. */
    for (int i = 0; i < PARTING_WORDS_MAX && pg_is_usable(pg); i++) {
        if (wait_fd(PQsocket(pg->conn), POLLIN, -1, 0) != WAIT_READY)
            return true;
        if (PQconsumeInput(pg->conn))
            (void)PQisBusy(pg->conn); /* looks at it */
    }
    return pg_is_usable(pg);
}

/* --------------------------------------------------------------- statements */

/* Sends what libpq has buffered. */
static int flush(struct pg *pg, int64_t deadline_ms, struct err *err)
{
    for (;;) {
        int left = PQflush(pg->conn);
        if (left == 0)
            return 0;
        if (left < 0)
            return failed(pg, PQerrorMessage(pg->conn), NULL, err);
        enum wait_result waited = wait_fd(PQsocket(pg->conn), POLLIN | POLLOUT, pg->options.stop_fd, deadline_ms);
        if (waited != WAIT_READY)
            return waited_in_vain(pg, waited, err);
        /* The server may be blocked on its own output: read while writing. */
        if (!PQconsumeInput(pg->conn))
            return failed(pg, PQerrorMessage(pg->conn), NULL, err);
    }
}

/* The next result, or NULL in *ret where there is none any more. */
static int next_result(struct pg *pg, int64_t deadline_ms, PGresult **ret, struct err *err)
{
    while (PQisBusy(pg->conn)) {
        enum wait_result waited = wait_fd(PQsocket(pg->conn), POLLIN, pg->options.stop_fd, deadline_ms);
        if (waited != WAIT_READY)
            return waited_in_vain(pg, waited, err);
        if (!PQconsumeInput(pg->conn))
            return failed(pg, PQerrorMessage(pg->conn), NULL, err);
    }
    *ret = PQgetResult(pg->conn);
    return 0;
}

/* Reads all results of what was sent; the last with rows goes to `ret`, the first failure decides. */
static int finish(struct pg *pg, int64_t deadline_ms, PGresult **ret, struct err *err)
{
    auto_pg_result PGresult *rows = NULL;
    int result = 0;
    for (;;) {
        auto_pg_result PGresult *next = NULL;
        int r = next_result(pg, deadline_ms, &next, err);
        if (r != 0)
            return r;
        if (!next)
            break;
        ExecStatusType status = PQresultStatus(next);
        if (status == PGRES_TUPLES_OK) {
            PQclear(rows);
            rows = TAKE(next);
        } else if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) {
            return 0; /* the caller sends or receives data now */
        } else if (status != PGRES_COMMAND_OK && result == 0) {
            result = result_failed(pg, next, err);
        }
    }
    if (result == 0 && ret)
        *ret = TAKE(rows);
    return result;
}

static int64_t call_deadline(const struct pg *pg)
{
    return time_mono_ms() + pg->options.call_timeout_ms;
}

static int not_connected(struct err *err)
{
    return err_outage(err, "database_unavailable", "not connected to the database");
}

int pg_exec(struct pg *pg, const char *sql, const char *const *params, int n_params, PGresult **ret, struct err *err)
{
    if (!pg_is_usable(pg))
        return not_connected(err);
    buf_reset(&pg->infos);
    int64_t deadline_ms = call_deadline(pg);
    if (!PQsendQueryParams(pg->conn, sql, n_params, NULL, params, NULL, NULL, 0))
        return failed(pg, PQerrorMessage(pg->conn), NULL, err);
    int r = flush(pg, deadline_ms, err);
    return r != 0 ? r : finish(pg, deadline_ms, ret, err);
}

int pg_run(struct pg *pg, const char *sql, struct err *err)
{
    if (!pg_is_usable(pg))
        return not_connected(err);
    int64_t deadline_ms = call_deadline(pg);
    if (!PQsendQuery(pg->conn, sql))
        return failed(pg, PQerrorMessage(pg->conn), NULL, err);
    int r = flush(pg, deadline_ms, err);
    return r != 0 ? r : finish(pg, deadline_ms, NULL, err);
}

int pg_exec_all(struct pg *pg, const char *sql, PGresult **ret, size_t n, struct err *err)
{
    if (!pg_is_usable(pg))
        return not_connected(err);
    if (!PQsendQuery(pg->conn, sql))
        return failed(pg, PQerrorMessage(pg->conn), NULL, err);
    int r = flush(pg, call_deadline(pg), err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        /* Each has its own statement_timeout at the server. */
        r = next_result(pg, call_deadline(pg), &ret[i], err);
        if (r == 0 && ret[i] && PQresultStatus(ret[i]) != PGRES_TUPLES_OK && PQresultStatus(ret[i]) != PGRES_COMMAND_OK)
            r = result_failed(pg, ret[i], err);
    }
    int ended = pg->conn ? finish(pg, call_deadline(pg), NULL, r == 0 ? err : NULL) : 0;
    return r != 0 ? r : ended;
}

int pg_copy_send(struct pg *pg, struct buf *data, struct err *err)
{
    if (buf_failed(data))
        return err_no_memory(err);
    if (!pg_is_usable(pg))
        return not_connected(err);
    int64_t deadline_ms = call_deadline(pg);
    for (size_t at = 0; at < data->len; at += COPY_CHUNK) {
        size_t n = data->len - at < COPY_CHUNK ? data->len - at : COPY_CHUNK;
        /* In non-blocking mode 0 means that the buffers are full: flush makes room. */
        int sent = 0;
        while ((sent = PQputCopyData(pg->conn, data->data + at, (int)n)) == 0) {
            int r = flush(pg, deadline_ms, err);
            if (r != 0)
                return r;
        }
        if (sent < 0)
            return failed(pg, PQerrorMessage(pg->conn), NULL, err);
        int r = flush(pg, deadline_ms, err);
        if (r != 0)
            return r;
    }
    buf_reset(data);
    return 0;
}

int pg_copy_end(struct pg *pg, struct err *err)
{
    if (!pg_is_usable(pg))
        return not_connected(err);
    int64_t deadline_ms = call_deadline(pg);
    int ended = 0;
    while ((ended = PQputCopyEnd(pg->conn, NULL)) == 0) {
        int r = flush(pg, deadline_ms, err);
        if (r != 0)
            return r;
    }
    if (ended < 0)
        return failed(pg, PQerrorMessage(pg->conn), NULL, err);
    int r = flush(pg, deadline_ms, err);
    return r != 0 ? r : finish(pg, deadline_ms, NULL, err);
}

int pg_copy_out(struct pg *pg, const char *sql, struct err *err)
{
    return pg_run(pg, sql, err);
}

int pg_copy_receive(struct pg *pg, char **ret, size_t *ret_len, struct err *err)
{
    if (!pg_is_usable(pg))
        return not_connected(err);
    int64_t deadline_ms = call_deadline(pg);
    int len = 0;
    *ret = NULL;
    while ((len = PQgetCopyData(pg->conn, ret, 1)) == 0) {
        enum wait_result waited = wait_fd(PQsocket(pg->conn), POLLIN, pg->options.stop_fd, deadline_ms);
        if (waited != WAIT_READY)
            return waited_in_vain(pg, waited, err);
        if (!PQconsumeInput(pg->conn))
            return failed(pg, PQerrorMessage(pg->conn), NULL, err);
    }
    *ret_len = len > 0 ? (size_t)len : 0;
    return len > 0 ? 0 : finish(pg, deadline_ms, NULL, err);
}

void pg_rollback(struct pg *pg)
{
    if (!pg_is_usable(pg) || PQtransactionStatus(pg->conn) == PQTRANS_IDLE)
        return;
    if (pg_run(pg, "ROLLBACK", NULL) != 0 && pg->conn) {
        PQfinish(pg->conn);
        pg->conn = NULL;
    }
}
