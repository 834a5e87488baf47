#include "itemgend/request/job.h"

int job_new(struct sqs_message *message, struct job **ret, struct err *err)
{
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return err_no_memory(err);
    job->message = *message;
    *message = (struct sqs_message){ .message_id = NULL };
    *ret = job;
    return 0;
}

int job_open(struct job *job, const struct config_list *allowed_packages, struct err *err)
{
    int r = envelope_open(&job->message, &job->envelope, err);
    if (r == 0)
        r = request_parse(job->envelope.payload, job->envelope.payload_len, allowed_packages, &job->request, err);
    return r;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    request_clear(&job->request);
    envelope_clear(&job->envelope);
    sqs_message_clear(&job->message);
    free(job);
}
