/*
 * load_progress: prints messages on stderr, and on a terminal a line with the progress.
 *
 * One thread draws the line again and again. A message from any thread overwrites it; it is then drawn again below.
 */
#ifndef ITEMCTL_LOAD_PROGRESS_H
#define ITEMCTL_LOAD_PROGRESS_H

#include "itemctl/load_counts.h"

struct load_progress {
    bool draws;  /* stderr is a terminal that can overwrite a line */
    bool colour; /* and NO_COLOR is not set */
};

void load_progress_init(struct load_progress *progress);

/* Prints a line "itemctl: ...", made printable. Thread-safe. */
void load_progress_say(const struct load_progress *progress, const char *format, ...) printf_like(2, 3);

struct load_progress_state {
    const struct load_counts *counts;
    int64_t run_ms;        /* since this run began */
    int64_t run_documents; /* done in this run */
    double fraction;       /* of the input that is done, 0 to 1; below 0: not known */
    double fraction_at_start;
};
void load_progress_draw(const struct load_progress *progress, const struct load_progress_state *state);
void load_progress_erase(const struct load_progress *progress);

#endif
