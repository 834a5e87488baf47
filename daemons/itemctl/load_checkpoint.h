/*
 * load_checkpoint: a small file that says how far a load is committed.
 *
 * It is written only when no batch is under way, so that it holds for all before its place and for nothing behind it:
 * what an interrupted load did after it is done again, with the same published_at, which changes nothing that is in.
 */
#ifndef ITEMCTL_LOAD_CHECKPOINT_H
#define ITEMCTL_LOAD_CHECKPOINT_H

#include "itemctl/load_counts.h"
#include "itemctl/load_input.h"

struct load_checkpoint {
    bool collections;
    int64_t published_at_ms;
    int64_t rejects_len; /* of the rejects file, in bytes */
    struct load_place place;
    struct load_counts counts;
};

/* Puts it at `path` in one step (a file beside it, fsync, rename). < 0: it cannot be written. */
int load_checkpoint_write(const char *path, const struct load_checkpoint *checkpoint, const struct load_input *input,
                          struct err *err) must_check;

/*
 * Reads what a load of the same command left. *ret_found false: there is none. NEVER "bad_checkpoint": it is none, is
 * another command's, or the files have changed since.
 */
int load_checkpoint_read(const char *path, bool collections, const struct load_input *input,
                         struct load_checkpoint *ret, bool *ret_found, struct err *err) must_check;

#endif
