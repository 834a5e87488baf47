/*
 * load_worker: a thread with a database connection, which loads one batch after another.
 *
 * It receives batches through a pipe, as pointers, in the order of the input, and returns each through another pipe
 * with its results. Threads share nothing but struct load_shared.
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
    const struct load_progress *progress; /* prints the messages of the workers */
    struct aws *aws;                      /* NULL: no secret */
    struct known *known;                  /* which ids the partitions have */
    int64_t published_at_ms;
    int drain_fd;           /* readable: end every wait */
    int abort_fd;           /* readable: stop at once */
    int done[2];            /* pipe of struct load_batch *; a NULL: a worker has ended */
    _Atomic bool connected; /* the database has been available */
    _Atomic bool is_outage; /* and has been reported */
};

struct load_worker {
    struct load_shared *shared;
    int in[2]; /* pipe of struct load_batch * */
    pthread_t thread;
    size_t outstanding; /* batches sent and not returned; the caller counts them */
};

/* The most that a worker has: one is being loaded, one waits. */
enum { LOAD_WORKER_BATCHES = 2 };

/* < 0: no thread or no descriptors; there is nothing to join. */
int load_worker_start(struct load_worker *worker, struct load_shared *shared, struct err *err) must_check;
/* Requires outstanding < LOAD_WORKER_BATCHES. */
int load_worker_send(struct load_worker *worker, struct load_batch *batch, struct err *err) must_check;
/* After the last batch: the thread writes the statistics and ends. */
void load_worker_finish(struct load_worker *worker);
void load_worker_join(struct load_worker *worker);

#endif
