#include "pgstac/known.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "base/time.h"
#include "pgstac/known_table.h"
#include "pgstac/witness.h"

enum { WAIT_MS = 1000 }; /* for another thread's statement */

struct known {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char server[128]; /* as the witness has it: where `ours` are ours; empty: not seen yet */
    struct witness_ours ours;
    size_t n_locking, n_adding; /* sessions of these stages */
    uint64_t readings;          /* how many have begun */
    struct known_table table;
};

int known_new(struct known **ret, struct err *err)
{
    struct known *known = calloc(1, sizeof(*known));
    if (!known)
        return err_no_memory(err);
    pthread_condattr_t monotonic;
    pthread_mutex_init(&known->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&known->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *ret = known;
    return 0;
}

void known_free(struct known *known)
{
    if (!known)
        return;
    known_table_clear(&known->table);
    pthread_cond_destroy(&known->changed);
    pthread_mutex_destroy(&known->lock);
    free(known);
}

static void forget_all(struct known *known)
{
    for (struct known_collection *at = known->table.collections; at; at = at->next) {
        known_collection_forget(at);
        at->read_ms = at->backoff = 0;
    }
    known->ours = (struct witness_ours){ .next = 0 };
}

void known_forget(struct known *known)
{
    pthread_mutex_lock(&known->lock);
    forget_all(known);
    pthread_mutex_unlock(&known->lock);
}

/* Behind a pooler a connection can lead to another server without ending. */
static void note_server(struct known *known, const PGresult *witness)
{
    if (PQntuples(witness) == 0 || strcmp(PQgetvalue(witness, 0, WITNESS_SERVER), known->server) == 0)
        return;
    forget_all(known);
    snprintf(known->server, sizeof(known->server), "%s", PQgetvalue(witness, 0, WITNESS_SERVER));
}

/* Until a count that others hold up is 0. False: it takes too long. */
static bool wait_for_others(struct known *known, const size_t *count)
{
    int64_t end_ms = time_mono_ms() + WAIT_MS;
    struct timespec end = { .tv_sec = end_ms / 1000, .tv_nsec = end_ms % 1000 * 1000000 };
    while (*count > 0)
        if (pthread_cond_timedwait(&known->changed, &known->lock, &end) != 0)
            return *count == 0;
    return true;
}

/* ------------------------------------------------------- a transaction of ours */

#define ASK_BEFORE "SELECT " WITNESS_COLUMNS ", pg_current_xact_id()::text" WITNESS_FROM "WHERE c.id = ANY($1)"
enum { BEFORE_XID = WITNESS_END };
#define ASK_AFTER "SELECT pg_current_snapshot()::text"

int known_before_lock(struct known_session *session, struct pg *pg, const char *ids, struct err *err)
{
    struct known *known = session->known;
    const char *params[] = { ids };
    int r = pg_exec(pg, ASK_BEFORE, params, 1, &session->before, err);
    if (r != 0)
        return r;
    int64_t xid = 0;
    if (PQntuples(session->before) > 0)
        r = num_parse_i64(PQgetvalue(session->before, 0, BEFORE_XID), 1, INT64_MAX, &xid, err);
    if (r != 0)
        return r;
    session->xid = (uint64_t)xid;
    pthread_mutex_lock(&known->lock);
    note_server(known, session->before);
    if (xid != 0) /* before its lock can be seen */
        witness_add_ours(&known->ours, session->xid);
    known->n_locking++;
    session->stage = KNOWN_LOCKING;
    pthread_mutex_unlock(&known->lock);
    return 0;
}

/* Of the rows that the witness spoke of: those that somebody else may have locked are forgotten. */
static void judge(struct known *known, const PGresult *before, const char *after)
{
    for (int i = 0; i < PQntuples(before); i++) {
        struct known_collection *collection = known_table_find(&known->table, PQgetvalue(before, i, WITNESS_ID));
        if (!collection || collection->state == KNOWN_NOTHING)
            continue;
        bool ours = collection->version && after &&
                    strcmp(collection->version, PQgetvalue(before, i, WITNESS_VERSION)) == 0 &&
                    witness_is_ours(before, i, &known->ours, collection->horizon) &&
                    /* Or one locked, and ended, between the question and our lock. */
                    !witness_others_ended(PQgetvalue(before, i, WITNESS_SNAPSHOT), after, &known->ours);
        if (!ours)
            known_collection_forget(collection);
    }
}

static void end_locking(struct known_session *session, const char *after, enum known_stage stage)
{
    struct known *known = session->known;
    pthread_mutex_lock(&known->lock);
    judge(known, session->before, after);
    known->n_locking--;
    session->stage = stage;
    pthread_cond_broadcast(&known->changed);
    pthread_mutex_unlock(&known->lock);
}

int known_after_lock(struct known_session *session, struct pg *pg, struct err *err)
{
    auto_pg_result PGresult *after = NULL;
    int r = pg_exec(pg, ASK_AFTER, NULL, 0, &after, err);
    end_locking(session, r == 0 ? PQgetvalue(after, 0, 0) : NULL, KNOWN_LOCKED);
    return r;
}

void known_will_add(struct known_session *session)
{
    pthread_mutex_lock(&session->known->lock);
    session->known->n_adding++;
    session->stage = KNOWN_ADDING;
    pthread_mutex_unlock(&session->known->lock);
}

void known_add(struct known_session *session, const char *id, const char *partition, const char *item_id)
{
    struct known *known = session->known;
    pthread_mutex_lock(&known->lock);
    struct known_collection *collection = known_table_find(&known->table, id);
    if (collection && collection->state != KNOWN_NOTHING && !known_collection_add(collection, partition, item_id)) {
        known_collection_forget(collection);
        collection->read_ms = KNOWN_NEVER;
    }
    pthread_mutex_unlock(&known->lock);
}

void known_end(struct known_session *session, bool sure)
{
    struct known *known = session->known;
    if (session->stage == KNOWN_LOCKING)
        end_locking(session, NULL, KNOWN_LOCKED);
    pthread_mutex_lock(&known->lock);
    if (session->stage == KNOWN_ADDING)
        known->n_adding--;
    /* It may be committed later, when the ids have been read again. */
    if (!sure && session->xid != 0)
        witness_remove_ours(&known->ours, session->xid);
    pthread_cond_broadcast(&known->changed);
    pthread_mutex_unlock(&known->lock);
    PQclear(TAKE(session->before));
    session->stage = KNOWN_IDLE;
    session->xid = 0;
}

/* ------------------------------------------------------------------- asking */

/* With a time limit, in one round trip. */
static int ask_witness(struct pg *pg, const char *collection, int timeout_ms, PGresult **ret, struct err *err)
{
    auto_buf struct buf sql = BUF_INIT;
    buf_printf(&sql, "BEGIN; SET LOCAL statement_timeout TO %d; SELECT %sWHERE c.id = ", timeout_ms,
               WITNESS_COLUMNS ", " WITNESS_ATTACHED WITNESS_FROM);
    pg_quote_literal(collection, &sql);
    buf_puts(&sql, "; COMMIT");
    if (buf_failed(&sql))
        return err_no_memory(err);
    PGresult *results[4] = { NULL };
    int r = pg_exec_all(pg, buf_str(&sql), results, N_ELEMENTS(results), err);
    if (r == 0)
        *ret = TAKE(results[2]);
    for (size_t i = 0; i < N_ELEMENTS(results); i++)
        PQclear(results[i]);
    return r;
}

static bool is_known(struct known *known, const char *id)
{
    pthread_mutex_lock(&known->lock);
    const struct known_collection *collection = known_table_find(&known->table, id);
    bool found = collection && collection->state == KNOWN_ALL;
    pthread_mutex_unlock(&known->lock);
    return found;
}

int known_ask(struct known_session *session, struct pg *pg, const char *id, int timeout_ms, bool *ret_known,
              struct err *err)
{
    struct known *known = session->known;
    *ret_known = false;
    if (!is_known(known, id))
        return 0;
    auto_pg_result PGresult *row = NULL;
    int r = ask_witness(pg, id, timeout_ms, &row, err);
    if (r != 0)
        return r;
    pthread_mutex_lock(&known->lock);
    /* A lock that another thread took before the answer: what the witness said before that is not judged yet. */
    bool judged = wait_for_others(known, &known->n_locking);
    note_server(known, row);
    struct known_collection *collection = known_table_find(&known->table, id);
    if (collection && collection->state == KNOWN_ALL &&
        (PQntuples(row) != 1 || strcmp(collection->version, PQgetvalue(row, 0, WITNESS_VERSION)) != 0 ||
         strcmp(collection->attached, PQgetvalue(row, 0, WITNESS_END)) != 0 ||
         !witness_is_ours(row, 0, &known->ours, collection->horizon)))
        known_collection_forget(collection);
    *ret_known = judged && collection && collection->state == KNOWN_ALL;
    if (*ret_known)
        collection->answers++;
    pthread_mutex_unlock(&known->lock);
    return 0;
}

bool known_is_elsewhere(struct known_session *session, const char *id, const char *partition, const char *item_id)
{
    struct known *known = session->known;
    pthread_mutex_lock(&known->lock);
    struct known_collection *collection = known_table_find(&known->table, id);
    bool found =
        !collection || collection->state != KNOWN_ALL || known_collection_is_elsewhere(collection, partition, item_id);
    pthread_mutex_unlock(&known->lock);
    return found;
}

/* ------------------------------------------------------------------ reading */

bool known_is_worth_reading(struct known_session *session, const char *id)
{
    struct known *known = session->known;
    pthread_mutex_lock(&known->lock);
    known_table_remember(&known->table, id);
    const struct known_collection *collection = known_table_find(&known->table, id);
    bool worth = collection && collection->state == KNOWN_NOTHING && known_collection_is_worth_reading(collection);
    pthread_mutex_unlock(&known->lock);
    return worth;
}

void known_looked(struct known_session *session, const char *id, int64_t look_ms)
{
    struct known *known = session->known;
    pthread_mutex_lock(&known->lock);
    struct known_collection *collection = known_table_find(&known->table, id);
    if (collection) {
        collection->look_ms = look_ms;
        collection->looked_ms += look_ms;
        /* In vain: for ids that are remembered where they have gone from. */
        if (collection->state == KNOWN_ALL && known_collection_is_worth_reading(collection))
            known_collection_forget(collection);
    }
    pthread_mutex_unlock(&known->lock);
}

uint64_t known_begin_reading(struct known *known, const char *id)
{
    uint64_t reading = 0;
    pthread_mutex_lock(&known->lock);
    struct known_collection *collection = known_table_find(&known->table, id);
    size_t room = known_table_room(&known->table, collection);
    if (collection && collection->state == KNOWN_NOTHING && room > 0) {
        id_set_init(&collection->ids, room);
        collection->state = KNOWN_READING;
        reading = collection->reading = ++known->readings;
        /* Those that have added theirs already, to nothing, and have not committed: they would be missed. */
        if (!wait_for_others(known, &known->n_adding) && collection->reading == reading) {
            known_collection_forget(collection);
            reading = 0;
        }
    }
    pthread_mutex_unlock(&known->lock);
    return reading;
}

bool known_reading_is_worth_it(struct known *known, uint64_t reading, const struct known_size *size,
                               const PGresult *witness)
{
    pthread_mutex_lock(&known->lock);
    note_server(known, witness);
    struct known_collection *collection = known_table_find_reading(&known->table, reading);
    bool worth = collection != NULL;
    if (worth) {
        known_collection_estimate(collection, size->rows, size->partitions);
        collection->version = strdup(PQgetvalue(witness, 0, WITNESS_VERSION));
        collection->attached = strdup(PQgetvalue(witness, 0, WITNESS_END));
        collection->horizon = witness_horizon(PQgetvalue(witness, 0, WITNESS_SNAPSHOT));
        worth = known_collection_is_worth_reading(collection) && collection->version && collection->attached &&
                collection->horizon != 0;
    }
    pthread_mutex_unlock(&known->lock);
    return worth;
}

bool known_reading_add(struct known *known, uint64_t reading, const char *partition, const char *item_id)
{
    pthread_mutex_lock(&known->lock);
    struct known_collection *collection = known_table_find_reading(&known->table, reading);
    bool ok = collection && known_collection_add(collection, partition, item_id);
    if (collection && !ok)
        collection->read_ms = KNOWN_NEVER;
    pthread_mutex_unlock(&known->lock);
    return ok;
}

void known_end_reading(struct known *known, uint64_t reading, bool whole, int64_t took_ms)
{
    pthread_mutex_lock(&known->lock);
    struct known_collection *collection = known_table_find_reading(&known->table, reading);
    if (collection && whole) {
        collection->read_ms = took_ms;
        collection->looked_ms = 0;
        collection->state = KNOWN_ALL;
    } else if (collection) {
        int64_t looked_ms = collection->looked_ms;
        known_collection_forget(collection);
        collection->looked_ms = collection->read_ms == KNOWN_NEVER ? 0 : looked_ms;
    }
    pthread_mutex_unlock(&known->lock);
}
