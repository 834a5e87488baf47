/*
 * load_rejects: the file of what was rejected, a line of JSON each:
 *     {"error_code", "error", "file", "line", "index", "item"}
 * "line" (from 1) is where the document begins, "index" (from 0) how many come before it in its file. What is no JSON
 * has "text" in place of "item", with '?' for bytes that are no UTF-8. The file can be mended and loaded as it is.
 */
#ifndef ITEMCTL_LOAD_REJECTS_H
#define ITEMCTL_LOAD_REJECTS_H

#include "itemctl/load_batch.h"

struct load_rejects {
    const char *path; /* NULL: nobody asked for one */
    int fd;
    int64_t len;
    struct buf lines; /* not written yet */
};

/* Begins the file, or goes on behind its first `keep` bytes. < 0: it cannot be written. `ret` is to be closed. */
int load_rejects_open(const char *path, int64_t keep, struct load_rejects *ret, struct err *err) must_check;
void load_rejects_close(struct load_rejects *rejects);

/* A rejected entry of the file `from`. */
int load_rejects_add(struct load_rejects *rejects, const char *from, const struct load_entry *entry, struct err *err)
    must_check;
/* What has been added is in the file; with `sync` also after a crash of the machine. */
int load_rejects_flush(struct load_rejects *rejects, bool sync, struct err *err) must_check;

/*
 * Where the document is a line of such a file: makes it what was rejected. Of a line that is mended by hand, so that it
 * has both, the item counts. < 0: no memory.
 */
int load_rejects_unwrap(struct buf *text, struct err *err) must_check;

#endif
