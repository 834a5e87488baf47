#include "itemgend/publish/publisher.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "aws/sns.h"
#include "itemgend/publish/overflow.h"

enum { PULSE_MS = 300000 }; /* for a batch with its retries, and the retries of single items in it */

/* An item to publish, on the stack of the worker that waits for it. */
struct entry {
    struct sns_message message;
    size_t size;
    bool is_done; /* result and err are set */
    int result;
    struct err err;
    struct entry *next;
};

struct publisher {
    const struct itemgend_options *options;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a batch is done */
    /* Under the lock. */
    struct entry *waiting; /* in the order of arrival */
    struct entry **end;
    bool is_publishing;
};

int publisher_new(const struct itemgend_options *options, struct publisher **ret, struct err *err)
{
    struct publisher *publisher = calloc(1, sizeof(*publisher));
    if (!publisher)
        return err_no_memory(err);
    pthread_mutex_init(&publisher->lock, NULL);
    pthread_cond_init(&publisher->changed, NULL);
    publisher->options = options;
    publisher->end = &publisher->waiting;
    *ret = publisher;
    return 0;
}

void publisher_free(struct publisher *publisher)
{
    if (!publisher)
        return;
    pthread_cond_destroy(&publisher->changed);
    pthread_mutex_destroy(&publisher->lock);
    free(publisher);
}

/* Takes the first items off the list: at least one, and as many as fit into one call. */
static size_t take_batch(struct publisher *publisher, struct entry *ret[SNS_BATCH_MAX])
{
    size_t n = 0, size = 0;
    while (publisher->waiting && n < SNS_BATCH_MAX && (n == 0 || size + publisher->waiting->size <= SNS_MESSAGE_MAX)) {
        ret[n] = publisher->waiting;
        size += ret[n]->size;
        publisher->waiting = ret[n++]->next;
    }
    if (!publisher->waiting)
        publisher->end = &publisher->waiting;
    return n;
}

static void publish_batch(const struct publisher *publisher, struct aws_client *client, struct entry *const *batch,
                          size_t n)
{
    struct sns_message messages[SNS_BATCH_MAX];
    struct err err = ERR_INIT;
    for (size_t i = 0; i < n; i++)
        messages[i] = batch[i]->message;
    int r = sns_publish_many(client, publisher->options->load_topic_arn, messages, n, &err);
    for (size_t i = 0; i < n; i++) {
        batch[i]->result = r < 0 ? r : messages[i].result;
        batch[i]->err = r < 0 ? err : messages[i].err;
    }
}

/* Publishes the next batch. The lock is held, except during the call. */
static void publish_next_batch(struct publisher *publisher, struct aws_client *client)
{
    struct entry *batch[SNS_BATCH_MAX];
    size_t n = take_batch(publisher, batch);
    publisher->is_publishing = true;
    pthread_mutex_unlock(&publisher->lock);
    publish_batch(publisher, client, batch, n);
    pthread_mutex_lock(&publisher->lock);
    publisher->is_publishing = false;
    for (size_t i = 0; i < n; i++)
        batch[i]->is_done = true;
    pthread_cond_broadcast(&publisher->changed);
}

/* Waiting needs no deadline: the worker that publishes has one, and ends early when the service ends. */
static void publish_entry(struct publisher *publisher, struct aws_client *client, struct worker *worker,
                          struct entry *entry)
{
    pthread_mutex_lock(&publisher->lock);
    *publisher->end = entry;
    publisher->end = &entry->next;
    while (!entry->is_done) {
        service_pulse(worker, PULSE_MS);
        if (publisher->is_publishing)
            pthread_cond_wait(&publisher->changed, &publisher->lock);
        else
            publish_next_batch(publisher, client);
    }
    pthread_mutex_unlock(&publisher->lock);
}

static int too_large(const struct publication *publication, size_t size, struct err *err)
{
    return err_never(err, "item_too_large",
                     "item \"%.200s\" has %zu bytes, more than a message of SNS can have (%d); set overflow_bucket",
                     publication->item_id, size, SNS_MESSAGE_MAX);
}

int publisher_publish(struct publisher *publisher, struct aws_client *client, struct worker *worker,
                      const struct publication *publication, struct err *err)
{
    char published_at[24], payload_size[24];
    snprintf(published_at, sizeof(published_at), "%" PRId64, publication->published_at_ms);
    snprintf(payload_size, sizeof(payload_size), "%zu", publication->text->len);
    const struct sns_attribute attributes[] = {
        { .name = "published_at", .type = "Number", .value = published_at },
        { .name = "ExtendedPayloadSize", .type = "Number", .value = payload_size }, /* for pointers only */
    };
    struct entry entry = {
        .message = { .body = buf_str(publication->text), .attributes = attributes, .n_attributes = 1 },
    };
    auto_buf struct buf pointer = BUF_INIT;
    entry.size = sns_message_size(&entry.message);
    if (entry.size > SNS_MESSAGE_MAX) {
        const char *bucket = publisher->options->overflow_bucket;
        if (!bucket || !*bucket)
            return too_large(publication, entry.size, err);
        service_pulse(worker, 2 * PULSE_MS);
        int r = overflow_put(client, bucket, publication, &pointer, err);
        if (r != 0)
            return r;
        entry.message.body = buf_str(&pointer);
        entry.message.n_attributes = 2;
        entry.size = sns_message_size(&entry.message);
    }
    publish_entry(publisher, client, worker, &entry);
    if (entry.result != 0)
        *err = entry.err;
    return entry.result;
}
