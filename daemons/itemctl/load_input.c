#include "itemctl/load_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024 };

static bool is_stdin(const struct load_file *file)
{
    return strcmp(file->path, "-") == 0;
}

static int look_at(struct load_file *file, struct err *err)
{
    struct stat status;
    if ((is_stdin(file) ? fstat(STDIN_FILENO, &status) : stat(file->path, &status)) != 0 ||
        (!is_stdin(file) && access(file->path, R_OK) != 0))
        return err_fatal(err, errno, "%.500s", file->path);
    if (S_ISDIR(status.st_mode))
        return err_fatal(err, EISDIR, "%.500s", file->path);
    bool regular = S_ISREG(status.st_mode) && !is_stdin(file);
    file->size = regular ? status.st_size : -1;
    file->device = status.st_dev;
    file->inode = status.st_ino;
    file->mtime_ns = regular ? (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec : -1;
    return 0;
}

int load_input_open(char *const *paths, size_t n, struct load_input *ret, struct err *err)
{
    *ret = (struct load_input){ .fd = -1 };
    ret->files = calloc(n, sizeof(*ret->files));
    ret->chunk = malloc(CHUNK);
    if (!ret->files || !ret->chunk)
        return err_no_memory(err);
    ret->n = n;
    for (size_t i = 0; i < n; i++) {
        struct load_file *file = &ret->files[i];
        file->path = paths[i];
        int r = look_at(file, err);
        if (r != 0)
            return r;
        ret->total_bytes = file->size < 0 || ret->total_bytes < 0 ? -1 : ret->total_bytes + file->size;
    }
    return 0;
}

bool load_input_has(const struct load_input *input, const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    for (size_t i = 0; i < input->n; i++)
        if (input->files[i].device == status.st_dev && input->files[i].inode == status.st_ino)
            return true;
    return false;
}

static void close_file(struct load_input *input)
{
    if (input->fd > STDIN_FILENO)
        close(input->fd);
    input->fd = -1;
    reader_clear(&input->reader);
    input->bytes_read = 0;
}

void load_input_close(struct load_input *input)
{
    close_file(input);
    free(input->files);
    free(input->chunk);
}

void load_input_seek(struct load_input *input, const struct load_place *place)
{
    input->place = *place;
    input->current = place->file;
    for (size_t i = 0; i < place->file && input->total_bytes >= 0; i++)
        input->bytes_before += input->files[i].size;
}

/* Reads up to CHUNK bytes. *ret_len -1: none yet. */
static int read_chunk(struct load_input *input, int stop_fd, int64_t deadline_ms, ssize_t *ret_len, struct err *err)
{
    *ret_len = -1;
    if (wait_fd(input->fd, POLLIN, stop_fd, deadline_ms) != WAIT_READY)
        return 0;
    *ret_len = read(input->fd, input->chunk, CHUNK);
    if (*ret_len < 0 && errno != EINTR && errno != EAGAIN)
        return err_fatal(err, errno, "reading %.500s", input->files[input->current].path);
    return 0;
}

/* The chunk is the next part of the file. */
static int take_chunk(struct load_input *input, size_t len, struct err *err)
{
    if (len == 0 && input->reader.to_skip > 0)
        return err_fatal(err, ENODATA, "%.500s ends before the place where the load is to continue",
                         input->files[input->current].path);
    input->bytes_read += (int64_t)len;
    input->rest = (struct split_input){ .data = input->chunk, .len = len, .end = len == 0 };
    return 0;
}

/* Compressed data and pipes can only be read from the beginning. */
static bool seek(const struct load_input *input, int64_t offset)
{
    char head[ENCODING_LOOK];
    ssize_t len = input->files[input->current].size >= 0 ? pread(input->fd, head, sizeof(head), 0) : -1;
    return len >= 0 && encoding_of(head, (size_t)len, true).kind == ENCODING_TEXT &&
           lseek(input->fd, offset, SEEK_SET) == offset;
}

/* A named pipe is opened without waiting for a writer: read_chunk waits, and heeds a stop. */
static int open_file(struct load_input *input, struct err *err)
{
    const struct load_file *file = &input->files[input->current];
    struct reader_options options = { .from = input->place.position, .may_unpack = true };
    input->fd = is_stdin(file) ? STDIN_FILENO : open(file->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (input->fd < 0)
        return err_fatal(err, errno, "%.500s", file->path);
    input->rest = (struct split_input){ .data = input->chunk };
    options.is_sought = options.from.offset > 0 && seek(input, options.from.offset);
    input->bytes_read = options.is_sought ? options.from.offset : 0;
    reader_init(&input->reader, &options);
    return 0;
}

static void end_file(struct load_input *input)
{
    close_file(input);
    if (input->total_bytes >= 0)
        input->bytes_before += input->files[input->current].size;
    input->current++;
    input->place = (struct load_place){ .file = input->current };
}

/* Takes a document from the chunk, or finds that the file ends or that more of it is needed. */
static int read_rest(struct load_input *input, struct load_input_next *ret, struct err *err)
{
    bool found = false;
    int r = reader_next(&input->reader, &input->rest, &ret->document, &found, err);
    if (r < 0)
        return r;
    ret->file = input->current;
    if (r == NEVER) {
        const struct split_position *at = &input->reader.split.at;
        ret->document = (struct split_document){ .line = at->lines + 1, .index = at->documents };
        end_file(input);
        ret->event = LOAD_INPUT_BROKEN;
    } else if (found) {
        input->place.position = ret->document.end;
        ret->event = LOAD_INPUT_DOCUMENT;
    } else if (input->rest.end) {
        end_file(input);
    }
    return 0;
}

int load_input_next(struct load_input *input, int stop_fd, int64_t deadline_ms, struct load_input_next *ret,
                    struct err *err)
{
    *ret = (struct load_input_next){ .event = LOAD_INPUT_NOTHING };
    while (ret->event == LOAD_INPUT_NOTHING) {
        if (input->current == input->n) {
            ret->event = LOAD_INPUT_END;
            return 0;
        }
        int r = input->fd < 0 ? open_file(input, err) : 0;
        if (r == 0)
            r = read_rest(input, ret, err);
        if (r != 0)
            return r;
        if (ret->event != LOAD_INPUT_NOTHING || input->fd < 0)
            continue;
        ssize_t len = -1;
        r = read_chunk(input, stop_fd, deadline_ms, &len, err);
        if (r != 0 || len < 0)
            return r;
        r = take_chunk(input, (size_t)len, err);
        if (r != 0)
            return r;
    }
    return 0;
}

double load_input_fraction(const struct load_input *input)
{
    if (input->total_bytes <= 0)
        return input->total_bytes < 0 ? -1 : 1;
    int64_t here = input->fd >= 0 ? input->bytes_read : 0;
    return (double)(input->bytes_before + here) / (double)input->total_bytes;
}
