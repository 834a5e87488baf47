/*
 * load_progress: what a load says on stderr: messages, and on a terminal a line that shows how far it is.
 *
 * The line is drawn over and over by one thread; a message from any thread takes its place and it is drawn again below.
 */
#ifndef ITEMCTL_LOAD_PROGRESS_H
#define ITEMCTL_LOAD_PROGRESS_H

#include "itemctl/load_counts.h"

struct load_progress {
    bool shows;  /* stderr is a terminal that can draw over a line */
    bool colour; /* and NO_COLOR is not set */
};

void load_progress_init(struct load_progress *progress);

/* One line "itemctl: ..." made printable; for any thread. */
void load_progress_say(const struct load_progress *progress, const char *format, ...) printf_like(2, 3);

struct load_progress_state {
    const struct load_counts *counts;
    int64_t run_ms;        /* of this run */
    int64_t run_documents; /* done in this run */
    double fraction;       /* of the input that is done, 0 to 1; below 0: not known */
    double fraction_at_start;
};
void load_progress_draw(const struct load_progress *progress, const struct load_progress_state *state);
void load_progress_erase(const struct load_progress *progress);

#endif
