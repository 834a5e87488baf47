#define SD_JOURNAL_SUPPRESS_LOCATION /* it would always be this file */

#include "daemon/log.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "base/json.h"
#include "base/time.h"

enum {
    FIELDS_MAX = 24,
    STALL_MS = 1000, /* how long a line may wait for the reader of stdout */
};

static const struct kind {
    const char *name, *id;
} kinds[] = {
#define X(name, id) { #name, id },
    LOG_EVENTS(X)
#undef X
};

static const char *const levels[] = { "emergency", "alert", "critical", "error", "warning", "notice", "info", "debug" };

/* Where lines go: one place per process, as stdout is. Set by log_open before there are threads; `lock` guards the
 * rest. */
static struct {
    char identifier[64];
    _Atomic int max_priority;
    bool to_journal;
    mode_t stdout_type; /* S_IFIFO, S_IFSOCK, ... */
    pthread_mutex_t lock;
    bool is_stalled; /* the last line was not read in time: the next one does not wait */
    bool is_torn;    /* the last line was written in part */
    int64_t n_lost;
} place = { .identifier = "daemon", .max_priority = LOG_INFO, .lock = PTHREAD_MUTEX_INITIALIZER };

int log_priority(const char *level)
{
    for (size_t i = 0; i < N_ELEMENTS(levels); i++)
        if (strcmp(level, levels[i]) == 0)
            return (int)i;
    return LOG_INFO;
}

/* systemd.exec(5): JOURNAL_STREAM has the device and inode of the journal's stream. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    if (!stream || fstat(STDERR_FILENO, &status) < 0)
        return false;
    char own[64];
    snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return strcmp(stream, own) == 0;
}

void log_open(const char *identifier, int max_priority)
{
    snprintf(place.identifier, sizeof(place.identifier), "%s", identifier);
    place.max_priority = max_priority;
    place.to_journal = stderr_is_journal();
    struct stat status;
    if (fstat(STDOUT_FILENO, &status) == 0)
        place.stdout_type = status.st_mode & S_IFMT;
}

void log_set_priority(int max_priority)
{
    place.max_priority = max_priority;
}

/*
 * stdout may be shared with other programs, so it must stay blocking. A pipe that polls writable accepts PIPE_BUF bytes
 * without blocking, send() has a flag for it, and a file or a terminal does not block.
 */
static ssize_t write_piece(const char *data, size_t len)
{
    if (place.stdout_type == S_IFSOCK)
        return send(STDOUT_FILENO, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (place.stdout_type == S_IFIFO && len > PIPE_BUF)
        len = PIPE_BUF;
    return write(STDOUT_FILENO, data, len);
}

/* Returns the number of bytes written: less than `len` if the reader is gone or does not read until the deadline. */
static size_t write_bounded(const char *data, size_t len, int64_t deadline_ms)
{
    size_t done = 0;
    while (done < len && wait_fd(STDOUT_FILENO, POLLOUT, -1, deadline_ms) == WAIT_READY) {
        ssize_t n = write_piece(data + done, len - done);
        if (n > 0)
            done += (size_t)n;
        else if ((errno != EINTR && errno != EAGAIN) || time_mono_ms() > deadline_ms)
            break;
    }
    return done;
}

static void begin_line(struct buf *line, int priority, enum log_event event)
{
    char now[TIME_TEXT_SIZE];
    time_format_rfc3339(time_now_ms(), now);
    buf_printf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"message\":", now,
               levels[priority & LOG_PRIMASK], kinds[event].name);
}

static void add_loss(struct buf *line)
{
    char text[128];
    snprintf(text, sizeof(text), "%" PRId64 " log lines were dropped because stdout was not read", place.n_lost);
    begin_line(line, LOG_WARNING, LOG_EVENT_WARNING);
    json_write_string(text, line);
    buf_puts(line, "}\n");
}

/* Ends a torn line, and reports lines that were dropped. False: it could not. */
static bool write_loss(int64_t deadline_ms)
{
    auto_buf struct buf loss = BUF_INIT;
    if (place.is_torn)
        buf_putc(&loss, '\n');
    if (place.n_lost > 0)
        add_loss(&loss);
    if (buf_failed(&loss))
        return false;
    size_t done = write_bounded(buf_str(&loss), loss.len, deadline_ms);
    if (done < loss.len) {
        place.is_torn = place.is_torn || done > 0;
        return false;
    }
    place.is_torn = false;
    place.n_lost = 0;
    return true;
}

static void write_line(const struct buf *line)
{
    int64_t deadline_ms = place.is_stalled ? 0 : time_mono_ms() + STALL_MS;
    size_t done = 0;
    if (!buf_failed(line) && write_loss(deadline_ms))
        done = write_bounded(buf_str(line), line->len, deadline_ms);
    bool is_lost = buf_failed(line) || done < line->len;
    place.is_stalled = is_lost;
    place.is_torn = place.is_torn || (is_lost && done > 0);
    place.n_lost += is_lost;
}

static void end_line(struct buf *line)
{
    buf_puts(line, "}\n");
    pthread_mutex_lock(&place.lock);
    write_line(line);
    pthread_mutex_unlock(&place.lock);
}

static void write_json(int priority, enum log_event event, const struct log_field *fields, const char *message)
{
    auto_buf struct buf line = BUF_INIT;
    begin_line(&line, priority, event);
    json_write_string(message, &line);
    for (const struct log_field *field = fields; field && field->name; field++) {
        buf_puts(&line, ",\"");
        for (const char *c = field->name; *c; c++)
            buf_putc(&line, (char)tolower((unsigned char)*c));
        buf_puts(&line, "\":");
        json_write_string(field->value, &line);
    }
    end_line(&line);
}

bool log_takes_members(void)
{
    return !place.to_journal;
}

void log_write_members(enum log_event event, const struct buf *members, const char *message)
{
    auto_buf struct buf line = BUF_INIT;
    if (!log_takes_members() || buf_failed(members))
        return;
    begin_line(&line, LOG_INFO, event);
    json_write_string(message, &line);
    buf_printf(&line, ",%s", buf_str(members));
    end_line(&line);
}

static void add_field(struct buf *texts, size_t *n, const char *name, const char *value)
{
    if (*n == FIELDS_MAX)
        return;
    buf_printf(&texts[(*n)++], "%s=%s", name, value);
}

/* False: the journal does not accept it. */
static bool write_journal(int priority, enum log_event event, const struct log_field *fields, const char *message)
{
    struct buf texts[FIELDS_MAX] = { BUF_INIT };
    size_t n = 0;
    add_field(texts, &n, "MESSAGE", message);
    add_field(texts, &n, "MESSAGE_ID", kinds[event].id);
    add_field(texts, &n, "PRIORITY", (const char[]){ (char)('0' + (priority & LOG_PRIMASK)), '\0' });
    add_field(texts, &n, "SYSLOG_IDENTIFIER", place.identifier);
    add_field(texts, &n, "EVENT", kinds[event].name);
    for (const struct log_field *field = fields; field && field->name; field++)
        add_field(texts, &n, field->name, field->value);
    struct iovec vector[FIELDS_MAX];
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        vector[i] = (struct iovec){ .iov_base = texts[i].data, .iov_len = texts[i].len };
        ok = ok && !buf_failed(&texts[i]);
    }
    ok = ok && sd_journal_sendv(vector, (int)n) >= 0;
    for (size_t i = 0; i < n; i++)
        buf_clear(&texts[i]);
    return ok;
}

/* A copy that is bounded and printable. */
static char *bounded_copy(const char *value)
{
    char *copy = strndup(value, LOG_VALUE_MAX);
    if (copy)
        err_make_printable(copy);
    return copy;
}

void log_write(int priority, enum log_event event, const struct log_field *fields, const char *format, ...)
{
    if (priority > place.max_priority)
        return;
    char message[LOG_VALUE_MAX + 1];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (len < 0)
        message[0] = '\0';
    err_make_printable(message);

    struct log_field bounded[FIELDS_MAX + 1] = { { NULL, NULL } };
    char *owned[FIELDS_MAX] = { NULL };
    size_t n = 0;
    for (const struct log_field *field = fields; field && field->name && n < FIELDS_MAX; field++) {
        owned[n] = field->value ? bounded_copy(field->value) : NULL;
        if (owned[n]) {
            bounded[n] = (struct log_field){ field->name, owned[n] };
            n++;
        }
    }
    if (!place.to_journal || !write_journal(priority, event, bounded, message))
        write_json(priority, event, bounded, message);
    for (size_t i = 0; i < n; i++)
        free(owned[i]);
}
