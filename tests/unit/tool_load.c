/*
 * build/tests/load [-m retry|reject|create] [-b BATCH] [-s STATEMENT_TIMEOUT_MS] [-n] KEYWORD=VALUE...: loads lines of
 * {"published_at": MS, "item": {...}} from stdin into the database and prints a line for each: {"id", "result",
 * "outcome", "code", "error"}. A line {"collection": {...}} is loaded as a collection. -n: leaves the statistics as
 * they are. Exit 1: the database could not be had, and stderr says why.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "pgstac/pgstac.h"

static void tell(const struct err *err)
{
    fprintf(stderr, "%s%s: %s\n", err->code, err->outage ? " (outage)" : "", err->text);
}

static void report(const struct pgstac_item *item, const char *fallback_id)
{
    static const char *const results[] = { "done", "later", "never" };
    static const char *const outcomes[] = { "inserted", "updated", "stale" };
    auto_buf struct buf line = BUF_INIT;
    buf_puts(&line, "{\"id\":");
    json_write_string(item->item.id ? item->item.id : fallback_id, &line);
    buf_printf(&line, ",\"result\":\"%s\"", results[item->result]);
    if (item->result == 0) {
        buf_printf(&line, ",\"outcome\":\"%s\"", outcomes[item->outcome]);
    } else {
        buf_printf(&line, ",\"code\":\"%s\",\"error\":", item->err.code);
        json_write_string(item->err.text, &line);
    }
    buf_putc(&line, '}');
    puts(buf_str(&line));
}

static int load_batch(struct pgstac *pgstac, struct pgstac_item *items, cJSON **lines, size_t n)
{
    struct err err = ERR_INIT;
    auto_free struct pgstac_item **good = calloc(n + 1, sizeof(*good));
    auto_free struct buf *texts = calloc(n + 1, sizeof(*texts));
    size_t n_good = 0;
    for (size_t i = 0; i < n; i++) {
        const char *id = json_get_string(json_get(lines[i], "item"), "id");
        items[i] = (struct pgstac_item){ .result = 0 };
        json_get_i64(lines[i], "published_at", 0, INT64_MAX, &items[i].published_at_ms);
        json_write(json_get(lines[i], "item"), &texts[i]);
        items[i].text = buf_str(&texts[i]);
        items[i].text_len = texts[i].len;
        if (pgstac_item_read(pgstac, json_get(lines[i], "item"), &items[i]) == 0)
            good[n_good++] = &items[i];
        else
            report(&items[i], id ? id : "");
    }
    int r = pgstac_load(pgstac, good, n_good, &err);
    if (r != 0)
        tell(&err);
    for (size_t i = 0; r == 0 && i < n_good; i++)
        report(good[i], "");
    fflush(stdout);
    for (size_t i = 0; i < n; i++) {
        pgstac_item_clear(&items[i]);
        buf_clear(&texts[i]);
    }
    return r;
}

static int load_all(struct pgstac *pgstac, size_t batch, bool statistics)
{
    auto_free struct pgstac_item *items = calloc(batch, sizeof(*items));
    auto_free cJSON **lines = calloc(batch, sizeof(*lines));
    size_t n = 0, cap = 0;
    int r = 0;
    struct err err = ERR_INIT;
    auto_free char *line = NULL;
    for (ssize_t len; r == 0;) {
        len = getline(&line, &cap, stdin);
        if (len > 0) {
            r = json_parse(line, (size_t)len, &lines[n], &err);
            if (r == 0 && json_get(lines[n], "collection")) {
                auto_buf struct buf text = BUF_INIT;
                json_write(json_get(lines[n], "collection"), &text);
                r = pgstac_load_collection(pgstac, buf_str(&text), text.len, &err);
                cJSON_Delete(TAKE(lines[n]));
            } else if (r == 0) {
                n++;
            }
        }
        if (r != 0)
            tell(&err);
        if (r == 0 && n > 0 && (n == batch || len <= 0)) {
            r = load_batch(pgstac, items, lines, n);
            while (n > 0)
                cJSON_Delete(lines[--n]);
        }
        if (len <= 0)
            break;
    }
    while (n > 0)
        cJSON_Delete(lines[--n]);
    if (r == 0 && statistics && pgstac_update_statistics(pgstac, 0, &err) != 0)
        tell(&err);
    return r;
}

static bool parse_missing(const char *text, enum missing_collection *ret)
{
    static const char *const names[] = { "retry", "reject", "create" }; /* in the enum's order */
    for (size_t i = 0; i < N_ELEMENTS(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum missing_collection)i;
            return true;
        }
    return false;
}

/* A stop descriptor that becomes readable after `ms`. */
static int stop_after(int ms)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec in = { .it_value = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L } };
    return fd >= 0 && timerfd_settime(fd, 0, &in, NULL) == 0 ? fd : -1;
}

int main(int argc, char **argv)
{
    struct pgstac_options options = { .stop_fd = -1, .statement_timeout_ms = 45000, .connect_timeout_ms = 5000 };
    size_t batch = 1000;
    bool statistics = true;
    for (int option; (option = getopt(argc, argv, "m:b:s:i:n")) != -1;) {
        if (option == 'b')
            batch = strtoul(optarg, NULL, 10);
        else if (option == 's')
            options.statement_timeout_ms = atoi(optarg);
        else if (option == 'i')
            options.stop_fd = stop_after(atoi(optarg));
        else if (option == 'n')
            statistics = false;
        else if (option != 'm' || !parse_missing(optarg, &options.missing_collection))
            return 64;
    }
    const char *keywords[16] = { NULL }, *values[16] = { NULL };
    for (int i = optind, n = 0; i < argc && n < 15; i++, n++) {
        char *equals = strchr(argv[i], '=');
        if (!equals)
            return 64;
        *equals = '\0';
        keywords[n] = argv[i];
        values[n] = equals + 1;
    }
    struct pgstac *pgstac = NULL;
    struct err err = ERR_INIT;
    int r = pgstac_new(&options, &pgstac, &err);
    if (r == 0)
        r = pgstac_connect(pgstac, keywords, values, &err);
    if (r != 0)
        tell(&err);
    else
        r = load_all(pgstac, batch, statistics);
    pgstac_free(pgstac);
    return r != 0;
}
