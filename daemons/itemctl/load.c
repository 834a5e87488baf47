#include "itemctl/load.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/time.h"
#include "itemctl/load_run.h"

enum { EXIT_STOPPED = 1, EXIT_REJECTED = 2 };

/* Blocks SIGINT and SIGTERM in this and all later threads. They are read from signal_fd. */
static int open_signals(struct load_run *run, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error != 0)
        return err_fatal(err, error, "blocking signals");
    signal(SIGPIPE, SIG_IGN);
    run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    run->shared.drain_fd = eventfd(0, EFD_CLOEXEC);
    run->shared.abort_fd = eventfd(0, EFD_CLOEXEC);
    if (run->signal_fd < 0 || run->shared.drain_fd < 0 || run->shared.abort_fd < 0 ||
        pipe2(run->shared.done, O_CLOEXEC) != 0)
        return err_fatal(err, errno, "opening descriptors");
    return 0;
}

/* Continues at the checkpoint if there is one, else at the beginning. */
static int open_checkpoint(struct load_run *run, struct err *err)
{
    const struct load_options *options = run->options;
    struct load_checkpoint *state = &run->state;
    bool found = false;
    int r = options->checkpoint
                ? load_checkpoint_read(options->checkpoint, options->collections, &run->input, state, &found, err)
                : 0;
    if (r != 0)
        return r;
    if (!found)
        *state = (struct load_checkpoint){ .collections = options->collections,
                                           .published_at_ms = options->published_at_ms };
    else if (options->published_at_ms && options->published_at_ms != state->published_at_ms)
        return err_never(err, "bad_checkpoint",
                         "checkpoint %.300s is of a load with another --published-at; give the same one, or remove it",
                         options->checkpoint);
    if (state->published_at_ms == 0)
        state->published_at_ms = time_now_ms();
    load_input_seek(&run->input, &state->place);
    run->elapsed_before_ms = state->counts.elapsed_ms;
    run->read_before = state->counts.read;
    run->fraction_before = state->place.file || state->place.position.offset ? load_input_fraction(&run->input) : 0;
    if (found)
        load_progress_say(&run->progress, "continuing from checkpoint %s: %lld documents are done", options->checkpoint,
                          (long long)state->counts.read);
    return 0;
}

static int open_run(const struct load_options *options, struct load_run *run, struct err *err)
{
    *run = (struct load_run){ .options = options, .signal_fd = -1, .input = { .fd = -1 }, .rejects = { .fd = -1 } };
    run->shared = (struct load_shared){
        .options = options, .progress = &run->progress, .drain_fd = -1, .abort_fd = -1, .done = { -1, -1 }
    };
    load_progress_init(&run->progress);
    int r = open_signals(run, err);
    if (r == 0)
        r = load_input_open(options->paths, options->n_paths, &run->input, err);
    if (r == 0 && options->rejects && load_input_has(&run->input, options->rejects))
        r = err_never(err, "bad_rejects", "--rejects: %.300s is also an input; name another file", options->rejects);
    if (r == 0)
        r = open_checkpoint(run, err);
    if (r == 0)
        r = load_rejects_open(options->rejects, run->state.rejects_len, &run->rejects, err);
    if (r == 0)
        r = known_new(&run->shared.known, err);
    if (r == 0 && options->secret)
        r = aws_new(NULL, &run->shared.aws, err);
    if (r != 0)
        return r;
    run->shared.published_at_ms = run->state.published_at_ms;
    /* Collections are few, and the last version of one in the input must win. */
    run->n_workers = options->collections ? 1 : (size_t)options->jobs;
    run->workers = calloc(run->n_workers, sizeof(*run->workers));
    run->filling = calloc(run->n_workers, sizeof(struct load_batch *));
    return run->workers && run->filling ? 0 : err_no_memory(err);
}

static void close_run(struct load_run *run)
{
    const int fds[] = { run->signal_fd, run->shared.drain_fd, run->shared.abort_fd, run->shared.done[0],
                        run->shared.done[1] };
    for (size_t i = 0; i < N_ELEMENTS(fds); i++)
        base_close_fd(&fds[i]);
    load_rejects_close(&run->rejects);
    load_input_close(&run->input);
    known_free(run->shared.known);
    aws_free(run->shared.aws);
    free(run->workers);
    free(run->filling);
}

/* -------------------------------------------------------------- the summary */

static int print_summary(const struct load_run *run, bool complete)
{
    auto_buf struct buf text = BUF_INIT;
    const struct load_counts *counts = &run->state.counts;
    bool collections = run->options->collections;
    if (run->options->json) {
        buf_printf(&text, "{\"command\":\"load %s\",\"complete\":%s,", collections ? "collections" : "items",
                   complete ? "true" : "false");
        load_counts_write(counts, collections, &text);
        buf_printf(&text, ",\"seconds\":%.3f,\"items_per_s\":%.1f,\"published_at\":%lld}\n",
                   (double)counts->elapsed_ms / 1000, load_counts_rate(counts), (long long)run->state.published_at_ms);
    } else {
        load_counts_describe(counts, collections, &text);
    }
    bool ok = !buf_failed(&text) && fputs(buf_str(&text), stdout) >= 0;
    return fflush(stdout) == 0 && ok ? 0 : -EIO;
}

static void print_how_to_continue(const struct load_run *run)
{
    if (run->options->checkpoint)
        load_progress_say(&run->progress,
                          "not everything is loaded; run the same command again to continue from checkpoint %s",
                          run->options->checkpoint);
    else
        load_progress_say(&run->progress, "not everything is loaded; documents that are loaded may be loaded again "
                                          "(--checkpoint FILE records the progress)");
}

/* Returns the exit status. */
static int conclude(const struct load_run *run, int result, const struct err *err)
{
    if (result != 0)
        load_progress_say(&run->progress, "%s%s%s", err->code ? err->code : "", err->code ? ": " : "", err->text);
    bool complete = result == 0 && run->stops == 0;
    if (!complete)
        print_how_to_continue(run);
    else if (run->options->checkpoint && unlink(run->options->checkpoint) != 0)
        load_progress_say(&run->progress, "removing %s: %s", run->options->checkpoint, strerror(errno));
    if (print_summary(run, complete) != 0 || !complete)
        return EXIT_STOPPED;
    return run->state.counts.rejected > 0 ? EXIT_REJECTED : 0;
}

int load_command(int argc, char **argv)
{
    struct load_options options;
    enum load_action action = load_options_parse(argc, argv, &options);
    if (action != LOAD_RUN)
        return action == LOAD_USAGE ? EX_USAGE : fflush(stdout) != 0;
    struct load_run run;
    struct err err = ERR_INIT;
    int status = EXIT_STOPPED;
    int r = open_run(&options, &run, &err);
    if (r != 0) {
        load_progress_say(&run.progress, "%s", err.text);
    } else {
        r = load_run(&run, &err);
        status = conclude(&run, r, &err);
    }
    close_run(&run);
    return status;
}
