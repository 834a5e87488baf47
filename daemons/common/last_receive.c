#include "common/last_receive.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/num.h"
#include "common/dead_letter.h"
#include "common/log.h"
#include "sqs/envelope.h"

enum { ADDED = 3, RECEIVES_MAX = 1000 /* that a redrive policy can permit */ };

/* -1: it is no copy. */
static int receives_before(const struct sqs_message *message)
{
    const char *text = sqs_message_attribute(message, COPY_RECEIVES_BEFORE);
    int64_t value = 0;
    return text && num_parse_i64(text, 0, RECEIVES_MAX, &value, NULL) == 0 ? (int)value : -1;
}

void last_receive_count(struct sqs_messages *messages, size_t from)
{
    for (size_t i = from; i < messages->n; i++) {
        int before = receives_before(&messages->list[i]);
        messages->list[i].receive_count += before > 0 ? before : 0;
    }
}

/* ------------------------------------------------------------ sending anew */

struct copy {
    struct sqs_attribute attributes[SQS_ATTRIBUTES_MAX];
    char before[16], published_at[24];
};

/* What a renewal is about, side by side for each message: whether it is sent anew, how, and what is settled of it. */
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
        if (dead_letter_is_copys_own(attribute->name))
            continue;
        if (ret->n_attributes + ADDED == SQS_ATTRIBUTES_MAX)
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
    return (int64_t)sqs_send_size(ret) <= max_size;
}

/* Deleted is what was sent; the others are worked on as they are. */
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
    return r;
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

static void add_lost(struct round *round, const struct sqs_message *message)
{
    struct err *err = &round->errors[round->n_settlements];
    int result = err_never(err, "interrupted",
                           "what worked on it ended without a word on the last receive that the queue permits (killed, "
                           "out of memory, or with its machine), maybe because of this message");
    round->settlements[round->n_settlements++] =
        (struct settlement){ .message = message, .result = result, .err = err };
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
    return info->dead_letter_arn && info->max_receive_count > 1 && receives_before(message) < 0 &&
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
    for (size_t i = from; i < messages->n; i++) {
        const struct sqs_message *message = &messages->list[i];
        if (message->receive_count > info->max_receive_count)
            add_lost(&round, message);
        else if (may_be_moved_by_queue(info, message))
            add_last(info, &round, message);
    }
    int r = send_copies(settler, &round, err);
    if (r == 0)
        r = settle(settler, round.settlements, round.n_settlements, err);
    if (r == 0)
        take_out(&round, messages, from);
    return r;
}
