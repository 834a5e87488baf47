#include "daemon/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/time.h"
#include "test.h"

/* stdout is the log's while something is tested, and the test's own in between. */
static int own_stdout = -1;

static void redirect_stdout(int fd)
{
    fflush(stdout);
    dup2(fd, STDOUT_FILENO);
    log_open("test", LOG_INFO);
}

static void restore_stdout(void)
{
    dup2(own_stdout, STDOUT_FILENO);
}

static void read_all(int fd, struct buf *ret)
{
    char *at;
    ssize_t n;
    while ((at = buf_reserve(ret, 65536)) && (n = read(fd, at, 65536)) > 0) {
        ret->len += (size_t)n;
        at[n] = '\0';
    }
}

/* The first line of *at as JSON; *at moves behind it. NULL: no more, or no JSON. */
static cJSON *next_line(const char **at)
{
    const char *end = strchr(*at, '\n');
    cJSON *json = NULL;
    if (!end)
        return NULL;
    struct err err = ERR_INIT;
    int result = json_parse(*at, (size_t)(end - *at), &json, &err);
    CHECK_ROW(result == 0, "%s: %.*s", err.text, (int)(end - *at), *at);
    *at = end + 1;
    return json;
}

static const struct {
    int priority;
    const char *message, *value;
    const char *level, *expected_message, *expected_value; /* level NULL: dropped */
} lines[] = {
    { LOG_INFO, "loaded", "x", "info", "loaded", "x" },
    { LOG_ERR, "100% \"quoted\" \\ \n new", "\t", "error", "100% \"quoted\" \\ \n new", "\t" },
    { LOG_WARNING, "bad \xff\xc3 bytes \x01", "\xed\xa0\x80", "warning", "bad ?? bytes ?", "???" },
    { LOG_NOTICE, "", "", "notice", "", "" },
    { LOG_INFO, "no field", NULL, "info", "no field", NULL },
    { LOG_DEBUG, "too much", "x", NULL, NULL, NULL },
    { LOG_INFO, "\xc3\xa9\xf0\x9f\x9b\xb0", "z", "info", "\xc3\xa9\xf0\x9f\x9b\xb0", "z" },
};

static void test_lines(void)
{
    FILE *file = tmpfile();
    redirect_stdout(fileno(file));
    for (size_t i = 0; i < N_ELEMENTS(lines); i++)
        log_write(lines[i].priority, LOG_EVENT_ITEM_LOADED, LOG_FIELDS({ "ITEM_ID", lines[i].value }), "%s",
                  lines[i].message);
    log_write(LOG_INFO, LOG_EVENT_DAEMON_STOPPED, NULL, "bye");
    restore_stdout();
    rewind(file);
    auto_buf struct buf text = BUF_INIT;
    read_all(fileno(file), &text);
    const char *at = buf_str(&text);
    for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
        if (!lines[i].level)
            continue;
        auto_json cJSON *json = next_line(&at);
        int64_t us = 0;
        const char *time = json_get_string(json, "time");
        CHECK(time && strlen(time) == 24 && time_parse_rfc3339(time, &us));
        CHECK(us / 1000 <= time_now_ms() && us / 1000 > time_now_ms() - 10000);
        CHECK_STRING(json_get_string(json, "level"), lines[i].level);
        CHECK_STRING(json_get_string(json, "event"), "ITEM_LOADED");
        CHECK_STRING(json_get_string(json, "message"), lines[i].expected_message);
        CHECK_STRING(json_get_string(json, "item_id"), lines[i].expected_value);
    }
    auto_json cJSON *last = next_line(&at);
    CHECK_STRING(json_get_string(last, "event"), "DAEMON_STOPPED");
    CHECK_STRING(at, "");
    fclose(file);
}

static void test_bounds(void)
{
    FILE *file = tmpfile();
    auto_buf struct buf huge = BUF_INIT;
    for (int i = 0; i < 50000; i++)
        buf_puts(&huge, "a\xc3\xa9"); /* a cut after 8192 bytes falls into a sequence */
    redirect_stdout(fileno(file));
    log_write(LOG_INFO, LOG_EVENT_WARNING, LOG_FIELDS({ "ERROR_CODE", buf_str(&huge) }), "%s", buf_str(&huge));
    restore_stdout();
    rewind(file);
    auto_buf struct buf text = BUF_INIT;
    read_all(fileno(file), &text);
    const char *at = buf_str(&text);
    auto_json cJSON *json = next_line(&at);
    const char *message = json_get_string(json, "message"), *field = json_get_string(json, "error_code");
    CHECK(message && strlen(message) == LOG_VALUE_MAX - 1);
    CHECK(field && strlen(field) == LOG_VALUE_MAX - 1);
    fclose(file);
}

enum { THREADS = 4, LINES = 300 };

static void *write_many(void *context)
{
    char filler[4500]; /* a line takes three of the sixteen pages of a pipe */
    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    for (int i = 0; i < LINES; i++)
        log_write(LOG_INFO, LOG_EVENT_WARNING, LOG_FIELDS({ "A", filler }, { "B", filler }), "%s %d",
                  (const char *)context, i);
    return NULL;
}

/* Lines longer than PIPE_BUF, from several threads, through a pipe: each arrives whole. */
static void test_members(void)
{
    FILE *file = tmpfile();
    auto_buf struct buf members = BUF_INIT, failed = { .failed = true };
    buf_puts(&members, "\"_aws\":{\"Timestamp\":1},\"Items\":12");
    redirect_stdout(fileno(file));
    CHECK(log_takes_members());
    log_set_priority(LOG_ERR);
    log_write_members(LOG_EVENT_METRICS, &members, "a \"message\"");
    log_write_members(LOG_EVENT_METRICS, &failed, "no memory");
    /* Where stderr is the journal. */
    struct stat status;
    char stream[64];
    CHECK(fstat(STDERR_FILENO, &status) == 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    setenv("JOURNAL_STREAM", stream, true);
    log_open("test", LOG_INFO);
    CHECK(!log_takes_members());
    log_write_members(LOG_EVENT_METRICS, &members, "not there");
    unsetenv("JOURNAL_STREAM");
    log_open("test", LOG_INFO);
    restore_stdout();
    rewind(file);
    auto_buf struct buf text = BUF_INIT;
    read_all(fileno(file), &text);
    const char *at = buf_str(&text);
    auto_json cJSON *json = next_line(&at);
    int64_t number = 0;
    CHECK_STRING(json_get_string(json, "event"), "METRICS");
    CHECK_STRING(json_get_string(json, "message"), "a \"message\"");
    CHECK(json_get_i64(json, "Items", 12, 12, &number) &&
          json_get_i64(json_get(json, "_aws"), "Timestamp", 1, 1, &number));
    CHECK_STRING(at, "");
    fclose(file);
}

static void test_threads(void)
{
    int fds[2];
    CHECK(pipe(fds) == 0);
    redirect_stdout(fds[1]);
    close(fds[1]);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, write_many, (void *)"line");
    auto_buf struct buf text = BUF_INIT;
    size_t n = 0;
    while (n < (size_t)THREADS * LINES) {
        char *at = buf_reserve(&text, 65536);
        ssize_t len = read(fds[0], at, 65536);
        for (ssize_t i = 0; i < len; i++)
            n += at[i] == '\n';
        text.len += len > 0 ? (size_t)len : 0;
        text.data[text.len] = '\0';
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    restore_stdout();
    close(fds[0]);
    const char *at = buf_str(&text);
    for (n = 0; *at; n++) {
        auto_json cJSON *json = next_line(&at);
        const char *value = json_get_string(json, "b");
        CHECK(value && strlen(value) == 4499);
        if (!json)
            break;
    }
    CHECK(n == (size_t)THREADS * LINES);
}

static bool make_channel(bool is_socket, int fds[2])
{
    if (is_socket)
        return socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0;
    return pipe(fds) == 0;
}

/* If the reader stops reading, one line waits, the others are dropped, and their number is logged afterwards. */
static void test_stall(bool is_socket)
{
    int fds[2];
    CHECK(make_channel(is_socket, fds));
    redirect_stdout(fds[1]);
    close(fds[1]);
    int64_t start_ms = time_mono_ms();
    write_many((void *)"line");
    /* A second for each line would be five minutes. */
    int64_t took_ms = time_mono_ms() - start_ms;
    CHECK_ROW(took_ms >= 900 && took_ms < 30000, "stalled for %d ms", (int)took_ms);

    auto_buf struct buf text = BUF_INIT;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    read_all(fds[0], &text);
    log_write(LOG_INFO, LOG_EVENT_WARNING, NULL, "again");
    read_all(fds[0], &text);
    restore_stdout();
    close(fds[0]);

    int whole = 0, torn = 0;
    auto_free char *loss = NULL;
    bool is_last_again = false;
    for (char *rest = text.data, *line = strsep(&rest, "\n"); rest; line = strsep(&rest, "\n")) {
        auto_json cJSON *json = NULL;
        struct err err = ERR_INIT;
        const char *message = json_parse(line, strlen(line), &json, &err) == 0 ? json_get_string(json, "message") : "";
        whole += json_get(json, "b") != NULL;
        torn += json == NULL;
        is_last_again = strcmp(message, "again") == 0;
        if (strstr(message, "dropped"))
            loss = loss ? loss : strdup(message);
    }
    char expected[100];
    snprintf(expected, sizeof(expected), "%d log lines were dropped because stdout was not read", LINES - whole);
    CHECK_STRING(loss, expected);
    CHECK(is_last_again && whole >= 5 && whole < LINES);
    /* A line that was written in part is on a line of its own. */
    CHECK(torn == (is_socket ? torn & 1 : 1));
}

/* If the reader is gone, no line waits. */
static void test_gone(void)
{
    int fds[2];
    CHECK(pipe(fds) == 0);
    redirect_stdout(fds[1]);
    close(fds[0]);
    close(fds[1]);
    int64_t start_ms = time_mono_ms();
    write_many((void *)"line");
    CHECK(time_mono_ms() - start_ms < 30000);
    FILE *file = tmpfile();
    redirect_stdout(fileno(file));
    log_write(LOG_INFO, LOG_EVENT_WARNING, NULL, "back");
    restore_stdout();
    rewind(file);
    auto_buf struct buf text = BUF_INIT;
    read_all(fileno(file), &text);
    const char *at = buf_str(&text);
    auto_json cJSON *loss = next_line(&at), *last = next_line(&at);
    CHECK_STRING(json_get_string(loss, "message"), "300 log lines were dropped because stdout was not read");
    CHECK_STRING(json_get_string(last, "message"), "back");
    fclose(file);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    own_stdout = dup(STDOUT_FILENO);
    CHECK(log_priority("debug") == LOG_DEBUG && log_priority("error") == LOG_ERR && log_priority("?") == LOG_INFO);
    test_lines();
    test_bounds();
    test_members();
    test_threads();
    test_stall(false);
    test_stall(true);
    test_gone();
    return test_end();
}
