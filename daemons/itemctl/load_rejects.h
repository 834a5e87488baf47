/*
 * load_rejects: the file of rejected documents, each a line of JSON:
 *     {"error_code", "error", "file", "line", "index", "item"}
 * - "line" (from 1) is where the document begins, "index" (from 0) the number of documents before it in its file.
 * - A document that is not JSON has "text" in place of "item", with '?' for bytes that are not UTF-8.
 * - The file can be corrected and loaded again.
 */
#ifndef ITEMCTL_LOAD_REJECTS_H
#define ITEMCTL_LOAD_REJECTS_H

#include "itemctl/load_batch.h"

struct load_rejects {
    const char *path; /* NULL: no --rejects */
    int fd;
    int64_t len;
    struct buf lines; /* not written yet */
};

/* Keeps the first `keep` bytes of the file. < 0: it cannot be written. Close `ret` in every case. */
int load_rejects_open(const char *path, int64_t keep, struct load_rejects *ret, struct err *err) must_check;
void load_rejects_close(struct load_rejects *rejects);

/* Adds a rejected entry of the input `from`. */
int load_rejects_add(struct load_rejects *rejects, const char *from, const struct load_entry *entry, struct err *err)
    must_check;
/* Writes all entries that were added. With `sync`, they survive a crash of the machine. */
int load_rejects_flush(struct load_rejects *rejects, bool sync, struct err *err) must_check;

/*
 * If the document is a line of such a file, replaces it with the rejected document in it. If somebody corrected the
 * line so that it has "item" and "text", "item" counts. < 0: no memory.
 */
int load_rejects_unwrap(struct buf *text, struct err *err) must_check;

#endif
