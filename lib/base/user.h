/*
 * user: what the process's user gives it: variables, the home directory, small files.
 */
#ifndef BASE_USER_H
#define BASE_USER_H

#include "base/buf.h"
#include "base/err.h"

/* An environment variable, or NULL where it is not set or empty. */
const char *user_variable(const char *name);

/*
 * Appends `path` with a leading "~/" replaced by $HOME, or the password database's home where that is not set.
 * NEVER: "no_home".
 */
int user_path(const char *path, struct buf *ret, struct err *err) must_check;

/*
 * Appends a file's content, at most `max_len` bytes. NEVER: "cannot_read" with the path in its text; *ret_errno says
 * why (EFBIG: longer). It is read without stdio, which would leave a secret in its buffers.
 */
int user_read_file(const char *path, size_t max_len, struct buf *ret, int *ret_errno, struct err *err) must_check;

#endif
