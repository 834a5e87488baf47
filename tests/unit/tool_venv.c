/*
 * build/tests/venv: itemgend's environments, configured by ITEMGEND_*. Reads commands from stdin:
 *     use N REQUIREMENT [MS]   N threads use it at the same time (their stop descriptor becomes readable after MS).
 * Prints a JSON line for each result. They keep it in use until: release                  releases everything in use;
 * prints {"released": NUMBER} time N REQUIREMENT       uses and releases it N times: prints {"us": TIME OF EACH} Ends
 * at the end of stdin. Log lines, which have an "event", come in between.
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
    struct venv_cache *cache;
    const char *requirement;
    int stop_fd;
    pthread_t thread;
    const struct venv *venv;
    int result;
    struct err err;
};

static struct use uses[HELD_MAX];
static size_t n_uses;

static void *use(void *context)
{
    struct use *one = context;
    one->result = venv_cache_use(one->cache, one->requirement, one->stop_fd, &one->venv, &one->err);
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
        add(&line, "requirement", one->venv->requirement);
        add(&line, "directory", one->venv->directory);
        add(&line, "python", one->venv->python);
        add(&line, "python_prefix", one->venv->python_prefix);
        add(&line, "package", one->venv->package);
        add(&line, "version", one->venv->version);
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

static void use_at_once(struct venv_cache *cache, size_t n, const char *requirement, int stop_ms)
{
    size_t first = n_uses;
    int stop_fd = stop_after(stop_ms);
    for (; n_uses < first + n && n_uses < HELD_MAX; n_uses++) {
        uses[n_uses] = (struct use){ .cache = cache, .requirement = requirement, .stop_fd = stop_fd };
        pthread_create(&uses[n_uses].thread, NULL, use, &uses[n_uses]);
    }
    for (size_t i = first; i < n_uses; i++) {
        pthread_join(uses[i].thread, NULL);
        report(&uses[i]);
    }
    base_close_fd(&stop_fd);
}

static void release(struct venv_cache *cache)
{
    for (size_t i = 0; i < n_uses; i++)
        venv_cache_release(cache, uses[i].venv);
    printf("{\"released\":%zu}\n", n_uses);
    n_uses = 0;
}

static void measure(struct venv_cache *cache, size_t n, const char *requirement)
{
    int64_t start_ms = time_mono_ms();
    for (size_t i = 0; i < n; i++) {
        const struct venv *venv = NULL;
        struct err err = ERR_INIT;
        if (venv_cache_use(cache, requirement, -1, &venv, &err) == 0)
            venv_cache_release(cache, venv);
    }
    printf("{\"us\":%.3f}\n", (double)(time_mono_ms() - start_ms) * 1000 / (double)n);
}

static void obey(struct venv_cache *cache, const char *line)
{
    char command[16] = "", requirement[256] = "";
    size_t n = 0;
    int stop_ms = 0;
    sscanf(line, "%15s %zu %255s %d", command, &n, requirement, &stop_ms);
    if (strcmp(command, "use") == 0)
        use_at_once(cache, n, requirement, stop_ms);
    else if (strcmp(command, "time") == 0)
        measure(cache, n, requirement);
    else
        release(cache);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct itemgend_options options;
    struct config_source source = { .path = NULL };
    struct venv_cache *cache = NULL;
    struct err err = ERR_INIT;
    auto_buf struct buf errors = BUF_INIT;
    if (config_load(&itemgend_schema, &source, &options, &errors) != 0) {
        fputs(buf_str(&errors), stderr);
        return 78;
    }
    struct sandbox *sandbox = NULL;
    int r = options.source_builds ? sandbox_open(&options, -1, &sandbox, &err) : 0;
    if (r == 0)
        r = venv_cache_open(&options, sandbox, &cache, &err);
    char line[512];
    while (r == 0 && fgets(line, sizeof(line), stdin))
        obey(cache, line);
    if (n_uses > 0)
        release(cache);
    venv_cache_close(cache);
    sandbox_free(sandbox);
    config_clear(&itemgend_schema, &options);
    return r != 0;
}
