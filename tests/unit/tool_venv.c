/*
 * build/tests/environment: itemgend's environments, with its configuration from ITEMGEND_*. Reads commands from stdin:
 *     use N REQUIREMENT [MS]   N threads use it at the same time (MS: their stop descriptor becomes readable after it);
 *                              a JSON line for each tells what they got. They hold it until
 *     release                  all that is held; answers {"released": HOW MANY}
 *     time N REQUIREMENT       uses and releases it N times: {"us": EACH}
 * and ends with them. Lines of the log, which have an "event", come in between.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>

#include "base/json.h"
#include "base/time.h"
#include "itemgend/venv/venv_cache.h"
#include "itemgend/sandbox/sandbox.h"

enum { HELD_MAX = 256 };

struct use {
    struct environments *environments;
    const char *requirement;
    int stop_fd;
    pthread_t thread;
    struct environment *environment;
    int result;
    struct err err;
};

static struct use uses[HELD_MAX];
static size_t n_uses;

static void *use(void *context)
{
    struct use *one = context;
    one->result = environments_use(one->environments, one->requirement, one->stop_fd, &one->environment, &one->err);
    return NULL;
}

static void add(struct buf *line, const char *key, const char *value)
{
    buf_printf(line, "%s\"%s\":", line->len > 1 ? "," : "", key);
    json_write_string(value ? value : "", line);
}

static void report(const struct use *one)
{
    static const char *const results[] = { "done", "later", "never" };
    auto_buf struct buf line = BUF_INIT;
    buf_puts(&line, "{");
    add(&line, "result", one->result < 0 ? "fatal" : one->err.outage ? "outage" : results[one->result]);
    if (one->result != 0) {
        add(&line, "code", one->err.code);
        add(&line, "error", one->err.text);
    } else {
        add(&line, "requirement", one->environment->requirement);
        add(&line, "directory", one->environment->directory);
        add(&line, "python", one->environment->python);
        add(&line, "python_prefix", one->environment->python_prefix);
        add(&line, "package", one->environment->package);
        add(&line, "version", one->environment->version);
    }
    printf("%s}\n", buf_str(&line));
}

/* A stop descriptor that becomes readable after `ms`; 0: never. */
static int stop_after(int ms)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec in = { .it_value = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L } };
    return fd >= 0 && timerfd_settime(fd, 0, &in, NULL) == 0 ? fd : -1;
}

static void use_at_once(struct environments *environments, size_t n, const char *requirement, int stop_ms)
{
    size_t first = n_uses;
    int stop_fd = stop_after(stop_ms);
    for (; n_uses < first + n && n_uses < HELD_MAX; n_uses++) {
        uses[n_uses] = (struct use){ .environments = environments, .requirement = requirement, .stop_fd = stop_fd };
        pthread_create(&uses[n_uses].thread, NULL, use, &uses[n_uses]);
    }
    for (size_t i = first; i < n_uses; i++) {
        pthread_join(uses[i].thread, NULL);
        report(&uses[i]);
    }
    base_close_fd(&stop_fd);
}

static void release(struct environments *environments)
{
    for (size_t i = 0; i < n_uses; i++)
        environments_release(environments, uses[i].environment);
    printf("{\"released\":%zu}\n", n_uses);
    n_uses = 0;
}

static void measure(struct environments *environments, size_t n, const char *requirement)
{
    int64_t start_ms = time_mono_ms();
    for (size_t i = 0; i < n; i++) {
        struct environment *environment = NULL;
        struct err err = ERR_INIT;
        if (environments_use(environments, requirement, -1, &environment, &err) == 0)
            environments_release(environments, environment);
    }
    printf("{\"us\":%.3f}\n", (double)(time_mono_ms() - start_ms) * 1000 / (double)n);
}

static void obey(struct environments *environments, const char *line)
{
    char command[16] = "", requirement[256] = "";
    size_t n = 0;
    int stop_ms = 0;
    sscanf(line, "%15s %zu %255s %d", command, &n, requirement, &stop_ms);
    if (strcmp(command, "use") == 0)
        use_at_once(environments, n, requirement, stop_ms);
    else if (strcmp(command, "time") == 0)
        measure(environments, n, requirement);
    else
        release(environments);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct itemgend_options options;
    struct config_source source = { .path = NULL };
    struct environments *environments = NULL;
    struct err err = ERR_INIT;
    auto_buf struct buf errors = BUF_INIT;
    if (config_load(&itemgend_schema, &source, &options, &errors) != 0) {
        fputs(buf_str(&errors), stderr);
        return 78;
    }
    struct sandbox *sandbox = NULL;
    int r = options.source_builds ? sandbox_open(&options, -1, &sandbox, &err) : 0;
    if (r == 0)
        r = environments_open(&options, sandbox, &environments, &err);
    char line[512];
    while (r == 0 && fgets(line, sizeof(line), stdin))
        obey(environments, line);
    if (n_uses > 0)
        release(environments);
    environments_close(environments);
    sandbox_free(sandbox);
    config_clear(&itemgend_schema, &options);
    return r != 0;
}
