/* command_result: how a command, or the making of an item, ended, and what it took. */
#ifndef ITEMGEND_COMMAND_RESULT_H
#define ITEMGEND_COMMAND_RESULT_H

#include "base/buf.h"
#include "base/err.h"
#include "itemgend/limits.h"

enum command_end {
    COMMAND_EXITED, /* by itself: exit_code */
    COMMAND_KILLED, /* by a signal that was not ours: signal_number */
    COMMAND_TIME_LIMIT,
    COMMAND_MEMORY_LIMIT,
    COMMAND_CPU_LIMIT,
    COMMAND_PROCESS_LIMIT,
    COMMAND_DISK_LIMIT,
    COMMAND_OUTPUT_LIMIT,
    COMMAND_INTERRUPTED, /* the service stops */
};

enum { COMMAND_OUTPUT_KEPT = 8192 };

struct command_result {
    enum command_end end;
    int exit_code, signal_number;
    /* The most that was seen of it, all processes together, now and then; of memory at least what the largest took. */
    int64_t memory, processes, disk;
    int64_t cpu_ms, duration_ms;
    int64_t printed;   /* bytes */
    struct buf output; /* the last of them, printable */
};
#define COMMAND_RESULT_INIT \
    {                       \
        .output = BUF_INIT  \
    }
void command_result_clear(struct command_result *result);
#define auto_command_result cleanup(command_result_clear)

/*
 * 0: it ended well. NEVER: "bad_command" (stac did not know the group, option or argument), "out_of_memory",
 * "cpu_limit" (it would take as long again, unlike what waits for others), "process_limit", "disk_limit",
 * "output_limit". LATER: "time_limit", "create_item_failed" (exit code or signal, and what it printed last),
 * "interrupted". The text names the limit and what was taken.
 */
int command_result_check(const struct command_result *result, const struct limits *limits, struct err *err) must_check;

#endif
