#include "worker/settle.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/backoff.h"
#include "base/time.h"
#include "worker/dead_letter.h"
#include "daemon/log.h"

struct settler {
    struct service *service;
    struct leases *held;
    struct sqs *queue, *dead_letters;
    struct sqs_queue_info info;
    int64_t dead_letter_max_size;
    int64_t backoff_min_ms, backoff_max_ms;
};

enum action {
    ACTION_DELETE,
    ACTION_WAIT,      /* invisible for a back-off */
    ACTION_GIVE_BACK, /* visible at once */
    ACTION_BURY,      /* dead-letter, then delete */
    ACTION_LEAVE,     /* it is no longer ours */
};

/* One message on its way. */
struct item {
    const struct settlement *settlement;
    enum action action;
    const char *code; /* why it was not done */
    const char *text;
    int visibility_s;   /* of ACTION_WAIT */
    bool is_buried;     /* the dead letter is sent; to be deleted */
    struct err failure; /* of burying it */
};

int settle_check_queue(const struct sqs_queue_info *info, const char *queue_url, const char *dead_letter_url,
                       struct err *err)
{
    if (dead_letter_url || info->dead_letter_arn)
        return 0;
    return err_never(err, "no_dead_letter_queue", "%s has no redrive policy: give it one, or set dead_letter_queue_url",
                     queue_url);
}

static int find_dead_letter_queue(struct settler *settler, const struct settler_options *options, struct err *err)
{
    auto_free char *url = NULL;
    int result = settle_check_queue(&settler->info, options->queue_url, options->dead_letter_url, err);
    if (result == 0 && !options->dead_letter_url) {
        result = sqs_url_from_arn(options->client, settler->info.dead_letter_arn, &url, err);
        if (result != 0)
            err_prefix(err, "the dead-letter queue %s", settler->info.dead_letter_arn);
    }
    if (result == 0)
        result = sqs_new(options->client, url ? url : options->dead_letter_url, &settler->dead_letters, err);
    struct sqs_queue_info info = { .dead_letter_arn = NULL };
    if (result == 0) {
        result = sqs_get_info(settler->dead_letters, &info, err);
        if (result != 0)
            err_prefix(err, "the dead-letter queue %s", sqs_queue_url(settler->dead_letters));
    }
    settler->dead_letter_max_size = info.max_message_size;
    sqs_queue_info_clear(&info);
    return result;
}

static int open_queues(struct settler *settler, const struct settler_options *options, struct err *err)
{
    int result = sqs_new(options->client, options->queue_url, &settler->queue, err);
    if (result == 0)
        result = sqs_get_info(settler->queue, &settler->info, err);
    if (result != 0) {
        err_prefix(err, "the queue %s", options->queue_url);
        return result;
    }
    return find_dead_letter_queue(settler, options, err);
}

int settler_new(const struct settler_options *options, struct settler **ret, struct err *err)
{
    struct settler *settler = calloc(1, sizeof(*settler));
    if (!settler)
        return err_no_memory(err);
    settler->service = options->service;
    settler->held = options->held;
    settler->backoff_min_ms = options->backoff_min_ms;
    settler->backoff_max_ms = options->backoff_max_ms;
    int result = open_queues(settler, options, err);
    if (result != 0)
        settler_free(settler);
    else
        *ret = settler;
    return result;
}

void settler_free(struct settler *settler)
{
    if (!settler)
        return;
    sqs_free(settler->queue);
    sqs_free(settler->dead_letters);
    sqs_queue_info_clear(&settler->info);
    free(settler);
}

struct sqs *settler_queue(struct settler *settler)
{
    return settler->queue;
}

int settler_attempts(const struct settler *settler)
{
    return settle_attempts(settler->info.max_receive_count);
}

int settle_attempts(int max_receive_count)
{
    if (max_receive_count == 0)
        return SETTLE_ATTEMPTS;
    return max_receive_count > 1 ? max_receive_count - 1 : 1;
}

int64_t settle_backoff_ms(int64_t min_ms, int64_t max_ms, int receive_count, double unit)
{
    return backoff_jitter_ms(backoff_ms(min_ms, 3, max_ms, receive_count), unit);
}

/* In whole seconds, from 1, within the 12 hours that SQS lets anybody hold a message. */
static int backoff_s(const struct settler *settler, const struct sqs_message *message)
{
    int64_t wait_ms =
        settle_backoff_ms(settler->backoff_min_ms, settler->backoff_max_ms, message->receive_count, random_unit());
    int64_t wait_s = (wait_ms + 999) / 1000;
    int64_t left_s = SQS_VISIBILITY_MAX_S - (time_mono_ms() - message->received_at_ms) / 1000 - 1;
    if (wait_s > left_s)
        wait_s = left_s;
    return wait_s < 1 ? 1 : (int)wait_s;
}

static void explain(struct item *item, const char *code, const char *text)
{
    item->code = code && *code ? code : "unknown";
    item->text = text && *text ? text : item->code;
}

static void decide(const struct settler *settler, struct item *item)
{
    const struct settlement *settlement = item->settlement;
    bool is_last = settlement->message->receive_count >= settler_attempts(settler);
    if (settlement->result == 0) {
        item->action = ACTION_DELETE;
        item->text = "done";
        return;
    }
    if (settlement->result == SETTLE_RETURN) {
        item->action = is_last ? ACTION_BURY : ACTION_GIVE_BACK;
        explain(item, "interrupted", is_last ? "the service stopped during the last attempt" : "the service stops");
    } else {
        item->action = settlement->result == NEVER || is_last ? ACTION_BURY : ACTION_WAIT;
        explain(item, settlement->err ? settlement->err->code : NULL, settlement->err ? settlement->err->text : NULL);
    }
    if (settler->held && !leases_is_ours(settler->held, settlement->message))
        item->action = ACTION_LEAVE;
    item->visibility_s = item->action == ACTION_WAIT ? backoff_s(settler, settlement->message) : 0;
}

/* What the dead-letter queue does not take stays in the queue. */
static void fail_to_bury(const struct settler *settler, struct item *item, const struct err *failure)
{
    item->failure = *failure;
    item->action = ACTION_WAIT;
    item->visibility_s = backoff_s(settler, item->settlement->message);
}

struct letters {
    struct dead_letter *list;
    struct sqs_send *sends;
    struct item **items;
    size_t n;
};

static void letters_clear(struct letters *letters)
{
    for (size_t i = 0; letters->list && i < letters->n; i++)
        dead_letter_clear(&letters->list[i]);
    free(letters->list);
    free(letters->sends);
    free(letters->items);
}

static int write_letter(const struct settler *settler, struct letters *letters, struct item *item, struct err *err)
{
    struct err failure = ERR_INIT;
    struct dead_letter_options options = {
        .message = item->settlement->message,
        .error_code = item->code,
        .error = item->text,
        .published_at_ms = item->settlement->published_at_ms,
        .failed_at_ms = time_now_ms(),
        .max_size = settler->dead_letter_max_size,
    };
    struct dead_letter *letter = &letters->list[letters->n];
    int result = dead_letter_build(&options, letter, &failure);
    if (result == 0) {
        letters->sends[letters->n] = letter->send;
        letters->items[letters->n++] = item;
        return 0;
    }
    dead_letter_clear(letter);
    if (result < 0)
        *err = failure;
    else
        fail_to_bury(settler, item, &failure);
    return result < 0 ? result : 0;
}

/* Sends the dead letters; an item is to be deleted after that, or to wait. */
static int bury(struct settler *settler, struct item *items, size_t n, struct err *err)
{
    size_t n_letters = 0;
    for (size_t i = 0; i < n; i++)
        n_letters += items[i].action == ACTION_BURY;
    if (n_letters == 0)
        return 0;
    cleanup(letters_clear) struct letters letters = {
        .list = calloc(n_letters, sizeof(*letters.list)),
        .sends = calloc(n_letters, sizeof(*letters.sends)),
        .items = calloc(n_letters, sizeof(letters.items[0])),
    };
    if (!letters.list || !letters.sends || !letters.items)
        return err_no_memory(err);
    int result = 0;
    for (size_t i = 0; i < n && result == 0; i++)
        if (items[i].action == ACTION_BURY)
            result = write_letter(settler, &letters, &items[i], err);
    if (result == 0)
        result = sqs_send_many(settler->dead_letters, letters.sends, letters.n, err);
    for (size_t i = 0; i < letters.n && result == 0; i++) {
        letters.items[i]->is_buried = letters.sends[i].result == 0;
        if (!letters.items[i]->is_buried)
            fail_to_bury(settler, letters.items[i], &letters.sends[i].err);
    }
    return result;
}

/* Makes the queue calls of one kind: all deletes, or all changes of visibility. */
static int act(struct settler *settler, struct item *items, size_t n, bool deletes, struct err *err)
{
    auto_free struct sqs_entry *entries = calloc(n, sizeof(*entries));
    auto_free struct item **owners = calloc(n, sizeof(struct item *));
    if (!entries || !owners)
        return err_no_memory(err);
    size_t n_entries = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_delete = items[i].action == ACTION_DELETE || items[i].is_buried;
        if (items[i].action == ACTION_LEAVE || is_delete != deletes)
            continue;
        owners[n_entries] = &items[i];
        entries[n_entries++] = (struct sqs_entry){ .receipt_handle = items[i].settlement->message->receipt_handle,
                                                   .visibility_s = items[i].visibility_s };
    }
    int result = deletes ? sqs_delete_many(settler->queue, entries, n_entries, err)
                         : sqs_change_visibility_many(settler->queue, entries, n_entries, err);
    for (size_t i = 0; i < n_entries && result == 0; i++)
        if (entries[i].result != 0)
            log_write(LOG_WARNING, LOG_EVENT_WARNING,
                      LOG_FIELDS({ "SQS_MESSAGE_ID", owners[i]->settlement->message->message_id },
                                 { "ERROR_CODE", entries[i].err.code }),
                      "%s: it comes back by itself, maybe twice: %s",
                      deletes ? "the message is done with and could not be deleted"
                              : "the message's visibility timeout could not be changed",
                      entries[i].err.text);
    return result;
}

static void take(struct settler *settler, const struct settlement *settlements, size_t n,
                 const struct sqs_message **list)
{
    for (size_t i = 0; i < n; i++)
        list[i] = settlements[i].message;
    if (settler->held)
        leases_end(settler->held, list, n);
}

static void tell(const struct settler *settler, const struct item *item, int priority, enum log_event event,
                 const char *what)
{
    const struct sqs_message *message = item->settlement->message;
    int attempts = settler_attempts(settler);
    char count[16], which[48];
    snprintf(count, sizeof(count), "%d", message->receive_count);
    snprintf(which, sizeof(which),
             message->receive_count > attempts ? "receive %d, after %d attempts" : "attempt %d of %d",
             message->receive_count, attempts);
    log_write(
        priority, event,
        LOG_FIELDS({ "SQS_MESSAGE_ID", message->message_id }, { "ERROR_CODE", item->code }, { "RECEIVE_COUNT", count }),
        "%s (%s): %s", what, which, item->text);
}

/* The queue permits no other. */
static bool is_last_receive(const struct settler *settler, const struct item *item)
{
    int permitted = settler->info.max_receive_count;
    return permitted > 0 && item->settlement->message->receive_count >= permitted;
}

static void conclude(const struct settler *settler, const struct item *item)
{
    struct service_counters *counters = service_counters(settler->service);
    char what[ERR_TEXT_SIZE + 128];
    if (item->is_buried) {
        counters->never++;
        tell(settler, item, LOG_WARNING, LOG_EVENT_MESSAGE_DEAD, "dead-lettered");
    } else if (item->action == ACTION_DELETE) {
        counters->done++;
        tell(settler, item, LOG_DEBUG, LOG_EVENT_MESSAGE_DONE, "deleted");
    } else if (item->action == ACTION_GIVE_BACK) {
        counters->returned++;
        tell(settler, item, LOG_INFO, LOG_EVENT_MESSAGE_RETURNED, "given back");
    } else {
        counters->later++;
        if (item->action == ACTION_LEAVE)
            snprintf(what, sizeof(what), "left alone, for it is visible to others again");
        else if (item->failure.code)
            snprintf(what, sizeof(what), "could not be dead-lettered (%s), %s in %d s", item->failure.text,
                     is_last_receive(settler, item) ? "is moved by the queue, without this reason," : "comes back",
                     item->visibility_s);
        else
            snprintf(what, sizeof(what), "tried again in %d s", item->visibility_s);
        tell(settler, item, item->failure.code ? LOG_ERR : LOG_NOTICE, LOG_EVENT_MESSAGE_LATER, what);
    }
}

int settle(struct settler *settler, const struct settlement *settlements, size_t n, struct err *err)
{
    if (n == 0)
        return 0;
    auto_free struct item *items = calloc(n, sizeof(*items));
    auto_free const struct sqs_message **messages = calloc(n, sizeof(*messages));
    if (!items || !messages)
        return err_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        items[i].settlement = &settlements[i];
        decide(settler, &items[i]);
    }
    /* Held while the dead letters are sent, which may take a while; no longer when their visibility is set. */
    int result = bury(settler, items, n, err);
    take(settler, settlements, n, messages);
    if (result == 0)
        result = act(settler, items, n, true, err);
    if (result == 0)
        result = act(settler, items, n, false, err);
    for (size_t i = 0; i < n && result == 0; i++)
        conclude(settler, &items[i]);
    return result;
}
