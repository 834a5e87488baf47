/* process: waiting for the end of a child without taking its exit status. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <sys/types.h>

#include "base/base.h"

/* A descriptor that becomes readable when the child has ended (pidfd_open, Linux 5.3); -1 where there is none: an older
 * kernel, valgrind. */
int process_fd(pid_t pid);

/* Whether the child has ended; its number stays its own until somebody waits for it. */
bool process_has_ended(pid_t pid);

/* How long to wait at most between two looks at process_has_ended where process_fd gave none. */
enum { PROCESS_LOOK_MS = 20 };

#endif
