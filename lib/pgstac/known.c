#include "pgstac/known.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "base/time.h"
#include "pgstac/id_set.h"
#include "pgstac/witness.h"

enum {
    SLOTS_MAX = 1 << 23, /* of all collections: 64 MiB, 6 million ids */
    SLOTS_MIN = 1024,
    COLLECTIONS_MAX = 10000,
    WAIT_MS = 1000, /* for another thread's statement */
    BACKOFF_MAX = 6,
};

/* Until it has been measured: reading, and looking for a thousand items. */
enum { READ_ROWS_PER_MS = 2000, LOOK_ROWS_PER_MS = 4000, LOOK_PARTITIONS_PER_MS = 3 };
static const int64_t NEVER_READ = INT64_MAX;

enum state { UNKNOWN, READING, KNOWN };

struct collection {
    struct collection *next;
    char *id;
    enum state state;
    char *version;    /* of its row, as the witness has it; NULL while READING has not seen it */
    uint64_t reading; /* which one it is, or was */
    uint64_t horizon; /* what had ended before that was seen when the ids were read */
    struct id_set ids;
    char **partitions;
    size_t n_partitions, last_partition; /* the last one that was asked for */
    /* Is it worth it? */
    int64_t looked_ms, look_ms; /* looking in the database: since the ids were forgotten; the last time */
    int64_t read_ms;            /* what reading the ids took, or may take; NEVER_READ: there is no room */
    int64_t answers;            /* since they were read */
    int backoff;                /* how often they were forgotten before they had been worth it, in a row */
};

struct known {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct witness_ours ours;
    size_t n_locking, n_adding; /* sessions of these stages */
    uint64_t readings;          /* how many have begun */
    struct collection *collections;
    size_t n_collections;
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

/* Also while it is read: then it is found out at the end. */
static void forget(struct collection *collection)
{
    if (collection->state == KNOWN) {
        bool was_worth_it = collection->answers * collection->look_ms >= collection->read_ms;
        collection->backoff = was_worth_it ? 0 : collection->backoff + (collection->backoff < BACKOFF_MAX);
    }
    collection->state = UNKNOWN;
    collection->looked_ms = collection->answers = 0;
    free(TAKE(collection->version));
    collection->horizon = 0;
    id_set_clear(&collection->ids);
    for (size_t i = 0; i < collection->n_partitions; i++)
        free(collection->partitions[i]);
    free(TAKE(collection->partitions));
    collection->n_partitions = collection->last_partition = 0;
}

void known_free(struct known *known)
{
    if (!known)
        return;
    while (known->collections) {
        struct collection *next = known->collections->next;
        forget(known->collections);
        free(known->collections->id);
        free(known->collections);
        known->collections = next;
    }
    pthread_cond_destroy(&known->changed);
    pthread_mutex_destroy(&known->lock);
    free(known);
}

void known_forget(struct known *known)
{
    pthread_mutex_lock(&known->lock);
    for (struct collection *at = known->collections; at; at = at->next) {
        forget(at);
        at->read_ms = at->backoff = 0;
    }
    known->ours = (struct witness_ours){ .next = 0 };
    pthread_mutex_unlock(&known->lock);
}

static struct collection *find(const struct known *known, const char *id)
{
    for (struct collection *at = known->collections; at; at = at->next)
        if (strcmp(at->id, id) == 0)
            return at;
    return NULL;
}

static struct collection *remember(struct known *known, const char *id)
{
    struct collection *collection = find(known, id);
    if (collection || known->n_collections >= COLLECTIONS_MAX)
        return collection;
    collection = calloc(1, sizeof(*collection));
    if (!collection)
        return NULL;
    collection->id = strdup(id);
    if (!collection->id) {
        free(collection);
        return NULL;
    }
    collection->next = known->collections;
    known->collections = collection;
    known->n_collections++;
    return collection;
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

/* --------------------------------------------------------------- partitions */

static size_t partition_of(struct collection *collection, const char *name)
{
    if (collection->last_partition < collection->n_partitions &&
        strcmp(collection->partitions[collection->last_partition], name) == 0)
        return collection->last_partition;
    for (size_t i = 0; i < collection->n_partitions; i++)
        if (strcmp(collection->partitions[i], name) == 0)
            return collection->last_partition = i;
    return collection->n_partitions;
}

static bool add(struct collection *collection, const char *partition, const char *id)
{
    size_t number = partition_of(collection, partition);
    if (number == collection->n_partitions) {
        char **grown =
            number < ID_SET_PARTITIONS ? reallocarray(collection->partitions, number + 1, sizeof(*grown)) : NULL;
        if (!grown)
            return false;
        collection->partitions = grown;
        grown[number] = strdup(partition);
        if (!grown[number])
            return false;
        collection->last_partition = number;
        collection->n_partitions++;
    }
    return id_set_add(&collection->ids, id, number);
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
        struct collection *collection = find(known, PQgetvalue(before, i, WITNESS_ID));
        if (!collection || collection->state == UNKNOWN)
            continue;
        bool ours = collection->version && after &&
                    strcmp(collection->version, PQgetvalue(before, i, WITNESS_VERSION)) == 0 &&
                    witness_is_ours(before, i, &known->ours, collection->horizon) &&
                    /* Or one locked, and ended, between the question and our lock. */
                    !witness_others_ended(PQgetvalue(before, i, WITNESS_SNAPSHOT), after, &known->ours);
        if (!ours)
            forget(collection);
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
    struct collection *collection = find(known, id);
    if (collection && collection->state != UNKNOWN && !add(collection, partition, item_id)) {
        forget(collection);
        collection->read_ms = NEVER_READ;
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
    buf_printf(&sql, "BEGIN; SET LOCAL statement_timeout TO %d; SELECT %s%sWHERE c.id = ", timeout_ms, WITNESS_COLUMNS,
               WITNESS_FROM);
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
    const struct collection *collection = find(known, id);
    bool found = collection && collection->state == KNOWN;
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
    struct collection *collection = find(known, id);
    if (collection && collection->state == KNOWN &&
        (PQntuples(row) != 1 || strcmp(collection->version, PQgetvalue(row, 0, WITNESS_VERSION)) != 0 ||
         !witness_is_ours(row, 0, &known->ours, collection->horizon)))
        forget(collection);
    *ret_known = judged && collection && collection->state == KNOWN;
    if (*ret_known)
        collection->answers++;
    pthread_mutex_unlock(&known->lock);
    return 0;
}

bool known_is_elsewhere(struct known_session *session, const char *id, const char *partition, const char *item_id)
{
    struct known *known = session->known;
    pthread_mutex_lock(&known->lock);
    struct collection *collection = find(known, id);
    bool found = !collection || collection->state != KNOWN ||
                 id_set_is_elsewhere(&collection->ids, item_id, partition_of(collection, partition));
    pthread_mutex_unlock(&known->lock);
    return found;
}

/* ------------------------------------------------------------------ reading */

/* Looking once more would bring it to a quarter of what reading takes; twice that after each time it was in vain. */
static bool is_worth(const struct collection *collection)
{
    return collection->read_ms != NEVER_READ &&
           collection->looked_ms + collection->look_ms >= collection->read_ms / 4 * (1 << collection->backoff);
}

bool known_is_worth_reading(struct known_session *session, const char *id)
{
    struct known *known = session->known;
    pthread_mutex_lock(&known->lock);
    const struct collection *collection = remember(known, id);
    bool worth = collection && collection->state != READING && is_worth(collection);
    pthread_mutex_unlock(&known->lock);
    return worth;
}

void known_looked(struct known_session *session, const char *id, int64_t look_ms)
{
    struct known *known = session->known;
    pthread_mutex_lock(&known->lock);
    struct collection *collection = find(known, id);
    if (collection) {
        collection->look_ms = look_ms;
        collection->looked_ms += look_ms;
        /* In vain: for ids that are remembered where they have gone from. */
        if (collection->state == KNOWN && is_worth(collection))
            forget(collection);
    }
    pthread_mutex_unlock(&known->lock);
}

/* The room that the other collections leave, as a power of two. */
static size_t room_for(const struct known *known, const struct collection *collection)
{
    size_t used = 0, room = SLOTS_MAX;
    for (const struct collection *at = known->collections; at; at = at->next)
        if (at != collection)
            used += at->state == READING ? at->ids.max_slots : at->ids.n_slots;
    while (room >= SLOTS_MIN && room + used > SLOTS_MAX)
        room >>= 1;
    return room;
}

uint64_t known_begin_reading(struct known *known, const char *id)
{
    uint64_t reading = 0;
    pthread_mutex_lock(&known->lock);
    struct collection *collection = find(known, id);
    size_t room = room_for(known, collection);
    if (collection && collection->state != READING && room >= SLOTS_MIN) {
        int64_t looked_ms = collection->looked_ms;
        forget(collection);
        collection->looked_ms = looked_ms;
        id_set_init(&collection->ids, room);
        collection->state = READING;
        reading = collection->reading = ++known->readings;
        /* Those that have added theirs already, to nothing, and have not committed: they would be missed. */
        if (!wait_for_others(known, &known->n_adding) && collection->reading == reading) {
            forget(collection);
            reading = 0;
        }
    }
    pthread_mutex_unlock(&known->lock);
    return reading;
}

/* What is still being read, or NULL where it has been forgotten meanwhile. */
static struct collection *find_reading(const struct known *known, uint64_t reading)
{
    for (struct collection *at = known->collections; at; at = at->next)
        if (at->state == READING && at->reading == reading)
            return at;
    return NULL;
}

/* A small partition is read, in a large one each item takes a microsecond; planning takes longer than that. */
static int64_t look_estimate(const struct known_size *size)
{
    int64_t rows_ms = size->rows / LOOK_ROWS_PER_MS;
    return size->partitions / LOOK_PARTITIONS_PER_MS + (rows_ms < size->partitions ? rows_ms : size->partitions);
}

bool known_reading_is_worth_it(struct known *known, uint64_t reading, const struct known_size *size,
                               const char *version, uint64_t horizon)
{
    pthread_mutex_lock(&known->lock);
    struct collection *collection = find_reading(known, reading);
    bool worth = collection != NULL;
    if (worth) {
        bool has_room = (uint64_t)size->rows < collection->ids.max_slots / 4 * 3;
        collection->read_ms = has_room ? size->rows / READ_ROWS_PER_MS : NEVER_READ;
        if (collection->look_ms == 0)
            collection->look_ms = look_estimate(size);
        collection->version = strdup(version);
        collection->horizon = horizon;
        worth = is_worth(collection) && collection->version && horizon != 0;
    }
    pthread_mutex_unlock(&known->lock);
    return worth;
}

bool known_reading_add(struct known *known, uint64_t reading, const char *partition, const char *item_id)
{
    pthread_mutex_lock(&known->lock);
    struct collection *collection = find_reading(known, reading);
    bool ok = collection && add(collection, partition, item_id);
    if (collection && !ok)
        collection->read_ms = NEVER_READ;
    pthread_mutex_unlock(&known->lock);
    return ok;
}

void known_end_reading(struct known *known, uint64_t reading, bool whole, int64_t took_ms)
{
    pthread_mutex_lock(&known->lock);
    struct collection *collection = find_reading(known, reading);
    if (collection && whole) {
        collection->read_ms = took_ms;
        collection->looked_ms = 0;
        collection->state = KNOWN;
    } else if (collection) {
        int64_t looked_ms = collection->looked_ms;
        forget(collection);
        collection->looked_ms = collection->read_ms == NEVER_READ ? 0 : looked_ms;
    }
    pthread_mutex_unlock(&known->lock);
}
