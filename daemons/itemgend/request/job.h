/* job: a message that was received, and the request in it. */
#ifndef ITEMGEND_JOB_H
#define ITEMGEND_JOB_H

#include "itemgend/request/packages.h"
#include "itemgend/request/request.h"
#include "sqs/envelope.h"

struct job {
    struct sqs_message message;
    struct envelope envelope;
    struct request request;
    /* Parking's own. */
    struct job *next;
    const struct package *package; /* whose concurrency it counts to; NULL: none's */
    bool awaits_registry, is_probe;
};

/* Takes over what the message holds. */
int job_new(struct sqs_message *message, struct job **ret, struct err *err) must_check;
/* Opens the envelope and reads the request: NEVER as envelope_open and request_parse. Also then what was opened is
 * there: when the message was published. */
int job_open(struct job *job, const struct config_list *allowed_packages, struct err *err) must_check;
void job_free(struct job *job);
static inline void job_free_pointer(struct job **job)
{
    job_free(*job);
}
#define auto_job cleanup(job_free_pointer)

#endif
