/* load_input: the files (or stdin) of a load, one after another, as documents. */
#ifndef ITEMCTL_LOAD_INPUT_H
#define ITEMCTL_LOAD_INPUT_H

#include <sys/types.h>

#include "stac/reader.h"

struct load_file {
    const char *path;       /* "-": stdin */
    int64_t size, mtime_ns; /* of a regular file; -1: what it holds is not known before it ends */
    dev_t device;           /* with the inode: which file it is, by whatever name */
    ino_t inode;
};

/* A place in the inputs, between documents. */
struct load_place {
    size_t file;
    struct split_position position;
};

struct load_input {
    struct load_file *files;
    size_t n;
    size_t current;          /* index of the file that is read */
    struct load_place place; /* behind the last document that was given */
    int fd;                  /* -1: the current file is not open yet */
    char *chunk;
    struct split_input rest; /* of the chunk */
    struct reader reader;
    int64_t bytes_read;   /* of the current file, up to the end of the chunk */
    int64_t bytes_before; /* of the files before the current one */
    int64_t total_bytes;  /* -1: not known */
};

/* Looks at each file. < 0: one cannot be read, or is a directory. `ret` is to be closed in every case. */
int load_input_open(char *const *paths, size_t n, struct load_input *ret, struct err *err) must_check;
void load_input_close(struct load_input *input);

/* Whether the path is one of the inputs, which who writes there would end. */
bool load_input_has(const struct load_input *input, const char *path);

/* Goes on from a place; before the first load_input_next. */
void load_input_seek(struct load_input *input, const struct load_place *place);

enum load_input_event {
    LOAD_INPUT_DOCUMENT, /* here is one */
    LOAD_INPUT_NOTHING,  /* none yet: the deadline has passed, or stop_fd is readable */
    LOAD_INPUT_BROKEN,   /* at the document's line the file cannot be read on: err says why; next is the next file */
    LOAD_INPUT_END,
};

/* The next document, which is the caller's to clear, and the index of its file. < 0: a file cannot be read. */
struct load_input_next {
    enum load_input_event event;
    struct split_document document;
    size_t file;
};
int load_input_next(struct load_input *input, int stop_fd, int64_t deadline_ms, struct load_input_next *ret,
                    struct err *err) must_check;

/* How much has been read, 0 to 1; -1: not known. */
double load_input_fraction(const struct load_input *input);

#endif
