/*
 * parts: the result of a message that has many parts: items in a list, records of an event. Pure.
 *
 * Each part is worked on, also if others are bad. The message then has one result, the worst of its parts':
 *     LATER  if any part is to be tried again. All are, because the good ones do no harm.
 *     NEVER  if any part can never succeed, and no part is to be tried again
 *     0      if all are done
 * Its error has the code of the first part with that result, and names every such part: "2 of 5 documents; line 1: ...;
 * line 4: ...". A dead letter has room for 1 KiB, so the texts of many are cut, then only their lines are given, then
 * their number. If the message has one part, its error is that part's.
 */
#ifndef WORKER_PARTS_H
#define WORKER_PARTS_H

#include "base/buf.h"
#include "base/err.h"

struct parts {
    int result;     /* the worst so far */
    struct err err; /* the first part's with that result; complete after parts_conclude */
    size_t n;
    size_t n_failed, n_named; /* with `result`; those of them that are in the buffers */
    struct buf texts, lines;
};
void parts_clear(struct parts *parts);

/* Adds the result of a part. `line`: where it begins in the message, or 0; `err`: of LATER and NEVER. */
void parts_add(struct parts *parts, int64_t line, int result, const struct err *err);

/* After parts were added: completes the error. `noun`: what the parts are, in the plural. */
void parts_conclude(struct parts *parts, const char *noun);

#endif
