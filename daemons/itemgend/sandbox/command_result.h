/* command_result: how a command ended, and how much it used. */
#ifndef ITEMGEND_COMMAND_RESULT_H
#define ITEMGEND_COMMAND_RESULT_H

#include "base/buf.h"
#include "base/err.h"
#include "itemgend/limits.h"

enum command_end {
    COMMAND_EXITED, /* exit_code is set */
    COMMAND_KILLED, /* signal_number is set; the signal was not ours */
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
    /* Sampled peaks of all processes together. The peak memory of the largest process is included. */
    int64_t memory, processes, disk;
    int64_t cpu_ms, duration_ms;
    int64_t printed;   /* bytes */
    struct buf output; /* the last COMMAND_OUTPUT_KEPT bytes, printable */
};
#define COMMAND_RESULT_INIT \
    {                       \
        .output = BUF_INIT  \
    }
void command_result_clear(struct command_result *result);
#define auto_command_result cleanup(command_result_clear)

/*
 * Turns the end of create-item into a result. The text names the limit and the usage.
 * 0: it succeeded.
 * NEVER: "bad_command" (stac does not know the group, option or argument), "out_of_memory", "cpu_limit" (a retry would
 * need as much again), "process_limit", "disk_limit", "output_limit".
 * LATER: "time_limit", "create_item_failed" (exit code or signal, and the end of the output), "interrupted".
 */
int command_result_check(const struct command_result *result, const struct limits *limits, struct err *err) must_check;

#endif
