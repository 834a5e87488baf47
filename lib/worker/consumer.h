/*
 * consumer: a daemon's connection to its queue: one part per process, and one per worker.
 */
#ifndef WORKER_CONSUMER_H
#define WORKER_CONSUMER_H

#include "worker/outage.h"
#include "worker/worker_config.h"
#include "worker/settle.h"

struct consumer { /* one per run */
    const struct worker_config *config;
    struct service *service;
    struct aws *aws;
    struct leases *leases;
    int visibility_s;
};

/* Reads the queue's attributes (waits while it cannot be reached) and starts the heartbeats. NEVER: no such queue, no
 * region, ... */
int consumer_open(const struct worker_config *config, struct service *service, struct consumer *ret, struct err *err)
    must_check;
void consumer_close(struct consumer *consumer);

struct consumer_thread { /* one per worker, opened and closed in its thread */
    struct consumer *consumer;
    struct worker *worker;
    struct outage outage;
    struct aws_client *client;       /* for the work: the abort ends its calls */
    struct aws_client *queue_client; /* for the queue: the abort does not, so that messages are returned to the queue */
    struct settler *settler;
};
int consumer_thread_open(struct consumer *consumer, struct worker *worker, struct consumer_thread *ret, struct err *err)
    must_check;
void consumer_thread_close(struct consumer_thread *thread);

/*
 * Receives messages, adds their leases and appends them to `ret`; *ret_full as of sqs_receive. Waits while the queue
 * cannot be reached. Returns 0 also if no message comes, and if the service drains during such a wait. Messages
 * that redrive_take_out dead-letters are not appended, but count for *ret_full.
 */
int consumer_receive(struct consumer_thread *thread, size_t n_requests, int max_messages, int wait_s,
                     struct sqs_messages *ret, size_t *ret_full, struct err *err) must_check;

#endif
