#include "worker/settle.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/backoff.h"
#include "base/time.h"
#include "daemon/log.h"
#include "worker/dead_letter.h"

struct settler {
    struct service *service;
    struct leases *leases;
    struct sqs *queue, *dead_letters;
    struct sqs_queue_info info;
    int64_t dead_letter_max_size;
    int64_t backoff_min_ms, backoff_max_ms;
};

/* One message while it is settled. */
struct item {
    const struct settlement *settlement;
    enum settle_action action;
    const char *code; /* why it is not done */
    const char *text;
    int visibility_s;               /* of SETTLE_ACTION_BACK_OFF */
    bool is_dead_lettered;          /* the dead letter is sent, the message is to be deleted */
    struct err failure;             /* why it could not be dead-lettered */
    const struct sqs_entry *answer; /* what SQS answered to the action; NULL: there was no action */
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
    settler->leases = options->leases;
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

/* ------------------------------------------------------------ decisions */

int settle_attempts(int max_receive_count)
{
    if (max_receive_count == 0)
        return SETTLE_ATTEMPTS;
    return max_receive_count > 1 ? max_receive_count - 1 : 1;
}

int settle_backoff_s(int64_t min_ms, int64_t max_ms, int receive_count, int64_t leased_ms, double unit)
{
    int64_t wait_ms = backoff_jitter_ms(backoff_ms(min_ms, 3, max_ms, receive_count), unit);
    int64_t left_s = SQS_VISIBILITY_MAX_S - leased_ms / 1000 - 1;
    int64_t wait_s = wait_ms / 1000 + (wait_ms % 1000 > 0);
    if (wait_s > left_s)
        wait_s = left_s;
    return wait_s < 1 ? 1 : (int)wait_s;
}

enum settle_action settle_decide(int result, int receive_count, int attempts, bool has_lease)
{
    if (result == 0) /* even without a lease: nobody needs to do it again */
        return SETTLE_ACTION_DELETE;
    if (!has_lease)
        return SETTLE_ACTION_ABANDON;
    if (result == NEVER || receive_count >= attempts)
        return SETTLE_ACTION_DEAD_LETTER;
    return result == SETTLE_RETURN ? SETTLE_ACTION_RELEASE : SETTLE_ACTION_BACK_OFF;
}

static void back_off(const struct settler *settler, struct item *item)
{
    const struct sqs_message *message = item->settlement->message;
    item->action = SETTLE_ACTION_BACK_OFF;
    item->visibility_s = settle_backoff_s(settler->backoff_min_ms, settler->backoff_max_ms, message->receive_count,
                                          time_mono_ms() - message->received_at_ms, random_unit());
}

static void decide(const struct settler *settler, const struct settlement *settlement, struct item *item)
{
    const struct sqs_message *message = settlement->message;
    int attempts = settler_attempts(settler);
    bool has_lease = !settler->leases || leases_is_ours(settler->leases, message);
    item->settlement = settlement;
    item->action = settle_decide(settlement->result, message->receive_count, attempts, has_lease);
    if (item->action == SETTLE_ACTION_BACK_OFF)
        back_off(settler, item);
    if (settlement->result == 0) {
        item->text = "done";
    } else if (settlement->result == SETTLE_RETURN) {
        item->code = "interrupted";
        item->text = message->receive_count >= attempts ? "the service stopped during the last attempt"
                                                        : "the service is stopping";
    } else {
        const struct err *err = settlement->err;
        item->code = err && err->code && *err->code ? err->code : "unknown";
        item->text = err && *err->text ? err->text : item->code;
    }
}

/* ------------------------------------------------------------ actions */

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

/* Afterwards each item that was to be dead-lettered is, or backs off with the reason in `failure`. */
static int send_dead_letters(struct settler *settler, struct item *items, size_t n, struct err *err)
{
    size_t n_letters = 0;
    for (size_t i = 0; i < n; i++)
        n_letters += items[i].action == SETTLE_ACTION_DEAD_LETTER;
    if (n_letters == 0)
        return 0;
    cleanup(letters_clear) struct letters letters = {
        .list = calloc(n_letters, sizeof(*letters.list)),
        .sends = calloc(n_letters, sizeof(*letters.sends)),
        .items = calloc(n_letters, sizeof(letters.items[0])),
    };
    if (!letters.list || !letters.sends || !letters.items)
        return err_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct item *item = &items[i];
        if (item->action != SETTLE_ACTION_DEAD_LETTER)
            continue;
        const struct dead_letter_options options = { .message = item->settlement->message,
                                                     .error_code = item->code,
                                                     .error = item->text,
                                                     .published_at_ms = item->settlement->published_at_ms,
                                                     .failed_at_ms = time_now_ms(),
                                                     .max_size = settler->dead_letter_max_size };
        struct dead_letter *letter = &letters.list[letters.n];
        int result = dead_letter_build(&options, letter, &item->failure);
        if (result == 0) {
            letters.sends[letters.n] = letter->send;
            letters.items[letters.n++] = item;
            continue;
        }
        dead_letter_clear(letter);
        if (result < 0) {
            *err = item->failure;
            return result;
        }
        back_off(settler, item);
    }
    int result = sqs_send_many(settler->dead_letters, letters.sends, letters.n, err);
    for (size_t i = 0; i < letters.n && result == 0; i++) {
        letters.items[i]->is_dead_lettered = letters.sends[i].result == 0;
        if (letters.sends[i].result != 0) {
            letters.items[i]->failure = letters.sends[i].err;
            back_off(settler, letters.items[i]);
        }
    }
    return result;
}

/* Deletes messages, and changes the visibility of others. `entries` has room for n. */
static int act(struct settler *settler, struct item *items, size_t n, struct sqs_entry *entries, struct err *err)
{
    size_t n_deletes = 0, first_change = n; /* deletes grow from the front, changes from the back */
    for (size_t i = 0; i < n; i++) {
        struct item *item = &items[i];
        if (item->action == SETTLE_ACTION_ABANDON)
            continue;
        bool is_delete = item->action == SETTLE_ACTION_DELETE || item->is_dead_lettered;
        struct sqs_entry *entry = is_delete ? &entries[n_deletes++] : &entries[--first_change];
        entry->receipt_handle = item->settlement->message->receipt_handle;
        entry->visibility_s = item->visibility_s;
        item->answer = entry;
    }
    int result = sqs_delete_many(settler->queue, entries, n_deletes, err);
    if (result == 0)
        result = sqs_change_visibility_many(settler->queue, entries + first_change, n - first_change, err);
    return result;
}

/* ------------------------------------------------------------ log and counters */

static void log_item(const struct settler *settler, const struct item *item, int priority, enum log_event event,
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

static void log_later(const struct settler *settler, const struct item *item)
{
    char what[ERR_TEXT_SIZE + 128];
    int permitted = settler->info.max_receive_count;
    bool is_last_receive = permitted > 0 && item->settlement->message->receive_count >= permitted;
    if (item->action == SETTLE_ACTION_ABANDON)
        snprintf(what, sizeof(what), "lease lost: another consumer may have this message; not settled");
    else if (!item->failure.code)
        snprintf(what, sizeof(what), "tried again in %d s", item->visibility_s);
    else if (is_last_receive)
        snprintf(what, sizeof(what),
                 "could not be dead-lettered (%s); the queue moves it, without this reason, in %d s",
                 item->failure.text, item->visibility_s);
    else
        snprintf(what, sizeof(what), "could not be dead-lettered (%s); tried again in %d s", item->failure.text,
                 item->visibility_s);
    log_item(settler, item, item->failure.code ? LOG_ERR : LOG_NOTICE, LOG_EVENT_MESSAGE_LATER, what);
}

static void conclude(const struct settler *settler, const struct item *item)
{
    struct service_counters *counters = service_counters(settler->service);
    bool is_delete = item->action == SETTLE_ACTION_DELETE || item->is_dead_lettered;
    if (item->answer && item->answer->result != 0)
        log_write(LOG_WARNING, LOG_EVENT_WARNING,
                  LOG_FIELDS({ "SQS_MESSAGE_ID", item->settlement->message->message_id },
                             { "ERROR_CODE", item->answer->err.code }),
                  "%s; it becomes visible again after its visibility timeout: %s",
                  is_delete ? "a settled message could not be deleted"
                            : "the visibility timeout of a message could not be changed",
                  item->answer->err.text);
    if (item->is_dead_lettered) {
        counters->never++;
        log_item(settler, item, LOG_WARNING, LOG_EVENT_MESSAGE_DEAD, "dead-lettered");
    } else if (item->action == SETTLE_ACTION_DELETE) {
        counters->done++;
        log_item(settler, item, LOG_DEBUG, LOG_EVENT_MESSAGE_DONE, "deleted");
    } else if (item->action == SETTLE_ACTION_RELEASE) {
        counters->returned++;
        log_item(settler, item, LOG_INFO, LOG_EVENT_MESSAGE_RETURNED, "returned to the queue");
    } else {
        counters->later++;
        log_later(settler, item);
    }
}

int settle(struct settler *settler, const struct settlement *settlements, size_t n, struct err *err)
{
    if (n == 0)
        return 0;
    auto_free struct item *items = calloc(n, sizeof(*items));
    auto_free struct sqs_entry *entries = calloc(n, sizeof(*entries));
    auto_free const struct sqs_message **messages = calloc(n, sizeof(*messages));
    if (!items || !entries || !messages)
        return err_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        messages[i] = settlements[i].message;
        decide(settler, &settlements[i], &items[i]);
    }
    /* Sending dead letters may take a while, so leases end after it. They end before the visibility is set, because a
     * renewal would change it again. */
    int result = send_dead_letters(settler, items, n, err);
    if (settler->leases)
        leases_end(settler->leases, messages, n);
    if (result == 0)
        result = act(settler, items, n, entries, err);
    for (size_t i = 0; i < n && result == 0; i++)
        conclude(settler, &items[i]);
    return result;
}
