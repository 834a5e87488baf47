#include "worker/leases.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#include "base/time.h"
#include "daemon/log.h"

enum {
    ROUND_MAX = 500, /* heartbeats of one call: leases_end may have to wait for it */
    RETRY_MS = 1000,
    SLACK_MAX_MS = 1000,  /* what is due so soon is done now: fewer and fuller requests */
    COMPLAINT_MS = 60000, /* between two lines of the same kind */
    KINDS_MAX = 8,
    BUCKETS_MIN = 256, /* a power of two, as are those it grows to */
};

struct entry {
    struct entry *next; /* in its bucket */
    int64_t due_at_ms;
    int64_t ends_at_ms; /* when SQS lets nobody hold it any longer */
    bool is_under_way;  /* a heartbeat for it: the thread has pointers to it */
    bool is_lost;
    char handle[];
};

struct complaint {
    const char *code; /* a literal */
    int64_t next_at_ms;
};

struct leases {
    struct service *service;
    int64_t visibility_ms;
    struct aws_client *client;
    struct sqs *sqs;

    pthread_mutex_t lock; /* of all below but the thread's own */
    pthread_cond_t wake;  /* the thread: something is due earlier, or stop */
    pthread_cond_t idle;  /* leases_end: a round is over */
    bool is_stopping;
    int64_t next_at_ms; /* when the thread looks at the table again */
    struct entry **buckets;
    size_t n_buckets;
    size_t n;

    pthread_t thread;
    bool is_started;
    /* The thread's own: what a round is about. */
    struct entry *round[ROUND_MAX];
    struct sqs_entry requests[ROUND_MAX];
    struct complaint complaints[KINDS_MAX];
};

/* FNV-1a. Handles come from SQS: nobody chooses them to collide. */
static uint64_t hash_of(const char *handle)
{
    uint64_t hash = 14695981039346656037U;
    for (const char *c = handle; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211U;
    return hash;
}

/* Where the pointer to the entry stands, or to NULL at the end of its bucket. */
static struct entry **find(struct leases *held, const char *handle)
{
    struct entry **at = &held->buckets[hash_of(handle) & (held->n_buckets - 1)];
    while (*at && strcmp((*at)->handle, handle) != 0)
        at = &(*at)->next;
    return at;
}

static int grow(struct leases *held, struct err *err)
{
    size_t n_buckets = held->n_buckets ? held->n_buckets * 2 : BUCKETS_MIN;
    struct entry **buckets = calloc(n_buckets, sizeof(*buckets));
    if (!buckets)
        return err_no_memory(err);
    for (size_t i = 0; i < held->n_buckets; i++) {
        for (struct entry *entry = held->buckets[i], *next; entry; entry = next) {
            struct entry **at = &buckets[hash_of(entry->handle) & (n_buckets - 1)];
            next = entry->next;
            entry->next = *at;
            *at = entry;
        }
    }
    free(held->buckets);
    held->buckets = buckets;
    held->n_buckets = n_buckets;
    return 0;
}

static int add(struct leases *held, const struct sqs_message *message, struct err *err)
{
    if (held->n == held->n_buckets) {
        int result = grow(held, err);
        if (result != 0)
            return result;
    }
    struct entry **at = find(held, message->receipt_handle);
    if (*at)
        return 0;
    size_t size = strlen(message->receipt_handle) + 1;
    struct entry *entry = calloc(1, sizeof(*entry) + size);
    if (!entry)
        return err_no_memory(err);
    memcpy(entry->handle, message->receipt_handle, size);
    entry->due_at_ms = message->received_at_ms + held->visibility_ms / 2;
    entry->ends_at_ms = message->received_at_ms + (int64_t)SQS_VISIBILITY_MAX_S * 1000;
    *at = entry;
    held->n++;
    service_counters(held->service)->held++;
    if (entry->due_at_ms < held->next_at_ms) {
        held->next_at_ms = entry->due_at_ms;
        pthread_cond_signal(&held->wake);
    }
    return 0;
}

int leases_add(struct leases *held, const struct sqs_message *const *messages, size_t n, struct err *err)
{
    int result = 0;
    pthread_mutex_lock(&held->lock);
    for (size_t i = 0; i < n && result == 0; i++)
        result = add(held, messages[i], err);
    pthread_mutex_unlock(&held->lock);
    return result;
}

void leases_end(struct leases *held, const struct sqs_message *const *messages, size_t n)
{
    pthread_mutex_lock(&held->lock);
    for (size_t i = 0; i < n; i++) {
        struct entry **at = find(held, messages[i]->receipt_handle);
        while (*at && (*at)->is_under_way) {
            pthread_cond_wait(&held->idle, &held->lock);
            at = find(held, messages[i]->receipt_handle);
        }
        struct entry *entry = *at;
        if (!entry)
            continue;
        *at = entry->next;
        free(entry);
        held->n--;
        service_counters(held->service)->held--;
    }
    pthread_mutex_unlock(&held->lock);
}

bool leases_is_ours(struct leases *held, const struct sqs_message *message)
{
    pthread_mutex_lock(&held->lock);
    const struct entry *entry = *find(held, message->receipt_handle);
    bool is_ours = entry && !entry->is_lost && time_mono_ms() < entry->ends_at_ms;
    pthread_mutex_unlock(&held->lock);
    return is_ours;
}

size_t leases_count(struct leases *held)
{
    pthread_mutex_lock(&held->lock);
    size_t n = held->n;
    pthread_mutex_unlock(&held->lock);
    return n;
}

/* A line a minute for each kind of failure; the kinds are few, and of the last one place is shared. */
static void complain(struct leases *held, const struct err *err)
{
    const char *code = err->code ? err->code : "unknown";
    if (strcmp(code, "interrupted") == 0)
        return;
    size_t i = 0;
    while (i + 1 < KINDS_MAX && held->complaints[i].code && strcmp(held->complaints[i].code, code) != 0)
        i++;
    struct complaint *complaint = &held->complaints[i];
    int64_t now_ms = time_mono_ms();
    if (complaint->code && now_ms < complaint->next_at_ms)
        return;
    *complaint = (struct complaint){ .code = code, .next_at_ms = now_ms + COMPLAINT_MS };
    log_write(LOG_WARNING, LOG_EVENT_HEARTBEAT_FAILED, LOG_FIELDS({ "ERROR_CODE", code }),
              "a held message cannot be kept invisible, another consumer may get it too: %s", err->text);
}

/* Takes the entry into the round, as its `i`-th. False: its 12 hours are over. */
static bool begin_heartbeat(struct leases *held, struct entry *entry, int64_t now_ms, size_t i)
{
    int64_t left_ms = entry->ends_at_ms - now_ms;
    int64_t ask_ms = held->visibility_ms < left_ms ? held->visibility_ms : left_ms;
    if (ask_ms < 1000) {
        entry->is_lost = true;
        struct err err = ERR_INIT;
        (void)err_never(&err, "held_too_long", "it has been held for 12 hours, longer than SQS allows");
        complain(held, &err);
        return false;
    }
    entry->is_under_way = true;
    held->round[i] = entry;
    held->requests[i] = (struct sqs_entry){ .receipt_handle = entry->handle, .visibility_s = (int)(ask_ms / 1000) };
    return true;
}

/* Gathers what is due, and sets when to look again. */
static size_t begin_round(struct leases *held, int64_t now_ms)
{
    int64_t slack_ms = held->visibility_ms / 10 < SLACK_MAX_MS ? held->visibility_ms / 10 : SLACK_MAX_MS;
    size_t n = 0;
    held->next_at_ms = INT64_MAX;
    for (size_t i = 0; i < held->n_buckets; i++) {
        for (struct entry *entry = held->buckets[i]; entry; entry = entry->next) {
            if (entry->is_lost)
                continue;
            if (entry->due_at_ms <= now_ms + slack_ms && n < ROUND_MAX)
                n += begin_heartbeat(held, entry, now_ms, n);
            else if (entry->due_at_ms < held->next_at_ms)
                held->next_at_ms = entry->due_at_ms;
        }
    }
    return n;
}

/* `result` is the call's: < 0 or as of each entry. */
static void end_round(struct leases *held, size_t n, int64_t sent_at_ms, int result, const struct err *err)
{
    size_t n_done = 0, n_again = 0;
    int64_t now_ms = time_mono_ms();
    for (size_t i = 0; i < n; i++) {
        struct entry *entry = held->round[i];
        const struct sqs_entry *request = &held->requests[i];
        entry->is_under_way = false;
        if (result == 0 && request->result == 0) {
            entry->due_at_ms = sent_at_ms + (int64_t)request->visibility_s * 1000 / 2;
            n_done++;
        } else {
            entry->is_lost = result == 0 && request->result == NEVER;
            n_again += !entry->is_lost;
            entry->due_at_ms = now_ms + RETRY_MS;
            complain(held, result == 0 ? &request->err : err);
        }
        if (!entry->is_lost && entry->due_at_ms < held->next_at_ms)
            held->next_at_ms = entry->due_at_ms;
    }
    /* Nothing came through: the others would not either. */
    if (n_done == 0 && n_again > 0 && held->next_at_ms < now_ms + RETRY_MS)
        held->next_at_ms = now_ms + RETRY_MS;
    service_counters(held->service)->heartbeats += (int64_t)n_done;
    pthread_cond_broadcast(&held->idle);
}

/* Under the lock. */
static void wait_until(struct leases *held, int64_t at_ms)
{
    struct timespec deadline = { .tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000 };
    if (at_ms == INT64_MAX)
        pthread_cond_wait(&held->wake, &held->lock);
    else
        pthread_cond_timedwait(&held->wake, &held->lock, &deadline);
}

static void *beat(void *context)
{
    struct leases *held = context;
    pthread_mutex_lock(&held->lock);
    while (!held->is_stopping) {
        int64_t now_ms = time_mono_ms();
        if (now_ms < held->next_at_ms) {
            wait_until(held, held->next_at_ms);
            continue;
        }
        size_t n = begin_round(held, now_ms);
        if (n == 0)
            continue;
        pthread_mutex_unlock(&held->lock);
        struct err err = ERR_INIT;
        int result = sqs_change_visibility_many(held->sqs, held->requests, n, &err);
        pthread_mutex_lock(&held->lock);
        end_round(held, n, now_ms, result, &err);
    }
    pthread_mutex_unlock(&held->lock);
    return NULL;
}

static void init_locks(struct leases *held)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&held->lock, NULL);
    pthread_cond_init(&held->wake, &monotonic);
    pthread_cond_init(&held->idle, NULL);
    pthread_condattr_destroy(&monotonic);
}

static int start(struct leases *held, const struct leases_options *options, struct err *err)
{
    int result = grow(held, err);
    if (result == 0)
        result = aws_client_new(options->aws, service_abort_fd(options->service), &held->client, err);
    if (result == 0)
        result = sqs_new(held->client, options->queue_url, &held->sqs, err);
    if (result != 0)
        return result;
    int error = pthread_create(&held->thread, NULL, beat, held);
    if (error != 0)
        return err_fatal(err, error, "cannot start the thread of the heartbeats");
    pthread_setname_np(held->thread, "heartbeats");
    held->is_started = true;
    return 0;
}

int leases_start(const struct leases_options *options, struct leases **ret, struct err *err)
{
    struct leases *held = calloc(1, sizeof(*held));
    if (!held)
        return err_no_memory(err);
    held->service = options->service;
    held->visibility_ms = (int64_t)options->visibility_s * 1000;
    held->next_at_ms = INT64_MAX;
    init_locks(held);
    int result = start(held, options, err);
    if (result != 0)
        leases_stop(held);
    else
        *ret = held;
    return result;
}

void leases_stop(struct leases *held)
{
    if (!held)
        return;
    pthread_mutex_lock(&held->lock);
    held->is_stopping = true;
    pthread_cond_signal(&held->wake);
    pthread_mutex_unlock(&held->lock);
    if (held->is_started)
        pthread_join(held->thread, NULL);
    for (size_t i = 0; i < held->n_buckets; i++) {
        for (struct entry *entry = held->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            free(entry);
        }
    }
    service_counters(held->service)->held -= (int64_t)held->n;
    free(held->buckets);
    sqs_free(held->sqs);
    aws_client_free(held->client);
    pthread_cond_destroy(&held->wake);
    pthread_cond_destroy(&held->idle);
    pthread_mutex_destroy(&held->lock);
    free(held);
}
