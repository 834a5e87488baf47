#include "itemctl/load_run.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/time.h"
#include "itemctl/load_route.h"

enum {
    TICK_MS = 100,     /* how often signals are read and the progress is drawn */
    TRICKLE_MS = 1000, /* if no input comes, a batch that is as old as this is sent */
    PRINTED_MAX = 10,  /* rejected documents that are printed without --rejects */
};

/* ------------------------------------------------------------------ signals */

static void raise_event(int fd)
{
    if (eventfd_write(fd, 1) != 0)
        abort(); /* cannot happen: it counts to 2^64 - 2 */
}

static void read_signals(struct load_run *run)
{
    struct signalfd_siginfo signal;
    while (read(run->signal_fd, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
        run->stops++;
        if (run->stops == 1)
            load_progress_say(&run->progress,
                              "stopping after the documents in progress; a second signal stops at once");
        raise_event(run->stops == 1 ? run->shared.drain_fd : run->shared.abort_fd);
    }
}

/* ----------------------------------------------------------------- results */

/* The fraction of the input that is loaded: the part that is read, without the documents that workers still have. */
static double fraction_done(const struct load_run *run)
{
    double read = load_input_fraction(&run->input);
    if (read < 0 || run->given == 0)
        return read < 0 ? -1 : run->fraction_before;
    double done = (double)(run->state.counts.read - run->read_before) / (double)run->given;
    return run->fraction_before + (read - run->fraction_before) * (done < 1 ? done : 1);
}

static void draw(struct load_run *run, int64_t now_ms)
{
    run->state.counts.elapsed_ms = run->elapsed_before_ms + now_ms - run->started_ms;
    struct load_progress_state state = {
        .counts = &run->state.counts,
        .run_ms = now_ms - run->started_ms,
        .run_documents = run->state.counts.read - run->read_before,
        .fraction = fraction_done(run),
        .fraction_at_start = run->fraction_before,
    };
    load_progress_draw(&run->progress, &state);
}

static int count_document(struct load_run *run, const struct load_entry *entry, struct err *err)
{
    load_counts_add(&run->state.counts, entry);
    if (entry->result == 0)
        return 0;
    const char *path = run->input.files[entry->input].path;
    if (!run->options->rejects && run->n_printed++ < PRINTED_MAX)
        load_progress_say(&run->progress, "%s:%lld: %s: %s%s", path, (long long)entry->document.line, entry->why->code,
                          entry->why->text,
                          run->n_printed == PRINTED_MAX ? " (no more are printed; --rejects FILE lists all)" : "");
    return load_rejects_add(&run->rejects, path, entry, err);
}

static int count_batch(struct load_run *run, struct load_batch *batch, struct err *err)
{
    int r = batch->result;
    if (r != 0)
        *err = batch->err;
    for (size_t i = 0; r == 0 && i < batch->n; i++)
        r = count_document(run, &batch->entries[i], err);
    run->workers[batch->worker].outstanding--;
    load_batch_free(batch);
    return r;
}

/* Waits for a batch, or the end of a worker, but not beyond the next tick. *ret_ended: a worker has ended. */
static int receive_batch(struct load_run *run, bool *ret_ended, struct err *err)
{
    *ret_ended = false;
    int64_t now_ms = time_mono_ms();
    if (now_ms >= run->next_tick_ms) {
        run->next_tick_ms = now_ms + TICK_MS;
        draw(run, now_ms);
    }
    read_signals(run);
    if (wait_fd(run->shared.done[0], POLLIN, run->signal_fd, run->next_tick_ms) != WAIT_READY)
        return 0;
    struct load_batch *batch = NULL;
    if (read(run->shared.done[0], &batch, sizeof(batch)) != (ssize_t)sizeof(batch))
        return errno == EINTR ? 0 : err_fatal(err, errno, "reading from a pipe");
    *ret_ended = !batch;
    return batch ? count_batch(run, batch, err) : 0;
}

/* ------------------------------------------------------------------ batches */

static int send_batch(struct load_run *run, size_t worker, struct err *err)
{
    bool ended = false;
    while (run->workers[worker].outstanding == LOAD_WORKER_BATCHES) {
        int r = receive_batch(run, &ended, err);
        if (r != 0)
            return r;
    }
    return load_worker_send(&run->workers[worker], TAKE(run->filling[worker]), err);
}

/* Sends the batches that were begun before `before_ms`. */
static int send_batches(struct load_run *run, int64_t before_ms, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < run->n_workers; i++)
        if (run->filling[i] && run->filling[i]->begun_at_ms < before_ms)
            r = send_batch(run, i, err);
    return r;
}

/* Sends all batches, and waits until no worker has one. */
static int await_workers(struct load_run *run, struct err *err)
{
    int r = send_batches(run, INT64_MAX, err);
    bool ended = false;
    for (size_t i = 0; i < run->n_workers; i++)
        while (r == 0 && run->workers[i].outstanding > 0)
            r = receive_batch(run, &ended, err);
    return r;
}

static int write_checkpoint(struct load_run *run, struct err *err)
{
    int r = await_workers(run, err);
    if (r == 0)
        r = load_rejects_flush(&run->rejects, run->options->checkpoint, err);
    if (r != 0 || !run->options->checkpoint)
        return r;
    int64_t now_ms = time_mono_ms();
    run->next_checkpoint_ms = now_ms + run->options->checkpoint_interval_ms;
    run->state.counts.elapsed_ms = run->elapsed_before_ms + now_ms - run->started_ms;
    run->state.place = run->input.place;
    run->state.rejects_len = run->rejects.len;
    return load_checkpoint_write(run->options->checkpoint, &run->state, &run->input, err);
}

static int route(struct load_run *run, struct load_input_next *next, struct err *err)
{
    struct buf *text = &next->document.text;
    int r = load_rejects_unwrap(text, err);
    size_t worker = run->n_workers > 1 ? load_route(buf_str(text), text->len) % run->n_workers : 0;
    if (r == 0 && !run->filling[worker])
        run->filling[worker] = load_batch_new(worker);
    if (r != 0 || !run->filling[worker]) {
        split_document_clear(&next->document);
        return err_no_memory(err);
    }
    load_batch_add(run->filling[worker], &next->document, next->file);
    run->given++;
    return load_batch_is_full(run->filling[worker]) ? send_batch(run, worker, err) : 0;
}

/* The rest of a file that cannot be split counts as one rejected document. */
static int reject_rest(struct load_run *run, const struct load_input_next *next, struct err *err)
{
    struct load_entry entry = { .document = next->document, .input = next->file };
    run->given++;
    int r = load_entry_reject(&entry, err) == 0 ? 0 : err_no_memory(err);
    if (r == 0)
        r = count_document(run, &entry, err);
    if (r == 0 && run->options->rejects)
        load_progress_say(&run->progress, "%s: %s; the rest of the file is not loaded",
                          run->input.files[next->file].path, entry.why->text);
    free(entry.why);
    return r;
}

/* ------------------------------------------------------------------ running */

/* While workers are waited for, receive_batch reads signals and draws. Only the checkpoint waits for this. */
static int do_periodic_work(struct load_run *run, struct err *err)
{
    int64_t now_ms = time_mono_ms();
    if (now_ms >= run->next_tick_ms) {
        run->next_tick_ms = now_ms + TICK_MS;
        read_signals(run);
        draw(run, now_ms);
    }
    return run->options->checkpoint && now_ms >= run->next_checkpoint_ms ? write_checkpoint(run, err) : 0;
}

static int read_input(struct load_run *run, struct err *err)
{
    for (int r = 0; r == 0 && run->stops == 0;) {
        struct load_input_next next;
        r = do_periodic_work(run, err);
        if (r == 0)
            r = load_input_next(&run->input, run->signal_fd, run->next_tick_ms, &next, err);
        if (r != 0)
            return r;
        switch (next.event) {
        case LOAD_INPUT_DOCUMENT:
            r = route(run, &next, err);
            break;
        case LOAD_INPUT_NOTHING:
            read_signals(run);
            r = send_batches(run, time_mono_ms() - TRICKLE_MS, err);
            break;
        case LOAD_INPUT_BROKEN:
            r = reject_rest(run, &next, err);
            break;
        case LOAD_INPUT_END:
            return 0;
        }
        if (r != 0)
            return r;
    }
    return 0;
}

static int start_workers(struct load_run *run, struct err *err)
{
    run->started_ms = time_mono_ms();
    run->next_checkpoint_ms = run->started_ms + run->options->checkpoint_interval_ms;
    int r = 0;
    for (size_t i = 0; r == 0 && i < run->n_workers; i++) {
        r = load_worker_start(&run->workers[i], &run->shared, err);
        run->n_started += r == 0;
    }
    return r;
}

/* Counts the batches that are loaded, also after a failure. The first failure is the result. */
static int stop_workers(struct load_run *run, int result, struct err *err)
{
    if (result != 0)
        raise_event(run->shared.drain_fd); /* ends waits for the database */
    for (size_t i = 0; i < run->n_started; i++)
        load_worker_finish(&run->workers[i]);
    for (size_t left = run->n_started; left > 0;) {
        struct err why = ERR_INIT;
        bool ended = false;
        int r = receive_batch(run, &ended, &why);
        left -= ended;
        if (result == 0 && r != 0) {
            result = r;
            *err = why;
        }
    }
    for (size_t i = 0; i < run->n_workers; i++)
        load_batch_free(TAKE(run->filling[i]));
    for (size_t i = 0; i < run->n_started; i++)
        load_worker_join(&run->workers[i]);
    return result;
}

int load_run(struct load_run *run, struct err *err)
{
    int r = start_workers(run, err);
    if (r == 0)
        r = read_input(run, err);
    if (r == 0)
        r = write_checkpoint(run, err);
    r = stop_workers(run, r, err);
    int flushed = load_rejects_flush(&run->rejects, false, r == 0 ? err : NULL);
    run->state.counts.elapsed_ms = run->elapsed_before_ms + time_mono_ms() - run->started_ms;
    load_progress_erase(&run->progress);
    return r != 0 ? r : flushed;
}
