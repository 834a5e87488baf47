#include "itemgend/sandbox/supervise.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/process.h"
#include "base/time.h"
#include "itemgend/sandbox/process_tree.h"
#include "itemgend/sandbox/workdir.h"

enum {
    FIRST_SAMPLE_MS = 50, /* most items have ended by then */
    SAMPLE_INTERVAL_MS = 100,
    SAMPLE_SHARE = 10,    /* samples take at most a tenth of the time, */
    SAMPLE_GAP_MS = 1000, /* but an item that makes them slow is still sampled every second */
    READS_MAX = 64        /* a program that never stops writing must not keep us from checking the time */
};

void supervise_begin(struct supervision *supervision)
{
    supervision->began_ms = time_mono_ms();
    supervision->sample_at_ms = supervision->began_ms + FIRST_SAMPLE_MS;
}

/* ------------------------------------------------------------------- output */

static void keep_tail(struct buf *output)
{
    if (output->len <= COMMAND_OUTPUT_KEPT)
        return;
    size_t cut = output->len - COMMAND_OUTPUT_KEPT;
    memmove(output->data, output->data + cut, COMMAND_OUTPUT_KEPT + 1);
    output->len = COMMAND_OUTPUT_KEPT;
}

static void read_output(struct supervision *supervision, struct command_result *result)
{
    for (int i = 0; i < READS_MAX && !supervision->output_ended; i++) {
        char chunk[16384];
        ssize_t n = read(supervision->output_fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EAGAIN)
            return;
        supervision->output_ended = n == 0 || (n < 0 && errno != EINTR);
        if (n <= 0)
            continue;
        result->printed += n;
        for (char *nul = chunk; (nul = memchr(nul, '\0', (size_t)(chunk + n - nul)));)
            *nul = '?'; /* a NUL would end the text */
        buf_add(&result->output, chunk, (size_t)n);
        keep_tail(&result->output);
    }
}

/* ------------------------------------------------------------------- limits */

static void raise_to(int64_t *peak, int64_t value)
{
    if (value > *peak)
        *peak = value;
}

static bool exceeds(struct command_result *result, enum command_end end, int64_t value, int64_t limit)
{
    if (value <= limit)
        return false;
    result->end = end;
    return true;
}

static int64_t directory_usage(const struct supervision *supervision)
{
    return supervision->directory ? workdir_usage(supervision->directory, supervision->limits->disk) : 0;
}

static bool sample(struct supervision *supervision, struct command_result *result)
{
    const struct limits *limits = supervision->limits;
    struct process_tree_usage usage = { .processes = 0 };
    if (supervision->root)
        process_tree_measure(supervision->root, limits->memory, limits->processes, &usage);
    int64_t disk = usage.disk + directory_usage(supervision);
    raise_to(&result->memory, usage.memory);
    raise_to(&result->processes, usage.processes);
    raise_to(&result->cpu_ms, usage.cpu_ms);
    raise_to(&result->disk, disk);
    return exceeds(result, COMMAND_MEMORY_LIMIT, usage.memory, limits->memory) ||
           exceeds(result, COMMAND_PROCESS_LIMIT, usage.processes, limits->processes) ||
           exceeds(result, COMMAND_CPU_LIMIT, usage.cpu_ms, limits->cpu_ms) ||
           exceeds(result, COMMAND_DISK_LIMIT, disk, limits->disk);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* True: a limit is exceeded. Samples only when it is time to. */
static bool check_limits(struct supervision *supervision, struct command_result *result)
{
    const struct limits *limits = supervision->limits;
    int64_t now_ms = time_mono_ms();
    if (exceeds(result, COMMAND_OUTPUT_LIMIT, result->printed, limits->output) ||
        exceeds(result, COMMAND_TIME_LIMIT, now_ms - supervision->began_ms, limits->time_ms))
        return true;
    if (now_ms < supervision->sample_at_ms)
        return false;
    if (sample(supervision, result))
        return true;
    int64_t end_ms = time_mono_ms();
    supervision->sample_at_ms = end_ms + SAMPLE_INTERVAL_MS + earlier((end_ms - now_ms) * SAMPLE_SHARE, SAMPLE_GAP_MS);
    return false;
}

bool supervise_until(struct supervision *supervision, int event_fd, pid_t child, struct command_result *result)
{
    for (;;) {
        struct pollfd fds[] = { { .fd = supervision->stop_fd, .events = POLLIN },
                                { .fd = event_fd, .events = POLLIN },
                                { .fd = supervision->output_ended ? -1 : supervision->output_fd, .events = POLLIN } };
        int64_t now_ms = time_mono_ms();
        int64_t until_ms = earlier(supervision->began_ms + supervision->limits->time_ms + 1, supervision->sample_at_ms);
        if (child && event_fd < 0)
            until_ms = earlier(until_ms, now_ms + PROCESS_LOOK_MS);
        poll(fds, N_ELEMENTS(fds), until_ms > now_ms ? (int)(until_ms - now_ms) : 0);
        if (fds[2].revents)
            read_output(supervision, result);
        if (fds[1].revents || (child && event_fd < 0 && process_has_ended(child)))
            return true;
        if (fds[0].revents) {
            result->end = COMMAND_INTERRUPTED;
            return false;
        }
        if (check_limits(supervision, result))
            return false;
    }
}

void supervise_finish(struct supervision *supervision, struct command_result *result)
{
    read_output(supervision, result);
    err_make_printable(result->output.data ? result->output.data : (char[]){ "" });
    result->duration_ms = time_mono_ms() - supervision->began_ms;
    if (result->end != COMMAND_EXITED && result->end != COMMAND_KILLED)
        return;
    /* A failure because a limit refused it space must be reported as that limit. */
    int64_t disk = directory_usage(supervision);
    raise_to(&result->disk, disk);
    if (!exceeds(result, COMMAND_DISK_LIMIT, disk, supervision->limits->disk))
        (void)exceeds(result, COMMAND_OUTPUT_LIMIT, result->printed, supervision->limits->output);
}
