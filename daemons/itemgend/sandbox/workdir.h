/*
 * workdir: private directories, one for each item, removed with all that was put into them.
 *
 *     work_dir/run-XXXXXX/               one run of the service, locked (flock) while it lasts
 *     work_dir/run-XXXXXX/item-XXXXXX    an item by itself
 *     work_dir/run-XXXXXX/NAME/item-XXXXXX    one of those that a server makes, which sees NAME only
 */
#ifndef ITEMGEND_WORKDIR_H
#define ITEMGEND_WORKDIR_H

#include "base/buf.h"
#include "base/err.h"

struct workdir; /* of one run; thread-safe */

/* Makes nothing yet: a work_dir that cannot be used is told by workdir_place. < 0 only. */
int workdir_open(const char *work_dir, struct workdir **ret, struct err *err) must_check;
/* Removes the run's directory, if it has one, and again what runs that have ended left. NULL is allowed. */
void workdir_close(struct workdir *workdir);

/*
 * Where items are made: the run's directory (`name` NULL), or NAME in it, made if it is not there (mode 0700); the path
 * is absolute and the caller's to free. The first call also removes what runs that have ended left in work_dir. LATER,
 * an outage: "work_dir_unusable".
 */
int workdir_place(struct workdir *workdir, const char *name, char **ret_path, struct err *err) must_check;

/* Makes PLACE/item-XXXXXX (mode 0700); the path is the caller's to free. LATER, an outage: "work_dir_unusable". */
int workdir_new(const char *place, char **ret_path, struct err *err) must_check;

/*
 * Removes it, following no links, however deep it is. Whoever still writes to it (the server of its package may) can
 * keep something of it there, and nothing else is removed: it ends after a minute at most. NULL is allowed.
 */
void workdir_remove(const char *path);

/*
 * The size of all that is in the directory, in bytes: of each file its length or what it takes on the disk, whichever
 * is more. More than `limit` where it is, and where it cannot be told (a directory that is locked, or too deep).
 */
int64_t workdir_usage(const char *path, int64_t limit);

/*
 * Reads a file in the directory: a regular file of at most `max_len` bytes, no link. NEVER: "no_item",
 * "item_too_large".
 */
int workdir_read(const char *path, const char *name, size_t max_len, struct buf *ret, struct err *err) must_check;

#endif
