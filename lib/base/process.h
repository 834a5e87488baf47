/* process: waits for a child's end and leaves its exit status for waitpid. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <sys/types.h>

#include "base/base.h"

/* A descriptor that becomes readable when the child ends (pidfd_open). -1: not supported (before Linux 5.3, valgrind).
 */
int process_fd(pid_t pid);

/* True if the child has ended. Its pid is not reused until waitpid. */
bool process_has_ended(pid_t pid);

/* Without process_fd, poll process_has_ended at this interval. */
enum { PROCESS_LOOK_MS = 20 };

#endif
