/* job: a received message and the request in it. */
#ifndef ITEMGEND_JOB_H
#define ITEMGEND_JOB_H

#include "itemgend/request/packages.h"
#include "itemgend/request/request.h"
#include "sqs/envelope.h"

struct job {
    struct sqs_message message;
    struct envelope envelope;
    struct request request;
    /* For the backlog alone. */
    struct job *next;
    const struct package *package; /* whose concurrency limits it; NULL: none */
    bool awaits_registry, is_probe;
};

/* Takes over the message's content. */
int job_new(struct sqs_message *message, struct job **ret, struct err *err) must_check;
/* Opens the envelope and parses the request. NEVER: those of envelope_open and request_parse. The envelope (when the
 * message was published) is then set all the same, as far as it could be read. */
int job_open(struct job *job, const struct config_list *allowed_packages, struct err *err) must_check;
void job_free(struct job *job);
static inline void job_free_pointer(struct job **job)
{
    job_free(*job);
}
#define auto_job cleanup(job_free_pointer)

#endif
