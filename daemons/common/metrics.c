#include "common/metrics.h"

#include <ctype.h>
#include <inttypes.h>

#include "base/json.h"

enum kind { COUNTER, COUNTER_MS, GAUGE, GAUGE_MS };

static const struct metric {
    const char *name;     /* Prometheus'; the daemon's comes before it, unless it is a name of every program's */
    const char *embedded; /* CloudWatch's; NULL: not there, where each is paid for */
    enum kind kind;
    size_t offset;
    const char *help;
} metrics_table[] = {
#define AT(member) offsetof(struct metrics, member)
    { "messages_received_total", "MessagesReceived", COUNTER, AT(received), "Messages received from the queue." },
    { "messages_done_total", "MessagesDone", COUNTER, AT(done), "Messages whose work is done, deleted." },
    { "messages_later_total", "MessagesLater", COUNTER, AT(later), "Messages left in the queue to be tried again." },
    { "messages_never_total", "MessagesNever", COUNTER, AT(never), "Messages sent to the dead-letter queue." },
    { "messages_returned_total", "MessagesReturned", COUNTER, AT(returned), "Messages given back by a stop." },
    { "heartbeats_total", NULL, COUNTER, AT(heartbeats), "Times that a message was kept invisible for longer." },
    { "items_total", "Items", COUNTER, AT(items), "Items published or loaded." },
    { "batches_total", "Batches", COUNTER, AT(batches), "Batches loaded." },
    { "retries_total", "Retries", COUNTER, AT(retries), "Requests to AWS that were made again." },
    { "message_age_seconds_total", NULL, COUNTER_MS, AT(age_ms),
      "Age of the messages when they were received, since they were first sent, together." },
    { "work_seconds_total", NULL, COUNTER_MS, AT(work_ms),
      "Time that workers took to make items or to load batches, together." },
    { "messages_held", "MessagesHeld", GAUGE, AT(held), "Messages held and kept invisible." },
    { "ready", NULL, GAUGE, AT(ready), "1: it has started and does not drain." },
    { "workers", NULL, GAUGE, AT(workers), "Workers." },
    { "workers_overdue", "WorkersOverdue", GAUGE, AT(overdue), "Workers that gave no sign of life in time." },
    { "workers_waiting", "WorkersWaiting", GAUGE, AT(waiting),
      "Workers that wait for a dependency that is down, and receive nothing." },
    { "process_start_time_seconds", NULL, GAUGE_MS, AT(started_at_ms), "When the process started, since 1970." },
#undef AT
};

void metrics_read(const struct service_counters *counters, struct metrics *ret)
{
    ret->received = counters->received;
    ret->done = counters->done;
    ret->later = counters->later;
    ret->never = counters->never;
    ret->returned = counters->returned;
    ret->heartbeats = counters->heartbeats;
    ret->items = counters->items;
    ret->batches = counters->batches;
    ret->retries = counters->retries;
    ret->age_ms = counters->age_ms;
    ret->work_ms = counters->work_ms;
    ret->held = counters->held;
}

static bool is_counter(const struct metric *metric)
{
    return metric->kind == COUNTER || metric->kind == COUNTER_MS;
}

static bool is_of(const struct metric *metric, const struct daemon *daemon)
{
    return metric->offset != offsetof(struct metrics, batches) || daemon->has_batches;
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

static void write_text(const struct metric *metric, const struct daemon *daemon, int64_t value, struct buf *ret)
{
    auto_buf struct buf name = BUF_INIT;
    if (strncmp(metric->name, "process_", 8) == 0)
        buf_puts(&name, metric->name);
    else
        add_name(daemon, metric->name, &name);
    write_head(buf_str(&name), metric->help, is_counter(metric) ? "counter" : "gauge", ret);
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
