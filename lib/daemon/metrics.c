#include "daemon/metrics.h"

#include <ctype.h>
#include <inttypes.h>

#include "base/json.h"
#include "daemon/service.h"

enum kind { COUNTER, COUNTER_MS, GAUGE, GAUGE_MS };

static const struct metric {
    enum kind kind;
    int daemons;
    size_t offset;
    const char *name, *embedded, *help;
} metrics_table[] = {
#define ROW(member, kind, daemons, name, embedded, help) \
    { kind, METRICS_##daemons, offsetof(struct metrics, member), name, embedded, help },
    METRICS_COUNTED(ROW) METRICS_OBSERVED(ROW)
#undef ROW
};

void metrics_read(const struct service_counters *counters, struct metrics *ret)
{
#define READ(member, ...) ret->member = counters->member;
    METRICS_COUNTED(READ)
#undef READ
}

static bool is_counter(const struct metric *metric)
{
    return metric->kind == COUNTER || metric->kind == COUNTER_MS;
}

static bool is_of(const struct metric *metric, const struct daemon *daemon)
{
    return (metric->daemons & daemon->metrics) != 0;
}

static int64_t value_of(const struct metric *metric, const struct metrics *metrics)
{
    int64_t value;
    memcpy(&value, (const char *)metrics + metric->offset, sizeof(value));
    return value;
}

static void add_name(const struct daemon *daemon, const char *name, struct buf *ret)
{
    for (const char *c = daemon->schema->prefix; *c; c++)
        buf_putc(ret, (char)tolower((unsigned char)*c));
    buf_printf(ret, "_%s", name);
}

static void write_head(const char *name, const char *help, const char *type, struct buf *ret)
{
    buf_printf(ret, "# HELP %s %s\n# TYPE %s %s\n%s", name, help, name, type, name);
}

static void write_info(const struct daemon *daemon, struct buf *ret)
{
    auto_buf struct buf name = BUF_INIT;
    add_name(daemon, "build_info", &name);
    write_head(buf_str(&name), "Version.", "gauge", ret);
    buf_puts(ret, "{version=\"" VERSION "\"} 1\n");
    ret->failed |= buf_failed(&name);
}

static void add_full_name(const struct daemon *daemon, const struct metric *metric, struct buf *ret)
{
    if (strncmp(metric->name, "process_", 8) == 0)
        buf_puts(ret, metric->name);
    else
        add_name(daemon, metric->name, ret);
}

static const char *type_of(const struct metric *metric)
{
    return is_counter(metric) ? "counter" : "gauge";
}

static void write_text(const struct metric *metric, const struct daemon *daemon, int64_t value, struct buf *ret)
{
    auto_buf struct buf name = BUF_INIT;
    add_full_name(daemon, metric, &name);
    write_head(buf_str(&name), metric->help, type_of(metric), ret);
    if (metric->kind == COUNTER_MS || metric->kind == GAUGE_MS)
        buf_printf(ret, " %" PRId64 ".%03d\n", value / 1000, (int)(value % 1000));
    else
        buf_printf(ret, " %" PRId64 "\n", value);
    ret->failed |= buf_failed(&name);
}

void metrics_write_text(const struct daemon *daemon, const struct metrics *metrics, struct buf *ret)
{
    write_info(daemon, ret);
    for (size_t i = 0; i < N_ELEMENTS(metrics_table); i++)
        if (is_of(&metrics_table[i], daemon))
            write_text(&metrics_table[i], daemon, value_of(&metrics_table[i], metrics), ret);
}

void metrics_write_embedded(const struct metrics_document *document, const struct metrics *metrics,
                            const struct metrics *before, struct buf *ret)
{
    auto_buf struct buf values = BUF_INIT;
    buf_printf(ret, "\"_aws\":{\"Timestamp\":%" PRId64 ",\"CloudWatchMetrics\":[{\"Namespace\":", document->now_ms);
    json_write_string(document->space, ret);
    buf_puts(ret, ",\"Dimensions\":[[\"Service\"]],\"Metrics\":[");
    for (size_t i = 0; i < N_ELEMENTS(metrics_table); i++) {
        const struct metric *metric = &metrics_table[i];
        if (!metric->embedded || !is_of(metric, document->daemon))
            continue;
        int64_t value = value_of(metric, metrics) - (is_counter(metric) ? value_of(metric, before) : 0);
        buf_printf(ret, "%s{\"Name\":\"%s\",\"Unit\":\"Count\"}", values.len > 0 ? "," : "", metric->embedded);
        buf_printf(&values, ",\"%s\":%" PRId64, metric->embedded, value);
    }
    buf_printf(ret, "]}]},\"Service\":\"%s\"%s", document->daemon->name, buf_str(&values));
    ret->failed |= buf_failed(&values);
}

void metrics_write_help(const struct daemon *daemon, struct buf *ret)
{
    buf_puts(ret, "| name | type | in CloudWatch | meaning |\n| --- | --- | --- | --- |\n| `");
    add_name(daemon, "build_info{version}", ret);
    buf_puts(ret, "` | gauge | | Always 1; the label has the version. |\n");
    for (size_t i = 0; i < N_ELEMENTS(metrics_table); i++) {
        const struct metric *metric = &metrics_table[i];
        if (!is_of(metric, daemon))
            continue;
        buf_puts(ret, "| `");
        add_full_name(daemon, metric, ret);
        buf_printf(ret, "` | %s |%s%s | %s |\n", type_of(metric), metric->embedded ? " " : "",
                   metric->embedded ? metric->embedded : "", metric->help);
    }
}
