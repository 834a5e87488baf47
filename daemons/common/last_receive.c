#include "common/last_receive.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/copy.h"
#include "common/log.h"
#include "sqs/envelope.h"

enum { LETTER_ROOM = 128 /* bytes that the least dead letter has more than a copy; there are about 70 */ };

void last_receive_count(struct sqs_messages *messages, size_t from)
{
    for (size_t i = from; i < messages->n; i++)
        messages->list[i].receive_count += copy_receives_before(&messages->list[i]);
}

/* ------------------------------------------------------------ sending anew */

struct copy {
    struct sqs_attribute attributes[SQS_ATTRIBUTES_MAX];
    char before[16], published_at[24];
};

/* Of some messages: which are sent anew, and what is settled of them. */
struct round {
    struct settlement *settlements;
    struct err *errors;
    struct copy *copies;
    struct sqs_send *sends;
    const struct sqs_message **sent; /* of each send */
    size_t n_settlements, n_sends;
};

static void round_clear(struct round *round)
{
    free(round->settlements);
    free(round->errors);
    free(round->copies);
    free(round->sends);
    free(round->sent);
}

static void add(struct sqs_send *send, struct copy *copy, const char *name, const char *type, const char *value)
{
    /* sqs_send only reads its attributes. */
    copy->attributes[send->n_attributes++] = (struct sqs_attribute){ .name = (char *)(uintptr_t)name,
                                                                     .type = (char *)(uintptr_t)type,
                                                                     .value = (char *)(uintptr_t)value };
}

/* False: it cannot be sent anew. */
static bool write_copy(const struct sqs_message *message, int64_t max_size, struct copy *copy, struct sqs_send *ret)
{
    auto_envelope struct envelope envelope = { .payload = NULL };
    *ret = (struct sqs_send){ .body = message->body, .attributes = copy->attributes };
    for (size_t i = 0; i < message->n_attributes; i++) {
        const struct sqs_attribute *attribute = &message->attributes[i];
        if (copy_has_added(attribute->name))
            continue;
        if (ret->n_attributes + COPY_ATTRIBUTES == SQS_ATTRIBUTES_MAX)
            return false;
        add(ret, copy, attribute->name, attribute->type, attribute->value);
    }
    if (envelope_open(message, &envelope, NULL) != 0)
        return false;
    snprintf(copy->before, sizeof(copy->before), "%d", message->receive_count - 1);
    snprintf(copy->published_at, sizeof(copy->published_at), "%" PRId64, envelope.published_at_ms);
    add(ret, copy, COPY_RECEIVES_BEFORE, "Number", copy->before);
    add(ret, copy, COPY_SOURCE, "String", message->message_id);
    add(ret, copy, COPY_PUBLISHED_AT, "Number", copy->published_at);
    return (int64_t)sqs_send_size(ret) + LETTER_ROOM <= max_size;
}

/* What was sent is deleted, soon; the others are worked on as they are. */
static int send_copies(struct settler *settler, struct round *round, struct err *err)
{
    int r = sqs_send_many(settler_queue(settler), round->sends, round->n_sends, err);
    const struct err *refused = NULL;
    for (size_t i = 0; r == 0 && i < round->n_sends; i++) {
        if (round->sends[i].result == 0)
            round->settlements[round->n_settlements++] =
                (struct settlement){ .message = round->sent[i], .result = SETTLE_SENT_ANEW };
        else
            refused = &round->sends[i].err;
    }
    if (refused)
        log_write(LOG_WARNING, LOG_EVENT_WARNING, LOG_FIELDS({ "ERROR_CODE", refused->code }),
                  "on its last permitted receive a message could not be sent to its queue anew: if this service is "
                  "killed now, the queue moves it to the dead-letter queue without a reason: %s",
                  refused->text);
    return r == 0 ? settle(settler, round->settlements, round->n_settlements, err) : r;
}

/* ----------------------------------------------------- beyond the last one */

static void add_lost(struct round *round, const struct sqs_message *message)
{
    auto_envelope struct envelope envelope = { .payload = NULL };
    struct err *err = &round->errors[round->n_settlements];
    int result = err_never(err, "interrupted",
                           "no end of its last permitted receive has reached the queue: what worked on it was killed, "
                           "ran out of memory or went with its machine, maybe because of this message, or its "
                           "dead letter was refused then (see the log)");
    if (envelope_open(message, &envelope, NULL) != 0)
        envelope.published_at_ms = 0;
    round->settlements[round->n_settlements++] = (struct settlement){
        .message = message, .result = result, .err = err, .published_at_ms = envelope.published_at_ms
    };
}

static int bury_lost(struct settler *settler, struct round *round, const struct sqs_messages *messages, size_t from,
                     struct err *err)
{
    size_t before = round->n_settlements;
    for (size_t i = from; i < messages->n; i++)
        if (messages->list[i].receive_count > settler_queue_info(settler)->max_receive_count)
            add_lost(round, &messages->list[i]);
    return settle(settler, round->settlements + before, round->n_settlements - before, err);
}

/* -------------------------------------------------------------- both kinds */

static bool round_new(struct round *round, size_t n)
{
    round->settlements = calloc(n, sizeof(*round->settlements));
    round->errors = calloc(n, sizeof(*round->errors));
    round->copies = calloc(n, sizeof(*round->copies));
    round->sends = calloc(n, sizeof(*round->sends));
    round->sent = calloc(n, sizeof(*round->sent));
    return round->settlements && round->errors && round->copies && round->sends && round->sent;
}

static void add_last(const struct sqs_queue_info *info, struct round *round, const struct sqs_message *message)
{
    size_t i = round->n_sends;
    if (!write_copy(message, info->max_message_size, &round->copies[i], &round->sends[i]))
        return;
    round->sent[i] = message;
    round->n_sends++;
}

static bool may_be_moved_by_queue(const struct sqs_queue_info *info, const struct sqs_message *message)
{
    return info->dead_letter_arn && info->max_receive_count > 1 && copy_receives_before(message) == 0 &&
           message->receive_count == info->max_receive_count;
}

static bool is_settled(const struct round *round, const struct sqs_message *message)
{
    for (size_t i = 0; i < round->n_settlements; i++)
        if (round->settlements[i].message == message)
            return true;
    return false;
}

static void take_out(const struct round *round, struct sqs_messages *messages, size_t from)
{
    size_t kept = from;
    for (size_t i = from, n = messages->n; i < n; i++) {
        if (is_settled(round, &messages->list[i]))
            sqs_message_clear(&messages->list[i]);
        else
            messages->list[kept++] = messages->list[i];
    }
    messages->n = kept;
}

int last_receive_take_out(struct settler *settler, struct sqs_messages *messages, size_t from, struct err *err)
{
    const struct sqs_queue_info *info = settler_queue_info(settler);
    size_t n = 0;
    for (size_t i = from; i < messages->n; i++)
        n += messages->list[i].receive_count >= info->max_receive_count;
    if (n == 0)
        return 0;
    cleanup(round_clear) struct round round = { .n_sends = 0 };
    if (!round_new(&round, n))
        return err_no_memory(err);
    for (size_t i = from; i < messages->n; i++)
        if (may_be_moved_by_queue(info, &messages->list[i]))
            add_last(info, &round, &messages->list[i]);
    int r = send_copies(settler, &round, err);
    if (r == 0)
        r = bury_lost(settler, &round, messages, from, err);
    if (r == 0)
        take_out(&round, messages, from);
    return r;
}
