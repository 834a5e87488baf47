/* environment_files: what environments need of a file system. Internal to environment. */
#ifndef ITEMGEND_ENVIRONMENT_FILES_H
#define ITEMGEND_ENVIRONMENT_FILES_H

#include "base/buf.h"
#include "base/strv.h"

enum { ENVIRONMENT_MARK_MAX = 64 << 10 };

/* The caller's to free; NULL: no memory. */
char *environment_path(const char *format, ...) printf_like(1, 2) must_check;

/* The real path of a program: a path, or a name that is looked for in PATH; the caller's to free. NULL: there is none.
 */
char *environment_find_program(const char *name) must_check;

/* Reads the whole file; false: more than `max` bytes, or it cannot be read. */
bool environment_read(int fd, size_t max, struct buf *ret) must_check;

/* Appends the paths of what is in the directory under a name that begins with `prefix` ("": all but hidden ones).
 * Nothing where it cannot be read. */
void environment_list(const char *directory, const char *prefix, struct strings *ret);

/* What all that is there takes on the disk, in bytes. `unshared`: only what has no other hard link. */
int64_t environment_disk_usage(const char *directory, bool unshared);

#endif
