/*
 * load_checkpoint: a small file that records how much of a load is committed.
 *
 * It is written only when no worker has a batch. So everything before its place is loaded, and nothing behind it. A
 * load that continues from it may load documents again. That changes nothing, because they have the same published_at.
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

/* Writes another file beside `path`, syncs and renames it. < 0: it cannot be written. */
int load_checkpoint_write(const char *path, const struct load_checkpoint *checkpoint, const struct load_input *input,
                          struct err *err) must_check;

/*
 * *ret_found false: the file does not exist. NEVER: "bad_checkpoint", the file is not a checkpoint or belongs to
 * another command, or the inputs have changed since.
 */
int load_checkpoint_read(const char *path, bool collections, const struct load_input *input,
                         struct load_checkpoint *ret, bool *ret_found, struct err *err) must_check;

#endif
