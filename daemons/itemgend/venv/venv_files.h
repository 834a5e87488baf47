/* venv_files: file system helpers for environments. Internal to venv/. */
#ifndef ITEMGEND_VENV_FILES_H
#define ITEMGEND_VENV_FILES_H

#include "base/buf.h"
#include "base/strv.h"

enum { VENV_FILES_MARK_MAX = 64 << 10 };

/* A path, which the caller frees; NULL: no memory. */
char *venv_files_path(const char *format, ...) printf_like(1, 2) must_check;

/* The real path of a program, given by its path or by a name to look up in PATH. The caller frees it. NULL: not found.
 */
char *venv_files_find_program(const char *name) must_check;

/* Reads the whole file. False: it has more than `max` bytes, or cannot be read. */
bool venv_files_read(int fd, size_t max, struct buf *ret) must_check;

/* Appends the paths of the directory's entries whose names begin with `prefix` ("": all but hidden ones). Appends
 * nothing if the directory cannot be read. */
void venv_files_list(const char *directory, const char *prefix, struct strv *ret);

/* The disk space of everything in the directory, in bytes. `unshared`: only of files that have no other hard link. */
int64_t venv_files_disk_usage(const char *directory, bool unshared);

#endif
