#include "itemctl/load_checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

#include "base/user.h"
#include "base/json.h"

enum { CHECKPOINT_MAX = 16 << 20 };

/* In the order of enum split_form. */
static const char *const forms[] = { "values", "lines", "array", "features" };

static const char *command_name(bool collections)
{
    return collections ? "load collections" : "load items";
}

/* ----------------------------------------------------------------- writing */

static void write_files(const struct load_input *input, struct buf *ret)
{
    for (size_t i = 0; i < input->n; i++) {
        buf_puts(ret, i ? ",{\"path\":" : "{\"path\":");
        json_write_string(input->files[i].path, ret);
        buf_printf(ret, ",\"size\":%lld,\"mtime_ns\":%lld}", (long long)input->files[i].size,
                   (long long)input->files[i].mtime_ns);
    }
}

static void write_text(const struct load_checkpoint *checkpoint, const struct load_input *input, struct buf *ret)
{
    const struct load_place *place = &checkpoint->place;
    buf_printf(ret,
               "{\"command\":\"itemctl %s\",\"published_at\":%lld,\"elapsed_ms\":%lld,\"rejects_len\":%lld,\"files\":[",
               command_name(checkpoint->collections), (long long)checkpoint->published_at_ms,
               (long long)checkpoint->counts.elapsed_ms, (long long)checkpoint->rejects_len);
    write_files(input, ret);
    buf_printf(
        ret,
        "],\"place\":{\"file\":%zu,\"form\":\"%s\",\"after_comma\":%d,\"offset\":%lld,\"lines\":%lld,\"column\":%lld,"
        "\"documents\":%lld}",
        place->file, forms[place->position.form], place->position.after_comma, (long long)place->position.offset,
        (long long)place->position.lines, (long long)place->position.column, (long long)place->position.documents);
    buf_puts(ret, ",\"counts\":{");
    load_counts_write(&checkpoint->counts, checkpoint->collections, ret);
    buf_puts(ret, "}}\n");
}

/* The name of the file survives a crash only after its directory is synced. */
static int sync_directory(const char *path, struct err *err)
{
    auto_free char *copy = strdup(path);
    if (!copy)
        return err_no_memory(err);
    auto_close int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? 0 : err_fatal(err, errno, "syncing the directory of %.500s", path);
}

static int write_file(const char *path, const struct buf *text, struct err *err)
{
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_fatal(err, errno, "%.500s", path);
    for (size_t at = 0; at < text->len;) {
        ssize_t n = write(fd, text->data + at, text->len - at);
        if (n < 0 && errno != EINTR)
            return err_fatal(err, errno, "writing %.500s", path);
        at += n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0 ? 0 : err_fatal(err, errno, "writing %.500s", path);
}

int load_checkpoint_write(const char *path, const struct load_checkpoint *checkpoint, const struct load_input *input,
                          struct err *err)
{
    auto_buf struct buf text = BUF_INIT, beside = BUF_INIT;
    write_text(checkpoint, input, &text);
    buf_printf(&beside, "%s.new", path);
    if (buf_failed(&text) || buf_failed(&beside))
        return err_no_memory(err);
    int r = write_file(buf_str(&beside), &text, err);
    if (r != 0)
        return r;
    if (rename(buf_str(&beside), path) != 0)
        return err_fatal(err, errno, "%.500s", path);
    return sync_directory(path, err);
}

/* ----------------------------------------------------------------- reading */

static bool read_place(const cJSON *json, const struct load_input *input, struct load_place *ret)
{
    const char *form = json_get_string(json, "form");
    int64_t file = 0, after_comma = 0;
    *ret = (struct load_place){ .file = 0 };
    for (size_t i = 0; form && i < N_ELEMENTS(forms); i++)
        if (strcmp(form, forms[i]) == 0)
            ret->position.form = (enum split_form)i;
    bool ok = form && json_get_i64(json, "file", 0, (int64_t)input->n, &file) &&
              json_get_i64(json, "offset", 0, INT64_MAX, &ret->position.offset) &&
              json_get_i64(json, "after_comma", 0, 1, &after_comma) &&
              json_get_i64(json, "lines", 0, INT64_MAX, &ret->position.lines) &&
              json_get_i64(json, "column", 0, INT64_MAX, &ret->position.column) &&
              json_get_i64(json, "documents", 0, INT64_MAX, &ret->position.documents);
    ret->file = (size_t)file;
    ret->position.after_comma = after_comma == 1;
    return ok;
}

/* The error names the first file that has changed. */
static int check_files(const char *path, const cJSON *files, const struct load_input *input, struct err *err)
{
    size_t i = 0;
    for (const cJSON *file = cJSON_IsArray(files) ? files->child : NULL; file; file = file->next, i++) {
        const char *name = json_get_string(file, "path");
        int64_t size = 0, mtime_ns = 0;
        if (!name || i >= input->n || strcmp(name, input->files[i].path) != 0)
            break;
        if (!json_get_i64(file, "size", -1, INT64_MAX, &size) ||
            !json_get_i64(file, "mtime_ns", INT64_MIN, INT64_MAX, &mtime_ns) || size != input->files[i].size ||
            mtime_ns != input->files[i].mtime_ns)
            return err_never(err, "bad_checkpoint",
                             "%.300s has changed since checkpoint %.300s was written; remove the checkpoint to load it "
                             "from its beginning",
                             name, path);
    }
    return i == input->n && cJSON_GetArraySize(files) == (int)i
               ? 0
               : err_never(err, "bad_checkpoint",
                           "checkpoint %.300s is of a load of other files; give the same ones, or remove it", path);
}

int load_checkpoint_read(const char *path, bool collections, const struct load_input *input,
                         struct load_checkpoint *ret, bool *ret_found, struct err *err)
{
    *ret_found = false;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    auto_buf struct buf text = BUF_INIT;
    auto_json cJSON *json = NULL;
    int error = 0;
    int r = user_read_file(path, CHECKPOINT_MAX, &text, &error, err);
    if (r == 0)
        r = json_parse(buf_str(&text), text.len, &json, NULL);
    if (error != 0 || r < 0)
        return r;
    const char *command = json_get_string(json, "command");
    if (r != 0 || !command || strncmp(command, "itemctl ", 8) != 0)
        return err_never(err, "bad_checkpoint", "%.500s is not a checkpoint of itemctl; name another file", path);
    if (strcmp(command + 8, command_name(collections)) != 0)
        return err_never(err, "bad_checkpoint",
                         "checkpoint %.300s is of another command, %.300s; name another file, or remove it", path,
                         command);
    r = check_files(path, json_get(json, "files"), input, err);
    if (r != 0)
        return r;
    *ret = (struct load_checkpoint){ .collections = collections };
    *ret_found = read_place(json_get(json, "place"), input, &ret->place) &&
                 json_get_i64(json, "published_at", 1, INT64_MAX, &ret->published_at_ms) &&
                 json_get_i64(json, "rejects_len", 0, INT64_MAX, &ret->rejects_len) &&
                 load_counts_read(json_get(json, "counts"), collections, &ret->counts) &&
                 json_get_i64(json, "elapsed_ms", 0, INT64_MAX, &ret->counts.elapsed_ms);
    return *ret_found
               ? 0
               : err_never(err, "bad_checkpoint", "%.500s is not a checkpoint of itemctl; name another file", path);
}
