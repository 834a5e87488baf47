#include "worker/leases.h"

#include <pthread.h>
#include <time.h>

#include "base/time.h"
#include "daemon/log.h"
#include "worker/lease_table.h"

enum {
    LOG_AGAIN_MS = 60000, /* between two lines of the same kind */
    KINDS_MAX = 8,
};

struct leases {
    struct service *service;
    struct aws_client *client;
    struct sqs *sqs;

    pthread_mutex_t lock; /* for these */
    pthread_cond_t wake;  /* the thread: something is due earlier, or it is to stop */
    pthread_cond_t idle;  /* leases_end: a round is over */
    bool is_stopping;
    struct lease_table table;

    pthread_t thread;
    bool is_started;
    /* The thread's own. */
    struct lease_round round;
    struct kind {
        const char *code; /* a literal */
        int64_t next_at_ms;
    } logged[KINDS_MAX];
};

int leases_add(struct leases *leases, const struct sqs_message *const *messages, size_t n, struct err *err)
{
    int result = 0;
    pthread_mutex_lock(&leases->lock);
    size_t before = leases->table.n;
    int64_t next_at_ms = leases->table.next_at_ms;
    for (size_t i = 0; i < n && result == 0; i++)
        result = lease_table_add(&leases->table, messages[i]->receipt_handle, messages[i]->received_at_ms, err);
    service_counters(leases->service)->held += (int64_t)(leases->table.n - before);
    if (leases->table.next_at_ms < next_at_ms)
        pthread_cond_signal(&leases->wake);
    pthread_mutex_unlock(&leases->lock);
    return result;
}

void leases_end(struct leases *leases, const struct sqs_message *const *messages, size_t n)
{
    pthread_mutex_lock(&leases->lock);
    for (size_t i = 0; i < n; i++) {
        struct lease *lease;
        while ((lease = lease_table_find(&leases->table, messages[i]->receipt_handle)) && lease->is_renewing)
            pthread_cond_wait(&leases->idle, &leases->lock);
        if (!lease)
            continue;
        lease_table_remove(&leases->table, lease);
        service_counters(leases->service)->held--;
    }
    pthread_mutex_unlock(&leases->lock);
}

bool leases_is_ours(struct leases *leases, const struct sqs_message *message)
{
    pthread_mutex_lock(&leases->lock);
    const struct lease *lease = lease_table_find(&leases->table, message->receipt_handle);
    bool is_ours = lease && !lease->is_lost && time_mono_ms() < lease->ends_at_ms;
    pthread_mutex_unlock(&leases->lock);
    return is_ours;
}

size_t leases_count(struct leases *leases)
{
    pthread_mutex_lock(&leases->lock);
    size_t n = leases->table.n;
    pthread_mutex_unlock(&leases->lock);
    return n;
}

/* ------------------------------------------------------------ the thread */

/* One line a minute for each kind of failure. There are few kinds; any beyond KINDS_MAX share the last place. */
static void log_failure(struct leases *leases, const struct err *err)
{
    const char *code = err->code ? err->code : "unknown";
    if (strcmp(code, "interrupted") == 0)
        return;
    size_t i = 0;
    while (i + 1 < KINDS_MAX && leases->logged[i].code && strcmp(leases->logged[i].code, code) != 0)
        i++;
    struct kind *kind = &leases->logged[i];
    int64_t now_ms = time_mono_ms();
    if (kind->code && now_ms < kind->next_at_ms)
        return;
    *kind = (struct kind){ .code = code, .next_at_ms = now_ms + LOG_AGAIN_MS };
    log_write(LOG_WARNING, LOG_EVENT_HEARTBEAT_FAILED, LOG_FIELDS({ "ERROR_CODE", code }),
              "cannot renew the lease of a message, another consumer may receive it too: %s", err->text);
}

static void log_failures(struct leases *leases, int result, const struct err *err)
{
    const struct lease_round *round = &leases->round;
    if (round->n_expired > 0) {
        struct err expired = ERR_INIT;
        (void)err_never(&expired, "held_too_long", "its 12 hours are over, the longest that SQS permits");
        log_failure(leases, &expired);
    }
    if (result != 0)
        log_failure(leases, err);
    for (size_t i = 0; i < round->n && result == 0; i++)
        if (round->requests[i].result != 0)
            log_failure(leases, &round->requests[i].err);
}

static void *renew(void *context)
{
    struct leases *leases = context;
    struct lease_round *round = &leases->round;
    pthread_mutex_lock(&leases->lock);
    while (!leases->is_stopping) {
        int64_t now_ms = time_mono_ms(), at_ms = leases->table.next_at_ms;
        if (now_ms < at_ms) {
            struct timespec deadline = { .tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000 };
            if (at_ms == INT64_MAX)
                pthread_cond_wait(&leases->wake, &leases->lock);
            else
                pthread_cond_timedwait(&leases->wake, &leases->lock, &deadline);
            continue;
        }
        lease_table_begin_round(&leases->table, now_ms, round);
        struct err err = ERR_INIT;
        int result = 0;
        if (round->n > 0) {
            pthread_mutex_unlock(&leases->lock);
            result = sqs_change_visibility_many(leases->sqs, round->requests, round->n, &err);
            pthread_mutex_lock(&leases->lock);
        }
        size_t n = lease_table_end_round(&leases->table, round, result, now_ms, time_mono_ms());
        service_counters(leases->service)->heartbeats += (int64_t)n;
        pthread_cond_broadcast(&leases->idle);
        log_failures(leases, result, &err);
    }
    pthread_mutex_unlock(&leases->lock);
    return NULL;
}

/* ------------------------------------------------------------ start and stop */

static void init_locks(struct leases *leases)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&leases->lock, NULL);
    pthread_cond_init(&leases->wake, &monotonic);
    pthread_cond_init(&leases->idle, NULL);
    pthread_condattr_destroy(&monotonic);
}

static int start(struct leases *leases, const struct leases_options *options, struct err *err)
{
    int result = aws_client_new(options->aws, service_abort_fd(options->service), &leases->client, err);
    if (result == 0)
        result = sqs_new(leases->client, options->queue_url, &leases->sqs, err);
    if (result != 0)
        return result;
    int error = pthread_create(&leases->thread, NULL, renew, leases);
    if (error != 0)
        return err_fatal(err, error, "cannot start the thread of the heartbeats");
    pthread_setname_np(leases->thread, "heartbeats");
    leases->is_started = true;
    return 0;
}

int leases_start(const struct leases_options *options, struct leases **ret, struct err *err)
{
    struct leases *leases = calloc(1, sizeof(*leases));
    if (!leases)
        return err_no_memory(err);
    leases->service = options->service;
    lease_table_init(&leases->table, (int64_t)options->visibility_s * 1000);
    init_locks(leases);
    int result = start(leases, options, err);
    if (result != 0)
        leases_stop(leases);
    else
        *ret = leases;
    return result;
}

void leases_stop(struct leases *leases)
{
    if (!leases)
        return;
    pthread_mutex_lock(&leases->lock);
    leases->is_stopping = true;
    pthread_cond_signal(&leases->wake);
    pthread_mutex_unlock(&leases->lock);
    if (leases->is_started)
        pthread_join(leases->thread, NULL);
    service_counters(leases->service)->held -= (int64_t)leases->table.n;
    lease_table_clear(&leases->table);
    sqs_free(leases->sqs);
    aws_client_free(leases->client);
    pthread_cond_destroy(&leases->wake);
    pthread_cond_destroy(&leases->idle);
    pthread_mutex_destroy(&leases->lock);
    free(leases);
}
