/*
 * task_protection: asks ECS not to stop this task for a scale-in or a deployment while it has messages.
 *
 * A thread looks once a second. It calls the ECS agent when the task becomes busy, then halfway to the end of each
 * protection, and when the task has been idle for half a minute (so that an occasional message does not cause calls all
 * the time). Work never waits for this thread, and does not fail because of it. An answer may take 2 s; a refusal is
 * tried again after a minute, and logged when its code changes. A protection lasts for 10 minutes. ECS does not renew
 * it while a deployment waits for the task ("blocked"), so that is also the longest that a deployment waits.
 *
 * PUT $ECS_AGENT_URI/task-protection/v1/state, with {"ProtectionEnabled", "ExpiresInMinutes"}; the answer holds
 * "protection", or "failure" with its "Reason", or "error" with its "Code".
 * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
 */
#ifndef DAEMON_TASK_PROTECTION_H
#define DAEMON_TASK_PROTECTION_H

#include "daemon/service.h"

/* ------------------------------------------------------------ the thread */

struct task_protection;
/* `counters` are borrowed. *ret is NULL outside of ECS. */
int task_protection_start(const struct service_counters *counters, struct task_protection **ret, struct err *err)
    must_check;
/* Releases the protection, which takes at most 2 s. NULL is allowed. */
void task_protection_stop(struct task_protection *protection);

/* ------------------------------------------------------- its decisions, pure */

enum protection_call { PROTECTION_NOTHING, PROTECTION_ON, PROTECTION_OFF };

struct protection_plan {        /* starts as zeros; times as time_mono_ms() */
    int64_t busy_until_ms;      /* the task counts as busy until then */
    int64_t protected_until_ms; /* it may be protected until then */
    int64_t on_at_ms;           /* the earliest time of the next PROTECTION_ON */
    int64_t off_at_ms;          /* the earliest time of the next PROTECTION_OFF */
};

enum protection_answer {
    PROTECTION_DONE,
    PROTECTION_REFUSED, /* nothing has changed */
    PROTECTION_UNKNOWN, /* no answer: ECS may have done it */
};

/* The call to make now. */
enum protection_call protection_next(struct protection_plan *plan, int64_t now_ms, bool is_busy);
/* Notes the answer to a call. */
void protection_note(struct protection_plan *plan, int64_t now_ms, enum protection_call call,
                     enum protection_answer answer);

/* Reads an answer. `err` says why it is a refusal; its code is "deployment_blocked", "task_not_valid" or
 * "task_protection_failed". */
enum protection_answer protection_read(int status, const char *body, size_t len, struct err *err);

#endif
