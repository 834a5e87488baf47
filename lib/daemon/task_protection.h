/*
 * task_protection: asks ECS not to end this task by a scale-in or a deployment while it holds messages.
 *
 * A thread looks once a second, and calls the agent when the task becomes busy, halfway to the protection's end while
 * it stays so, and half a minute after it was last busy, so that a message now and then does not make it call all the
 * time. Nothing waits for it and nothing fails by it: an answer may take 2 s, a refusal is tried again after a minute,
 * and is told when it becomes another one. A protection is for 10 minutes: so long a deployment that ECS calls blocked
 * waits at most, for then it refuses to renew it.
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
/* `counters` are borrowed. *ret NULL: this is no task of ECS. */
int task_protection_start(const struct service_counters *counters, struct task_protection **ret, struct err *err)
    must_check;
/* Lets go of what is protected, which takes at most 2 s. NULL is allowed. */
void task_protection_stop(struct task_protection *protection);

/* ------------------------------------------------- what it decides, pure */

enum protection_call { PROTECTION_NOTHING, PROTECTION_ON, PROTECTION_OFF };

struct protection_plan {        /* zeroed at first; times as time_mono_ms() */
    int64_t busy_until_ms;      /* so long it counts as busy */
    int64_t protected_until_ms; /* so long it may be protected */
    int64_t on_at_ms;           /* the next PROTECTION_ON comes no earlier */
    int64_t off_at_ms;          /* nor the next PROTECTION_OFF */
};

enum protection_answer {
    PROTECTION_DONE,
    PROTECTION_REFUSED, /* all is as it was */
    PROTECTION_UNKNOWN, /* no answer */
};

/* What to do now. */
enum protection_call protection_next(struct protection_plan *plan, int64_t now_ms, bool is_busy);
/* What became of it. */
void protection_note(struct protection_plan *plan, int64_t now_ms, enum protection_call call,
                     enum protection_answer answer);

/* Reads an answer. `err` has the story of a refusal; its code is "deployment_blocked", "task_not_valid" or
 * "task_protection_failed". */
enum protection_answer protection_read(int status, const char *body, size_t len, struct err *err);

#endif
