/*
 * build/tests/load [-m retry|reject|create] [-b BATCH] [-s STATEMENT_TIMEOUT_MS] [-n] [-p] [-v] KEYWORD=VALUE...: loads
 * lines of
 * {"published_at": MS, "item": {...}} from stdin into the database and prints a line for each: {"id", "result",
 * "outcome", "code", "error"}. {"collection": {...}} in place of the item is loaded too. -n: leaves the statistics as
 * they are. -p: the portable path. -v: only tells on stdout which path is in force and why. Exit 1: the database could
 * not be had, and stderr says why.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/json_slice.h"
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

static int load_batch(struct pgstac *pgstac, struct pgstac_item *items, size_t n)
{
    struct err err = ERR_INIT;
    auto_free struct pgstac_item **good = calloc(n + 1, sizeof(*good));
    size_t n_good = 0;
    for (size_t i = 0; i < n; i++)
        if (items[i].result == 0)
            good[n_good++] = &items[i];
    int r = pgstac_load(pgstac, good, n_good, &err);
    if (r != 0)
        tell(&err);
    for (size_t i = 0; r == 0 && i < n_good; i++)
        report(good[i], "");
    fflush(stdout);
    return r;
}

static void clear_items(struct pgstac_item *items, struct buf *lines, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        pgstac_item_clear(&items[i]);
        buf_reset(&lines[i]);
    }
}

static int load_collection(struct pgstac *pgstac, struct json_slice text, int64_t published_at_ms, struct err *err)
{
    struct pgstac_item collection = { .text = text.text, .text_len = text.len, .published_at_ms = published_at_ms };
    return pgstac_load_collection(pgstac, &collection, err);
}

static int64_t read_published_at(struct json_slice line)
{
    struct json_slice text;
    return json_slice_member(line, "published_at", &text) ? strtoll(text.text, NULL, 10) : 0;
}

/* An item's line; one that is none is reported at once. */
static int read_item(const struct pgstac *pgstac, struct json_slice line, struct pgstac_item *item, struct err *err)
{
    struct json_slice text = { .text = "" };
    item->published_at_ms = read_published_at(line);
    (void)json_slice_member(line, "item", &text);
    item->text = text.text;
    item->text_len = text.len;
    auto_json cJSON *json = NULL;
    int r = stac_item_parse(text.text, text.len, &json, err);
    if (r != 0)
        return r;
    r = pgstac_item_read(pgstac, json, item);
    if (r == NEVER)
        report(item, json_get_string(json, "id") ? json_get_string(json, "id") : "");
    return r < 0 ? r : 0;
}

static int read_line(struct pgstac *pgstac, const struct buf *line, struct pgstac_item *item, bool *ret_is_item,
                     struct err *err)
{
    struct json_slice object = json_slice_of(line->data, line->len), collection;
    *item = (struct pgstac_item){ .result = 0 };
    *ret_is_item = !json_slice_member(object, "collection", &collection);
    return *ret_is_item ? read_item(pgstac, object, item, err)
                        : load_collection(pgstac, collection, read_published_at(object), err);
}

static int load_all(struct pgstac *pgstac, size_t batch, bool statistics)
{
    auto_free struct pgstac_item *items = calloc(batch, sizeof(*items));
    auto_free struct buf *lines = calloc(batch, sizeof(*lines)); /* the items' texts are in them */
    auto_free char *line = NULL;
    size_t n = 0, cap = 0;
    int r = 0;
    struct err err = ERR_INIT;
    for (bool more = true; r == 0 && more;) {
        ssize_t len = getline(&line, &cap, stdin);
        more = len > 0;
        if (more) {
            bool is_item = false;
            buf_reset(&lines[n]);
            buf_add(&lines[n], line, (size_t)len);
            r = read_line(pgstac, &lines[n], &items[n], &is_item, &err);
            n += is_item;
        }
        if (r != 0)
            tell(&err);
        if (r == 0 && n > 0 && (n == batch || !more)) {
            r = load_batch(pgstac, items, n);
            clear_items(items, lines, n);
            n = 0;
        }
    }
    clear_items(items, lines, n);
    for (size_t i = 0; i < batch; i++)
        buf_clear(&lines[i]);
    if (r == 0 && statistics && pgstac_update_statistics(pgstac, 0, &err) != 0)
        tell(&err);
    return r;
}

static void tell_path(const struct pgstac *pgstac)
{
    const char *why = pgstac_why_portable(pgstac);
    printf("{\"version\":\"%s\",\"path\":\"%s\",\"why\":\"%s\"}\n", pgstac_version(pgstac), why ? "portable" : "fast",
           why ? why : "");
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
    bool statistics = true, only_tell = false;
    for (int option; (option = getopt(argc, argv, "m:b:s:i:npv")) != -1;) {
        if (option == 'b')
            batch = strtoul(optarg, NULL, 10);
        else if (option == 's')
            options.statement_timeout_ms = atoi(optarg);
        else if (option == 'i')
            options.stop_fd = stop_after(atoi(optarg));
        else if (option == 'n')
            statistics = false;
        else if (option == 'p')
            options.portable = true;
        else if (option == 'v')
            only_tell = true;
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
    else if (only_tell)
        tell_path(pgstac);
    else
        r = load_all(pgstac, batch, statistics);
    pgstac_free(pgstac);
    return r != 0;
}
