/*
 * build/bench/receive [-j REQUESTS] QUEUE_URL MESSAGES: receives, parses and deletes this many messages through
 * lib/sqs, and reports the costs.
 *
 * One thread. REQUESTS receives run at the same time; it parses their messages as JSON and deletes them in batches of
 * ten. It writes "ready" and waits for a line on stdin. The clock runs from there. Prints a line of JSON to stdout.
 * Exit 1: stderr has the reason.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "base/time.h"
#include "sqs/envelope.h"

enum { MESSAGES_MAX = 10 * 1000 * 1000, PATIENCE_MS = 15000 /* without a message */ };

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The largest resident size so far, in KiB. getrusage is not used, because its value begins with the parent's. */
static long peak_kib(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long peak = 0;
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "VmHWM: %ld", &peak) == 1)
            break;
    if (file)
        fclose(file);
    return peak;
}

static int parse(const struct sqs_message *message, struct err *err)
{
    auto_envelope struct envelope envelope = { .payload = NULL };
    auto_json cJSON *json = NULL;
    int r = envelope_open(message, &envelope, err);
    return r != 0 ? r : json_parse(envelope.payload, envelope.payload_len, &json, err);
}

/* Parses and deletes the messages of one round of receives. */
static int drain_once(struct sqs *sqs, size_t n_requests, size_t *ret_n, struct err *err)
{
    const struct sqs_receive options = { .n_requests = n_requests, .max_messages = SQS_BATCH_MAX, .wait_s = 1 };
    auto_sqs_messages struct sqs_messages messages = { .list = NULL };
    size_t full = 0;
    int r = sqs_receive(sqs, &options, &messages, &full, err);
    if (r != 0 || messages.n == 0)
        return r;
    auto_free struct sqs_entry *entries = calloc(messages.n, sizeof(*entries));
    if (!entries)
        return err_no_memory(err);
    for (size_t i = 0; i < messages.n; i++) {
        r = parse(&messages.list[i], err);
        if (r != 0)
            return r;
        entries[i].receipt_handle = messages.list[i].receipt_handle;
    }
    r = sqs_delete_many(sqs, entries, messages.n, err);
    for (size_t i = 0; r == 0 && i < messages.n; i++)
        *ret_n += entries[i].result == 0;
    return r;
}

static int drain(struct sqs *sqs, size_t n_requests, size_t total, size_t *ret_n, struct err *err)
{
    int64_t deadline_ms = time_mono_ms() + PATIENCE_MS;
    int r = 0;
    while (r == 0 && *ret_n < total && time_mono_ms() < deadline_ms) {
        size_t before = *ret_n;
        r = drain_once(sqs, n_requests, ret_n, err);
        if (*ret_n > before)
            deadline_ms = time_mono_ms() + PATIENCE_MS;
    }
    return r == 0 && *ret_n < total ? err_later(err, "timeout", "only %zu of %zu messages arrived", *ret_n, total) : r;
}

static int measure(struct sqs *sqs, size_t n_requests, size_t total, struct err *err)
{
    char go[16];
    puts("ready");
    fflush(stdout);
    if (!fgets(go, sizeof(go), stdin))
        return err_never(err, "stdin", "stdin ended before the start line");
    double began = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    size_t n = 0;
    int r = drain(sqs, n_requests, total, &n, err);
    if (r != 0)
        return r;
    began = seconds(CLOCK_MONOTONIC) - began;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"messages\":%zu,\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"peak_kib\":%ld}\n", n, began, cpu, peak_kib());
    return 0;
}

int main(int argc, char **argv)
{
    int64_t n_requests = 8, total = 0;
    for (int option; (option = getopt(argc, argv, "j:")) != -1;)
        if (option != 'j' || num_parse_i64(optarg, 1, HTTP_AT_ONCE, &n_requests, NULL) != 0)
            return 64;
    if (argc - optind != 2 || num_parse_i64(argv[optind + 1], 1, MESSAGES_MAX, &total, NULL) != 0)
        return 64;
    struct err err = ERR_INIT;
    struct aws *aws = NULL;
    struct aws_client *client = NULL;
    struct sqs *sqs = NULL;
    int r = aws_new(NULL, &aws, &err);
    if (r == 0)
        r = aws_client_new(aws, -1, &client, &err);
    if (r == 0)
        r = sqs_new(client, argv[optind], &sqs, &err);
    if (r == 0)
        r = measure(sqs, (size_t)n_requests, (size_t)total, &err);
    if (r != 0)
        fprintf(stderr, "%s: %s\n", err.code, err.text);
    sqs_free(sqs);
    aws_client_free(client);
    aws_free(aws);
    return r != 0;
}
