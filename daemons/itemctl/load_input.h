/* load_input: reads the documents of files and stdin, one file after the other. */
#ifndef ITEMCTL_LOAD_INPUT_H
#define ITEMCTL_LOAD_INPUT_H

#include <sys/types.h>

#include "stac/reader.h"

struct load_file {
    const char *path;       /* "-": stdin */
    int64_t size, mtime_ns; /* -1: not a regular file, so its size is not known */
    dev_t device;           /* with the inode, identifies the file under any name */
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
    size_t current;          /* index of the file that is being read */
    struct load_place place; /* behind the last document that was returned */
    int fd;                  /* -1: the current file is not open yet */
    char *chunk;
    struct split_input rest; /* of the chunk */
    struct reader reader;
    int64_t bytes_read;   /* of the current file, up to the end of the chunk */
    int64_t bytes_before; /* of the files before the current one */
    int64_t total_bytes;  /* -1: not known */
};

/* Checks each file. < 0: one cannot be read, or is a directory. Close `ret` in every case. */
int load_input_open(char *const *paths, size_t n, struct load_input *ret, struct err *err) must_check;
void load_input_close(struct load_input *input);

/* Whether the path is one of the inputs, which must not be written to. */
bool load_input_has(const struct load_input *input, const char *path);

/* Continues from a place. To be called before the first load_input_next. */
void load_input_seek(struct load_input *input, const struct load_place *place);

enum load_input_event {
    LOAD_INPUT_DOCUMENT, /* a document */
    LOAD_INPUT_NOTHING,  /* none yet: the deadline has passed, or stop_fd is readable */
    LOAD_INPUT_BROKEN,   /* the file cannot be read from the document's line on, as `err` says; the next file follows */
    LOAD_INPUT_END,
};

struct load_input_next {
    enum load_input_event event;
    struct split_document document; /* the caller clears it */
    size_t file;                    /* its index */
};
/* < 0: a file cannot be read. */
int load_input_next(struct load_input *input, int stop_fd, int64_t deadline_ms, struct load_input_next *ret,
                    struct err *err) must_check;

/* The fraction of the input that has been read, 0 to 1; -1: not known. */
double load_input_fraction(const struct load_input *input);

#endif
