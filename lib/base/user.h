/*
 * user: the user's environment variables, home directory and small files.
 */
#ifndef BASE_USER_H
#define BASE_USER_H

#include "base/buf.h"
#include "base/err.h"

/* An environment variable. NULL: not set, or empty. */
const char *user_variable(const char *name);

/*
 * Appends `path`, with a leading "~/" replaced by $HOME or, if that is not set, by the home in the password database.
 * NEVER: "no_home".
 */
int user_path(const char *path, struct buf *ret, struct err *err) must_check;

/*
 * Appends a file's content, at most `max_len` bytes. Reads without stdio, which would leave a secret in its buffers.
 * NEVER: "cannot_read", with the path; *ret_errno is the reason (EFBIG: too long).
 */
int user_read_file(const char *path, size_t max_len, struct buf *ret, int *ret_errno, struct err *err) must_check;

#endif
