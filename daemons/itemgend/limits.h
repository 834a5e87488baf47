/* limits: the resources that one item may use. */
#ifndef ITEMGEND_LIMITS_H
#define ITEMGEND_LIMITS_H

#include <stdint.h>

struct limits {
    int64_t memory; /* bytes, all its processes together */
    int64_t time_ms;
    int64_t cpu_ms;    /* all its processes together */
    int64_t processes; /* at the same time */
    int64_t files;     /* open files of one process */
    int64_t disk;      /* bytes in its directory */
    int64_t output;    /* bytes that it prints */
};

/* A file may exceed `disk` by this many bytes, so that the excess is measured before a write fails. */
enum { LIMITS_FILE_SLACK = 1 << 20 };

#endif
