#include "worker/redrive.h"

#include "sqs/envelope.h"

static const char story[] =
    "its last attempt ended without a result: the worker was killed, ran out of memory or was lost with its host, "
    "perhaps because of this message; or its dead letter was refused (see the log)";

/* In ms; 0: not known. */
static int64_t published_at(const struct sqs_message *message)
{
    auto_envelope struct envelope envelope = { .payload = NULL };
    return envelope_open(message, &envelope, NULL) == 0 ? envelope.published_at_ms : 0;
}

int redrive_take_out(struct settler *settler, struct sqs_messages *messages, size_t from, struct err *err)
{
    int attempts = settler_attempts(settler);
    size_t n = messages->n, n_lost = 0, kept = from;
    auto_free struct settlement *lost = calloc(n - from + 1, sizeof(*lost));
    if (!lost)
        return err_no_memory(err);
    struct err reason = ERR_INIT;
    int result = err_never(&reason, "interrupted", "%s", story);
    for (size_t i = from; i < n; i++) {
        const struct sqs_message *message = &messages->list[i];
        if (message->receive_count > attempts)
            lost[n_lost++] = (struct settlement){
                .message = message, .result = result, .err = &reason, .published_at_ms = published_at(message)
            };
    }
    int r = settle(settler, lost, n_lost, err);
    if (r != 0)
        return r;
    for (size_t i = from; i < n; i++) {
        if (messages->list[i].receive_count > attempts)
            sqs_message_clear(&messages->list[i]);
        else
            messages->list[kept++] = messages->list[i];
    }
    messages->n = kept;
    return 0;
}
