/*
 * supervise: watches the processes below one process, and detects when they exceed a limit.
 *
 * Time and output are exact. Memory, processor time, processes and disk space are sampled several times a second.
 */
#ifndef ITEMGEND_SUPERVISE_H
#define ITEMGEND_SUPERVISE_H

#include <sys/types.h>

#include "itemgend/sandbox/command_result.h"

struct supervision {
    const struct limits *limits;
    const char *directory; /* for the disk limit; NULL: none */
    int stop_fd;
    int output_fd;    /* the non-blocking read end; the caller closes it */
    pid_t root;       /* the processes below it are measured (process_tree.h); 0: none yet */
    int64_t began_ms; /* time_mono_ms() */
    int64_t sample_at_ms;
    bool output_ended;
};

/* A supervision needs no clean-up. */
void supervise_begin(struct supervision *supervision);

/*
 * True: `event_fd` is readable, or `child` (a child of ours; 0: none) has ended. False: a limit is exceeded or stop_fd
 * is readable; `result->end` says which, and the caller ends the processes. Records their usage in `result`.
 */
bool supervise_until(struct supervision *supervision, int event_fd, pid_t child, struct command_result *result)
    must_check;

/* Call it after the end of the processes: reads the rest of the output and measures the directory. Sets `result->end`
 * if one of them exceeds its limit. */
void supervise_finish(struct supervision *supervision, struct command_result *result);

#endif
