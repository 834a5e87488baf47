/*
 * build/bench/load [-j CONNECTIONS] [-b BATCH] [-p PUBLISHED_AT_MS] FILE KEYWORD=VALUE...: loads the items of FILE, one
 * a line, through lib/pgstac, and reports the costs.
 *
 * It reads the lines into memory and opens the connections, writes "ready" and waits for a line on stdin. The clock
 * runs from there. Connection i of N takes the batches i, i+N, ... Statistics are written after the clock has stopped,
 * with a time of their own: itemloadd writes them once a minute, whatever it loads. Prints a line of JSON to stdout.
 * Exit 1: stderr has the reason.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "pgstac/pgstac.h"

enum { CONNECTIONS_MAX = 64, BATCH_MAX = 10000 };

struct line {
    const char *text;
    size_t len;
};

struct job { /* the same for all, and constant while they work */
    struct buf file;
    struct line *lines;
    size_t n_lines, batch, n_loaders;
    struct known *known;
    int64_t published_at_ms;
};

struct loader {
    const struct job *job;
    size_t number;
    struct pgstac *pgstac;
    pthread_t thread;
    /* Results */
    int result;
    struct err err; /* of result, or else of the first item that failed */
    size_t loaded, failed;
    double parse_s, load_s;
};

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

/* ---------------------------------------------------------------- a batch */

static int parse(const struct loader *loader, const struct line *line, struct pgstac_item *item)
{
    auto_json cJSON *json = NULL;
    *item = (struct pgstac_item){ .text = line->text,
                                  .text_len = line->len,
                                  .published_at_ms = loader->job->published_at_ms };
    item->result = stac_item_parse(line->text, line->len, &json, &item->err);
    return item->result != 0 ? item->result : pgstac_item_read(loader->pgstac, json, item);
}

static void count(struct loader *loader, const struct pgstac_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i].result == 0)
            loader->loaded++;
        else if (loader->failed++ == 0)
            loader->err = items[i].err;
    }
}

static int load_batch(struct loader *loader, const struct line *lines, size_t n)
{
    struct err err = ERR_INIT;
    auto_free struct pgstac_item *items = calloc(n, sizeof(*items));
    auto_free struct pgstac_item **good = calloc(n, sizeof(*good));
    if (!items || !good)
        return err_no_memory(&loader->err);
    size_t n_good = 0;
    double began = seconds(CLOCK_MONOTONIC);
    for (size_t i = 0; i < n; i++)
        if (parse(loader, &lines[i], &items[i]) == 0)
            good[n_good++] = &items[i];
    double parsed = seconds(CLOCK_MONOTONIC);
    int r = pgstac_load(loader->pgstac, good, n_good, &err);
    loader->load_s += seconds(CLOCK_MONOTONIC) - parsed;
    loader->parse_s += parsed - began;
    if (r == 0)
        count(loader, items, n);
    else
        loader->err = err;
    for (size_t i = 0; i < n; i++)
        pgstac_item_clear(&items[i]);
    return r;
}

static void *work(void *argument)
{
    struct loader *loader = argument;
    const struct job *job = loader->job;
    for (size_t first = loader->number * job->batch; loader->result == 0 && first < job->n_lines;
         first += job->n_loaders * job->batch) {
        size_t n = job->n_lines - first < job->batch ? job->n_lines - first : job->batch;
        loader->result = load_batch(loader, job->lines + first, n);
    }
    return NULL;
}

/* ------------------------------------------------------------------ all */

static int read_file(const char *name, struct job *job, struct err *err)
{
    auto_close int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_never(err, "file", "%s cannot be opened", name);
    for (;;) {
        char *room = buf_reserve(&job->file, 1 << 20);
        if (!room)
            return err_no_memory(err);
        ssize_t n = read(fd, room, 1 << 20);
        if (n < 0)
            return err_never(err, "file", "%s cannot be read", name);
        if (n == 0)
            break;
        job->file.len += (size_t)n;
    }
    size_t n_lines = 0;
    for (size_t i = 0; i < job->file.len; i++)
        n_lines += job->file.data[i] == '\n';
    job->lines = calloc(n_lines + 1, sizeof(*job->lines));
    if (!job->lines)
        return err_no_memory(err);
    for (const char *text = job->file.data; job->n_lines < n_lines; job->n_lines++) {
        const char *end = strchr(text, '\n');
        if (!end)
            return err_never(err, "file", "%s contains a NUL byte", name);
        job->lines[job->n_lines] = (struct line){ text, (size_t)(end - text) };
        text = end + 1;
    }
    return 0;
}

static int run(struct loader *loaders, size_t n, struct err *err)
{
    size_t started = 0;
    for (; started < n; started++)
        if (pthread_create(&loaders[started].thread, NULL, work, &loaders[started]) != 0)
            break;
    for (size_t i = 0; i < started; i++)
        pthread_join(loaders[i].thread, NULL);
    if (started < n)
        return err_never(err, "thread", "a thread cannot be started");
    for (size_t i = 0; i < n; i++)
        if (loaders[i].result != 0) {
            *err = loaders[i].err;
            return loaders[i].result;
        }
    return 0;
}

struct cost {
    double wall_s, cpu_s, statistics_s;
};

static void report(const struct loader *loaders, size_t n, const struct cost *cost)
{
    size_t loaded = 0, failed = 0;
    double parse_s = 0, load_s = 0;
    const char *why = "";
    for (size_t i = 0; i < n; i++) {
        loaded += loaders[i].loaded;
        failed += loaders[i].failed;
        parse_s += loaders[i].parse_s;
        load_s += loaders[i].load_s;
        why = loaders[i].failed > 0 ? loaders[i].err.text : why;
    }
    auto_buf struct buf out = BUF_INIT;
    buf_printf(&out, "{\"loaded\":%zu,\"failed\":%zu,\"seconds\":%.6f,\"cpu_seconds\":%.6f,", loaded, failed,
               cost->wall_s, cost->cpu_s);
    buf_printf(&out, "\"parse_seconds\":%.6f,\"load_seconds\":%.6f,\"statistics_seconds\":%.6f,", parse_s, load_s,
               cost->statistics_s);
    buf_printf(&out, "\"peak_kib\":%ld,\"error\":", peak_kib());
    json_write_string(why, &out);
    buf_putc(&out, '}');
    puts(buf_str(&out));
}

static int measure(struct loader *loaders, size_t n, struct err *err)
{
    char go[16];
    puts("ready");
    fflush(stdout);
    if (!fgets(go, sizeof(go), stdin))
        return err_never(err, "stdin", "stdin ended before the start line");
    struct cost cost = { .wall_s = -seconds(CLOCK_MONOTONIC), .cpu_s = -seconds(CLOCK_PROCESS_CPUTIME_ID) };
    int r = run(loaders, n, err);
    cost.wall_s += seconds(CLOCK_MONOTONIC);
    cost.cpu_s += seconds(CLOCK_PROCESS_CPUTIME_ID);
    cost.statistics_s = -seconds(CLOCK_MONOTONIC);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = pgstac_update_statistics(loaders[i].pgstac, 0, err);
    cost.statistics_s += seconds(CLOCK_MONOTONIC);
    if (r == 0)
        report(loaders, n, &cost);
    return r;
}

static int connect_all(struct loader *loaders, const struct job *job, char **words, int n_words, struct err *err)
{
    const struct pgstac_options options = {
        .stop_fd = -1, .statement_timeout_ms = 45000, .connect_timeout_ms = 5000, .known = job->known
    };
    const char *keywords[16] = { NULL }, *values[16] = { NULL };
    for (int i = 0; i < n_words; i++) {
        char *equals = strchr(words[i], '=');
        if (!equals || i == (int)N_ELEMENTS(keywords) - 1)
            return err_never(err, "usage", "unexpected argument, KEYWORD=VALUE is expected: %s", words[i]);
        *equals = '\0';
        keywords[i] = words[i];
        values[i] = equals + 1;
    }
    int r = 0;
    for (size_t i = 0; r == 0 && i < job->n_loaders; i++) {
        loaders[i] = (struct loader){ .job = job, .number = i };
        r = pgstac_new(&options, &loaders[i].pgstac, err);
        if (r == 0)
            r = pgstac_connect(loaders[i].pgstac, keywords, values, err);
    }
    return r;
}

static bool parse_option(int option, const char *text, struct job *job)
{
    int64_t value = 0, max = option == 'j' ? CONNECTIONS_MAX : option == 'b' ? BATCH_MAX : INT64_MAX;
    if (num_parse_i64(text ? text : "", 1, max, &value, NULL) != 0)
        return false;
    if (option == 'j')
        job->n_loaders = (size_t)value;
    else if (option == 'b')
        job->batch = (size_t)value;
    else
        job->published_at_ms = value;
    return true;
}

int main(int argc, char **argv)
{
    struct job job = { .file = BUF_INIT, .batch = 1000, .n_loaders = 1, .published_at_ms = 1 };
    for (int option; (option = getopt(argc, argv, "j:b:p:")) != -1;)
        if (!parse_option(option, optarg, &job))
            return 64;
    if (optind == argc)
        return 64;
    struct err err = ERR_INIT;
    auto_free struct loader *loaders = calloc(job.n_loaders, sizeof(*loaders));
    int r = loaders ? read_file(argv[optind], &job, &err) : err_no_memory(&err);
    if (r == 0)
        r = known_new(&job.known, &err);
    if (r == 0)
        r = connect_all(loaders, &job, argv + optind + 1, argc - optind - 1, &err);
    if (r == 0)
        r = measure(loaders, job.n_loaders, &err);
    if (r != 0)
        fprintf(stderr, "%s: %s\n", err.code, err.text);
    for (size_t i = 0; loaders && i < job.n_loaders; i++)
        pgstac_free(loaders[i].pgstac);
    known_free(job.known);
    free(job.lines);
    buf_clear(&job.file);
    return r != 0;
}
