/* workdir: a private directory for one item, removed with all that was put into it. */
#ifndef ITEMGEND_WORKDIR_H
#define ITEMGEND_WORKDIR_H

#include "base/buf.h"
#include "base/err.h"

/* Makes PARENT/item-XXXXXX (mode 0700); the path is the caller's to free. LATER, an outage:
 * "work_dir_unusable": the parent cannot be written to. */
int workdir_new(const char *parent, char **ret_path, struct err *err) must_check;
/* Removes it, following no links. NULL is allowed. */
void workdir_remove(const char *path);

/* Removes what an earlier process left in PARENT. */
void workdir_remove_old(const char *parent);

/*
 * Reads a file in the directory: a regular file of at most `max_len` bytes, no link. NEVER: "no_item",
 * "item_too_large".
 */
int workdir_read(const char *path, const char *name, size_t max_len, struct buf *ret, struct err *err) must_check;

#endif
