/*
 * load_run: reads documents, sends them in batches to workers, and counts their results.
 *
 * One thread reads the input, chooses workers, counts, draws the progress and writes the checkpoint (load_worker.h has
 * the others). Before a checkpoint it waits until no worker has a batch.
 */
#ifndef ITEMCTL_LOAD_RUN_H
#define ITEMCTL_LOAD_RUN_H

#include "itemctl/load_checkpoint.h"
#include "itemctl/load_rejects.h"
#include "itemctl/load_worker.h"

struct load_run {
    const struct load_options *options;
    struct load_progress progress;
    struct load_input input;
    struct load_rejects rejects;
    struct load_checkpoint state; /* its place is set only when no worker has a batch */
    struct load_shared shared;
    struct load_worker *workers;
    struct load_batch **filling; /* the batch of each worker that is not full yet, or NULL */
    size_t n_workers, n_started;
    int signal_fd;
    int stops;                                                 /* signals so far: the first drains, the second aborts */
    int64_t started_ms, elapsed_before_ms, read_before, given; /* documents: before this run, and read in it */
    double fraction_before;
    int64_t next_tick_ms, next_checkpoint_ms;
    int64_t n_printed; /* rejected documents that were printed */
};

/*
 * 0: every document has a result. If run->stops, the documents that were read have, and the checkpoint is written.
 * LATER: the database was not available, or there were two signals. < 0: it cannot go on. The checkpoint is then the
 * last one that was written.
 */
int load_run(struct load_run *run, struct err *err) must_check;

#endif
