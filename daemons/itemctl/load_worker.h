/*
 * load_worker: a thread with a database connection, which loads one batch after another.
 *
 * It is given batches through a pipe, as pointers, in the order of the input, and gives each back through another with
 * its results. It shares nothing else with the others but what struct load_shared holds.
 */
#ifndef ITEMCTL_LOAD_WORKER_H
#define ITEMCTL_LOAD_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "aws/aws.h"
#include "itemctl/load_batch.h"
#include "itemctl/load_options.h"
#include "itemctl/load_progress.h"

struct load_shared {
    const struct load_options *options;
    const struct load_progress *progress; /* says what the workers have to say */
    struct aws *aws;                      /* NULL: no secret */
    struct known *known;                  /* which ids the partitions hold */
    int64_t published_at_ms;
    int drain_fd;           /* readable: wait for nothing any more */
    int abort_fd;           /* readable: break off */
    int done[2];            /* pipe of struct load_batch *; NULL: a worker has ended */
    _Atomic bool connected; /* the database could be had, once */
    _Atomic bool is_outage; /* it has been said */
};

struct load_worker {
    struct load_shared *shared;
    int in[2]; /* pipe of struct load_batch * */
    pthread_t thread;
    size_t outstanding; /* batches given and not back, kept by who gives them */
};

/* So many batches at most: one is loaded, one waits. */
enum { LOAD_WORKER_BATCHES = 2 };

/* < 0: no thread, no descriptors, nothing to join. */
int load_worker_start(struct load_worker *worker, struct load_shared *shared, struct err *err) must_check;
/* Hands a batch over; outstanding is below LOAD_WORKER_BATCHES. */
int load_worker_give(struct load_worker *worker, struct load_batch *batch, struct err *err) must_check;
/* There are no more batches: statistics are written and the thread ends. */
void load_worker_finish(struct load_worker *worker);
void load_worker_join(struct load_worker *worker);

#endif
