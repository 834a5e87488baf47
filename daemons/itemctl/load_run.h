/*
 * load_run: the work of a load: documents from the input go in batches to workers, whose results are counted.
 *
 * One thread reads, routes, counts, draws the progress and writes the checkpoint; it hands batches to the workers and
 * takes them back (load_worker.h). A checkpoint waits until no batch is under way.
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
    struct load_checkpoint state; /* of what is done; its place only where no batch is under way */
    struct load_shared shared;
    struct load_worker *workers;
    struct load_batch **filling; /* one of each worker, or NULL */
    size_t n_workers, n_started;
    int signal_fd;
    int stops;                                                 /* signals so far: one drains, two break off */
    int64_t started_ms, elapsed_before_ms, read_before, given; /* documents done before this run, given in it */
    double fraction_before;
    int64_t next_look_ms, next_checkpoint_ms;
    int64_t told; /* rejected documents that stderr has named */
};

/*
 * Loads all. 0: everything has its result, unless run->stops: then what was under way has, and the checkpoint, where
 * there is one, is written. LATER (the database could not be had, or two signals) and < 0: it could not go on, and the
 * checkpoint is what it was.
 */
int load_run(struct load_run *run, struct err *err) must_check;

#endif
