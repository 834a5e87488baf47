/* limits: what the making of one item may take. */
#ifndef ITEMGEND_LIMITS_H
#define ITEMGEND_LIMITS_H

#include <stdint.h>

struct limits {
    int64_t memory; /* bytes, of all its processes together */
    int64_t time_ms;
    int64_t cpu_ms;    /* of all its processes together */
    int64_t processes; /* at the same time */
    int64_t files;     /* that one process may have open */
    int64_t disk;      /* bytes in its directory */
    int64_t output;    /* bytes that it may print */
};

/* A file may grow over `disk` by so many bytes, for the limit to be seen exceeded before it is felt as an error. */
enum { LIMITS_FILE_SLACK = 1 << 20 };

#endif
