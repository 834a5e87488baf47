/*
 * settle: receives messages, leases them for a while, and settles each as its body says, for the tests of leases and
 * settle.
 *
 * A body begins with "done", "later", "never" or "return". The rest of its first line is the error's text.
 */
#include <stdio.h>

#include "base/time.h"
#include "daemon/log.h"
#include "worker/redrive.h"
#include "worker/settle.h"

struct settings {
    char *queue_url, *dead_letter_queue_url;
    int64_t messages, visibility_ms, hold_ms, take_ms, published_at, backoff_min_ms, backoff_max_ms;
    struct daemon_config daemon;
};

#define AT(member) offsetof(struct settings, member)

static const struct config_key keys[] = {
    { "queue_url", CONFIG_STRING, AT(queue_url), .help = "Where messages come from." },
    { "dead_letter_queue_url", CONFIG_STRING, AT(dead_letter_queue_url), .default_text = "", .help = "Another one." },
    { "messages", CONFIG_INT, AT(messages), 1, 10000, .default_text = "1", .help = "How many to receive." },
    { "visibility", CONFIG_DURATION, AT(visibility_ms), 1000, 60000, .default_text = "30s", .help = "Asked for." },
    { "hold", CONFIG_DURATION, AT(hold_ms), 0, 60000, .default_text = "0s", .help = "Before they are settled." },
    { "take", CONFIG_DURATION, AT(take_ms), 0, 60000, .default_text = "0s",
      .help =
          "Not 0s: after the hold, the leases of all messages but the last end, and after this time the tool ends." },
    { "published_at", CONFIG_INT, AT(published_at), 0, INT64_MAX, .default_text = "0", .help = "Of every message." },
    { "backoff_min", CONFIG_DURATION, AT(backoff_min_ms), 0, 43200000, .default_text = "30s", .help = "The first." },
    { "backoff_max", CONFIG_DURATION, AT(backoff_max_ms), 0, 43200000, .default_text = "10m", .help = "The last." },
    DAEMON_CONFIG_KEYS(struct settings, daemon, "Nothing is in progress."),
};

static const struct config_schema schema = {
    .prefix = "TOOL_SETTLE", .keys = keys, .n_keys = N_ELEMENTS(keys), .size = sizeof(struct settings)
};

static bool begins(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

static int result_of(const struct sqs_message *message, struct err *err)
{
    const char *text = message->body + strcspn(message->body, " ");
    int len = (int)strcspn(text, "\n");
    if (begins(message->body, "later"))
        return err_later(err, "not_yet", "%.*s", len, text);
    if (begins(message->body, "never"))
        return err_never(err, "bad_thing", "%.*s", len, text);
    return begins(message->body, "return") ? SETTLE_RETURN : 0;
}

static int hold(struct leases *leases, const struct sqs_messages *messages, size_t from, struct err *err)
{
    auto_free const struct sqs_message **list = calloc(messages->n + 1, sizeof(*list));
    if (!list)
        return err_no_memory(err);
    for (size_t i = from; i < messages->n; i++)
        list[i - from] = &messages->list[i];
    return leases_add(leases, list, messages->n - from, err);
}

/* Messages that redrive_take_out has settled count too. */
static int receive(const struct settings *settings, const struct service_counters *counters, struct leases *leases,
                   struct settler *settler, struct sqs_messages *ret, struct err *err)
{
    int64_t deadline_ms = time_mono_ms() + 20000;
    while (time_mono_ms() < deadline_ms) {
        int64_t left = settings->messages - (int64_t)ret->n - counters->never - counters->later;
        if (left <= 0)
            break;
        struct sqs_receive options = { .n_requests = 1,
                                       .max_messages = left < SQS_BATCH_MAX ? (int)left : SQS_BATCH_MAX,
                                       .wait_s = 1,
                                       .visibility_s = (int)(settings->visibility_ms / 1000) };
        size_t full = 0, before = ret->n;
        int result = sqs_receive(settler_queue(settler), &options, ret, &full, err);
        if (result == 0)
            result = hold(leases, ret, before, err);
        if (result == 0)
            result = redrive_take_out(settler, ret, before, err);
        if (result != 0)
            return result;
    }
    return 0;
}

static int settle_all(const struct settings *settings, struct settler *settler, const struct sqs_messages *messages,
                      struct err *err)
{
    auto_free struct settlement *settlements = calloc(messages->n + 1, sizeof(*settlements));
    auto_free struct err *errors = calloc(messages->n + 1, sizeof(*errors));
    if (!settlements || !errors)
        return err_no_memory(err);
    for (size_t i = 0; i < messages->n; i++)
        settlements[i] = (struct settlement){ .message = &messages->list[i],
                                              .result = result_of(&messages->list[i], &errors[i]),
                                              .err = &errors[i],
                                              .published_at_ms = settings->published_at };
    return settle(settler, settlements, messages->n, err);
}

static int hold_and_settle(const struct settings *settings, struct service *service, struct leases *leases,
                           struct settler *settler, struct err *err)
{
    auto_sqs_messages struct sqs_messages messages = { .list = NULL };
    int result = receive(settings, service_counters(service), leases, settler, &messages, err);
    auto_free const struct sqs_message **list = calloc(messages.n + 1, sizeof(*list));
    if (!list)
        return err_no_memory(err);
    for (size_t i = 0; i < messages.n; i++)
        list[i] = &messages.list[i];
    if (result != 0)
        return result;
    log_write(LOG_INFO, LOG_EVENT_DAEMON_STARTED, NULL, "holds %zu", leases_count(leases));
    wait_fd(-1, 0, service_drain_fd(service), time_mono_ms() + settings->hold_ms);
    size_t ours = 0;
    for (size_t i = 0; i < messages.n; i++)
        ours += leases_is_ours(leases, list[i]);
    log_write(LOG_INFO, LOG_EVENT_WARNING, NULL, "ours %zu, heartbeats %lld", ours,
              (long long)service_counters(service)->heartbeats);
    if (settings->take_ms == 0) {
        result = settle_all(settings, settler, &messages, err);
        log_write(LOG_INFO, LOG_EVENT_WARNING, NULL, "settled, holds %zu", leases_count(leases));
        return result;
    }
    leases_end(leases, list, messages.n > 1 ? messages.n - 1 : messages.n);
    log_write(LOG_INFO, LOG_EVENT_WARNING, NULL, "ended, holds %zu", leases_count(leases));
    wait_fd(-1, 0, service_drain_fd(service), time_mono_ms() + settings->take_ms);
    return 0;
}

static int run(const void *config, struct service *service, struct err *err)
{
    const struct settings *settings = config;
    struct aws *aws = NULL;
    struct aws_client *client = NULL;
    struct leases *leases = NULL;
    struct settler *settler = NULL;
    int result = aws_new(NULL, &aws, err);
    if (result == 0)
        result = aws_client_new(aws, -1, &client, err);
    struct leases_options leases_options = { .service = service,
                                             .aws = aws,
                                             .queue_url = settings->queue_url,
                                             .visibility_s = (int)(settings->visibility_ms / 1000) };
    if (result == 0)
        result = leases_start(&leases_options, &leases, err);
    struct settler_options settler_options = { .service = service,
                                               .client = client,
                                               .leases = leases,
                                               .queue_url = settings->queue_url,
                                               .dead_letter_url = settings->dead_letter_queue_url,
                                               .backoff_min_ms = settings->backoff_min_ms,
                                               .backoff_max_ms = settings->backoff_max_ms };
    if (result == 0)
        result = settler_new(&settler_options, &settler, err);
    if (result == 0)
        result = hold_and_settle(settings, service, leases, settler, err);
    settler_free(settler);
    leases_stop(leases);
    aws_client_free(client);
    aws_free(aws);
    return result;
}

int main(int argc, char **argv)
{
    static const struct daemon daemon = {
        .name = "tool-settle",
        .summary = "receives, holds and settles",
        .schema = &schema,
        .default_config = "/nowhere/tool-settle.yaml",
        .config_offset = offsetof(struct settings, daemon),
        .run = run,
    };
    return daemon_main(&daemon, argc, argv);
}
