/*
 * consumer: what a daemon that works off a queue has: once per process, and once per worker.
 */
#ifndef WORKER_CONSUMER_H
#define WORKER_CONSUMER_H

#include "worker/outage.h"
#include "worker/worker_config.h"
#include "worker/settle.h"

struct consumer { /* one per run */
    const struct worker_config *settings;
    struct service *service;
    struct aws *aws;
    struct leases *leases;
    int visibility_s;
};

/* Reads the queue's attributes (waiting while it cannot be reached) and starts the heartbeats. NEVER: no such queue, no
 * region, ... */
int consumer_open(const struct worker_config *settings, struct service *service, struct consumer *ret, struct err *err)
    must_check;
void consumer_close(struct consumer *consumer);

struct consumer_thread { /* one per worker, made and freed in its thread */
    struct consumer *consumer;
    struct worker *worker;
    struct outage outage;
    struct aws_client *client;       /* for the work: ends with the abort descriptor */
    struct aws_client *queue_client; /* for the queue: what is handed back at the end must get there */
    struct settler *settler;
};
int consumer_thread_open(struct consumer *consumer, struct worker *worker, struct consumer_thread *ret, struct err *err)
    must_check;
void consumer_thread_close(struct consumer_thread *thread);

/*
 * Receives and holds. Appends to `ret`; *ret_full as sqs_receive's. 0 also where nothing came, or where the queue could
 * not be reached and the service drains now; waits while it cannot be reached. Messages that
 * redrive_take_out dead-letters are not appended, and counted in *ret_full all the same.
 */
int consumer_receive(struct consumer_thread *thread, size_t n_requests, int max_messages, int wait_s,
                     struct sqs_messages *ret, size_t *ret_full, struct err *err) must_check;

#endif
