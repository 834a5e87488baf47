/*
 * supervise: watches what a process has started until something else happens, and sees when a limit is met.
 *
 * Time and output are exact; memory, processor time, processes and disk are looked at several times a second.
 */
#ifndef ITEMGEND_SUPERVISE_H
#define ITEMGEND_SUPERVISE_H

#include <sys/types.h>

#include "itemgend/sandbox/command_result.h"

struct supervision {
    const struct limits *limits;
    const char *directory; /* that the disk limit is for; NULL: none */
    int stop_fd;
    int output_fd;    /* the reading end, which does not block; the caller's to close */
    pid_t root;       /* what is below it is measured (tree.h); 0: nobody yet */
    int64_t began_ms; /* time_mono_ms() */
    int64_t sample_at_ms;
    bool output_ended;
};

/* Nothing is to be done at its end. */
void supervise_begin(struct supervision *supervision);

/*
 * Until `event_fd` is readable or `child` (0: none), one of our own, has ended: true. False: a limit was met or stop_fd
 * is readable, `result->end` says which; the caller ends it all. What it takes meanwhile goes into `result`.
 */
bool supervise_until(struct supervision *supervision, int event_fd, pid_t child, struct command_result *result)
    must_check;

/* After its end: takes the rest of the output, and looks at what it left; sets `result->end` where that is too much. */
void supervise_finish(struct supervision *supervision, struct command_result *result);

#endif
