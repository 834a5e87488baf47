#include "itemgend/venv/venv_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/time.h"
#include "itemgend/venv/venv_files.h"
#include "itemgend/sandbox/variables.h"
#include "itemgend/sandbox/workdir.h"

enum { CONSTRAINTS_MAX = 1 << 20, NAME_BYTES = 16 };

/* ------------------------------------------------------------------ names */

static int add_constraints(const char *path, struct buf *ret, struct err *err)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || !venv_files_read(fd, CONSTRAINTS_MAX, ret))
        return err_outage(err, "no_environment", "cannot read the constraints %s: %s", path,
                          fd < 0 ? strerror(errno) : "it is larger than 1 MiB, or reading it failed");
    return 0;
}

/* The parts cannot run into each other: each ends with a newline, and configuration values have none. */
int venv_store_folder(const struct itemgend_options *options, const char *requirement, char **ret, struct err *err)
{
    auto_buf struct buf all = BUF_INIT;
    buf_printf(&all, "1\n%s\n%d\n", requirement, options->source_builds);
    for (size_t i = 0; i < options->with.n; i++)
        buf_printf(&all, "%s\n", options->with.items[i]);
    auto_strv struct strv variables = STRV_INIT;
    variables_for_uv(options, "", &variables);
    for (size_t i = 0; i < variables.n; i++)
        if (strncmp(variables.list[i], "UV_", 3) == 0)
            buf_printf(&all, "%s\n", variables.list[i]);
    int r = options->constraints && *options->constraints ? add_constraints(options->constraints, &all, err) : 0;
    if (r != 0)
        return r;
    unsigned char digest[SHA256_SIZE];
    if (variables.failed || buf_failed(&all) || !hash_sha256(all.data, all.len, digest))
        return err_no_memory(err);
    auto_buf struct buf folder = BUF_INIT;
    buf_printf(&folder, "%s/environments/", options->cache_dir);
    buf_add_hex(&folder, digest, NAME_BYTES);
    *ret = buf_take(&folder);
    return *ret ? 0 : err_no_memory(err);
}

/* ---------------------------------------------------------------- folders */

static int cannot(const char *what, const char *path, struct err *err)
{
    return err_outage(err, "no_environment", "cannot %s %s: %s", what, path, strerror(errno));
}

/* Like `mkdir -p -m 700`. */
static int make_directories(const char *path, struct err *err)
{
    auto_free char *part = strdup(path);
    if (!part)
        return err_no_memory(err);
    for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return cannot("make", part, err);
        if (!slash)
            return 0;
        *slash = '/';
    }
}

int venv_store_lock(const char *folder, int *ret_fd, struct err *err)
{
    *ret_fd = -1;
    int r = make_directories(folder, err);
    if (r != 0)
        return r;
    auto_free char *path = venv_files_path("%s/lock", folder);
    if (!path)
        return err_no_memory(err);
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENOENT) /* the empty folder was just removed: try again */
        return 0;
    if (fd < 0)
        return cannot("open", path, err);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK || errno == EINTR ? 0 : cannot("lock", path, err);
    struct stat status;
    if (fstat(fd, &status) < 0 || status.st_nlink == 0)
        return 0;
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int venv_store_begin(const char *folder, bool is_prepared, char **ret_build, struct err *err)
{
    auto_free char *build = venv_files_path("%s/build-%s", folder, is_prepared ? "prepared" : "XXXXXX");
    if (!build)
        return err_no_memory(err);
    if (is_prepared)
        workdir_remove(build); /* left by a killed build */
    if (is_prepared ? mkdir(build, 0700) < 0 : !mkdtemp(build))
        return cannot("make a directory in", folder, err);
    *ret_build = TAKE(build);
    return 0;
}

/* -------------------------------------------------------------- the mark */

static bool add_number(cJSON *mark, const char *key, int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)value);
    return cJSON_AddRawToObject(mark, key, text);
}

static int write_all(const char *path, const struct buf *text, struct err *err)
{
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, buf_str(text), text->len) != (ssize_t)text->len || fsync(fd) < 0)
        return cannot("write", path, err);
    return 0;
}

int venv_store_finish(const char *build, bool is_prepared, cJSON *mark, struct err *err)
{
    auto_free char *directory = venv_files_path("%s/venv", build);
    auto_free char *python = venv_files_path("%s/venv/bin/python", build);
    auto_free char *path = venv_files_path("%s/environment.json", build);
    auto_free char *temporary = venv_files_path("%s/environment.json.new", build);
    if (!directory || !python || !path || !temporary)
        return err_no_memory(err);
    auto_buf struct buf text = BUF_INIT;
    if (!cJSON_AddStringToObject(mark, "directory", directory) || !cJSON_AddStringToObject(mark, "python", python) ||
        !add_number(mark, "built_at", is_prepared ? 0 : time_now_ms()) ||
        !add_number(mark, "size", is_prepared ? 0 : venv_files_disk_usage(build, false)))
        return err_no_memory(err);
    json_write(mark, &text);
    if (buf_failed(&text))
        return err_no_memory(err);
    int r = write_all(temporary, &text, err);
    if (r == 0 && rename(temporary, path) < 0)
        r = cannot("write", path, err);
    return r;
}

int venv_store_compiled(const struct stored_venv *stored, struct err *err)
{
    auto_free char *path = venv_files_path("%s/compiled", stored->build);
    auto_buf struct buf nothing = BUF_INIT;
    return path ? write_all(path, &nothing, err) : err_no_memory(err);
}

void venv_store_free(struct stored_venv *stored)
{
    if (!stored)
        return;
    base_close_fd(&stored->mark_fd);
    cJSON_Delete(stored->json);
    free(stored->build);
    free(stored);
}

/* True: the mark is complete and of this place, and its interpreter is still there. After the system got another
 * interpreter, packages that were installed for the old one do not work. */
static bool is_usable(struct stored_venv *stored)
{
    const cJSON *json = stored->json;
    stored->venv.requirement = json_get_string(json, "requirement");
    stored->venv.directory = json_get_string(json, "directory");
    stored->venv.python = json_get_string(json, "python");
    stored->venv.python_prefix = json_get_string(json, "python_prefix");
    stored->venv.package = json_get_string(json, "package");
    stored->venv.version = json_get_string(json, "version");
    const char *interpreter = json_get_string(json, "interpreter");
    if (!stored->venv.requirement || !stored->venv.directory || !stored->venv.python || !stored->venv.python_prefix ||
        !stored->venv.package || !stored->venv.version || !interpreter ||
        !json_get_i64(json, "built_at", 0, INT64_MAX, &stored->built_at_ms))
        return false;
    size_t len = strlen(stored->build);
    if (strncmp(stored->venv.directory, stored->build, len) != 0 || strcmp(stored->venv.directory + len, "/venv") != 0)
        return false;
    auto_free char *now = realpath(stored->venv.python, NULL);
    return now && strcmp(now, interpreter) == 0;
}

/* *ret is NULL if the build has no mark, or cannot be used. */
static int read_build(const char *build, struct stored_venv **ret, struct err *err)
{
    *ret = NULL;
    auto_free char *path = venv_files_path("%s/environment.json", build);
    auto_stored_venv struct stored_venv *stored = calloc(1, sizeof(*stored));
    if (!path || !stored)
        return err_no_memory(err);
    stored->mark_fd = open(path, O_RDONLY | O_CLOEXEC);
    stored->build = strdup(build);
    if (!stored->build)
        return err_no_memory(err);
    auto_buf struct buf text = BUF_INIT;
    if (stored->mark_fd < 0 || !venv_files_read(stored->mark_fd, VENV_FILES_MARK_MAX, &text))
        return 0;
    auto_free char *compiled = venv_files_path("%s/compiled", build);
    stored->is_compiled = compiled && access(compiled, F_OK) == 0;
    int r = json_parse(buf_str(&text), text.len, &stored->json, err);
    if (r == 0 && is_usable(stored))
        *ret = TAKE(stored);
    return r < 0 ? r : 0;
}

int venv_store_newest(const char *folder, struct stored_venv **ret, struct err *err)
{
    auto_stored_venv struct stored_venv *newest = NULL;
    auto_strv struct strv builds = STRV_INIT;
    venv_files_list(folder, "build-", &builds);
    int r = builds.failed ? err_no_memory(err) : 0;
    for (size_t i = 0; r == 0 && i < builds.n; i++) {
        struct stored_venv *found = NULL;
        r = read_build(builds.list[i], &found, err);
        if (!found || (newest && newest->built_at_ms > found->built_at_ms)) {
            venv_store_free(found);
            continue;
        }
        venv_store_free(newest);
        newest = found;
    }
    if (r == 0)
        *ret = TAKE(newest);
    return r;
}

int venv_store_prepared(const struct itemgend_options *options, const char *requirement, struct stored_venv **ret,
                        struct err *err)
{
    *ret = NULL;
    if (!options->prepared_dir)
        return 0;
    struct itemgend_options prepared = *options;
    prepared.cache_dir = options->prepared_dir;
    auto_free char *folder = NULL;
    int r = venv_store_folder(&prepared, requirement, &folder, err);
    if (r == 0)
        r = venv_store_newest(folder, ret, err);
    if (*ret)
        (*ret)->is_prepared = true;
    return r;
}

bool venv_store_is_there(const struct stored_venv *stored)
{
    struct stat status;
    return fstat(stored->mark_fd, &status) == 0 && status.st_nlink > 0;
}

bool venv_store_hold(const struct stored_venv *stored)
{
    if (flock(stored->mark_fd, LOCK_SH | LOCK_NB) < 0)
        return false;
    if (!venv_store_is_there(stored)) {
        venv_store_let_go(stored);
        return false;
    }
    futimens(stored->mark_fd, NULL);
    return true;
}

void venv_store_let_go(const struct stored_venv *stored)
{
    flock(stored->mark_fd, LOCK_UN);
}
