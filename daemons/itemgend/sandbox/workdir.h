/*
 * workdir: private directories, one for each item, removed with all their content.
 *
 *     work_dir/run-XXXXXX/                    one run of the service, locked (flock) while it lasts
 *     work_dir/run-XXXXXX/item-XXXXXX         an item by itself
 *     work_dir/run-XXXXXX/NAME/item-XXXXXX    an item of a fork server, which sees only NAME
 */
#ifndef ITEMGEND_WORKDIR_H
#define ITEMGEND_WORKDIR_H

#include "base/buf.h"
#include "base/err.h"

struct workdir; /* one per run; thread-safe */

/* Makes no directory yet: workdir_place reports a work_dir that cannot be used. < 0 only. */
int workdir_open(const char *work_dir, struct workdir **ret, struct err *err) must_check;
/* Removes the directory of this run, and leftovers of runs that have ended. NULL is allowed. */
void workdir_close(struct workdir *workdir);

/*
 * The directory for items: that of the run (`name` NULL), or NAME in it, which is made if necessary (mode 0700). The
 * path is absolute, and the caller frees it. The first call also removes leftovers of runs that have ended. LATER, an
 * outage: "work_dir_unusable".
 */
int workdir_place(struct workdir *workdir, const char *name, char **ret_path, struct err *err) must_check;

/* Makes PLACE/item-XXXXXX (mode 0700). The caller frees the path. LATER, an outage: "work_dir_unusable". */
int workdir_new(const char *place, char **ret_path, struct err *err) must_check;

/*
 * Removes the directory, however deep, without following links, within a minute. A process that still writes to it (its
 * fork server could) may keep a part of it, but nothing outside it is ever removed. NULL is allowed.
 */
void workdir_remove(const char *path);

/*
 * The size of the directory's content in bytes: for each file its length or its disk space, whichever is larger. More
 * than `limit` if it is larger, or cannot be measured (a directory is unreadable, or too deep).
 */
int64_t workdir_usage(const char *path, int64_t limit);

/* Reads a regular file of the directory, with at most `max_len` bytes; does not follow links. NEVER: "no_item",
 * "item_too_large". */
int workdir_read(const char *path, const char *name, size_t max_len, struct buf *ret, struct err *err) must_check;

#endif
