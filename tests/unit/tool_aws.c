/*
 * aws: performs an AWS call for each line of its standard input, a JSON object {"op": "receive", ...}, and prints a
 * line {"result": 0, "code": null, ...}. One process for all lines, so that connections, retry quota and clock offset
 * are kept between calls.
 *
 *     aws [STOP_AFTER_MS]    the time after which the stop descriptor becomes readable
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "aws/s3.h"
#include "aws/secrets.h"
#include "aws/sns.h"
#include "base/json.h"
#include "base/num.h"
#include "base/time.h"
#include "sqs/envelope.h"

struct tool {
    struct aws *aws;
    struct aws_client *client;
    struct buf out;
};

static int number(const cJSON *json, const char *key, int otherwise)
{
    int64_t value = otherwise;
    return json_get_i64(json, key, 0, INT32_MAX, &value) ? (int)value : otherwise;
}

static const char *text(const cJSON *json, const char *key)
{
    const char *value = json_get_string(json, key);
    return value ? value : "";
}

static size_t length(const cJSON *array)
{
    return cJSON_IsArray(array) ? (size_t)cJSON_GetArraySize(array) : 0;
}

static void put_text(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, ",\"%s\":", key);
    if (value)
        json_write_string(value, out);
    else
        buf_puts(out, "null");
}

static void put_result(struct buf *out, int result, const struct err *err)
{
    buf_printf(out, "{\"result\":%d", result);
    put_text(out, "code", result != 0 ? err->code : NULL);
    put_text(out, "text", result != 0 ? err->text : NULL);
    buf_printf(out, ",\"outage\":%s", result != 0 && err->outage ? "true" : "false");
}

static void put_message(struct buf *out, const struct sqs_message *message)
{
    auto_envelope struct envelope envelope = { .payload = NULL };
    if (envelope_open(message, &envelope, NULL) != 0)
        return;
    buf_printf(out, "{\"is_sns\":%s", envelope.is_sns ? "true" : "false");
    put_text(out, "message_id", message->message_id);
    put_text(out, "receipt_handle", message->receipt_handle);
    put_text(out, "body", message->body);
    put_text(out, "payload", envelope.payload);
    buf_printf(out, ",\"published_at_ms\":%ld,\"sent_at_ms\":%ld,\"first_received_at_ms\":%ld",
               (long)envelope.published_at_ms, (long)message->sent_at_ms, (long)message->first_received_at_ms);
    buf_printf(out, ",\"receive_count\":%d,\"attributes\":{", message->receive_count);
    for (size_t i = 0; i < message->n_attributes; i++) {
        if (i > 0)
            buf_putc(out, ',');
        json_write_string(message->attributes[i].name, out);
        buf_puts(out, ":[");
        json_write_string(message->attributes[i].type, out);
        buf_putc(out, ',');
        json_write_string(message->attributes[i].value, out);
        buf_putc(out, ']');
    }
    buf_puts(out, "}}");
}

static int do_receive(struct tool *tool, struct sqs *sqs, const cJSON *line)
{
    const struct sqs_receive options = { .n_requests = (size_t)number(line, "requests", 1),
                                         .max_messages = number(line, "max", 10),
                                         .wait_s = number(line, "wait_s", 0),
                                         .visibility_s = number(line, "visibility_s", 0) };
    auto_sqs_messages struct sqs_messages messages = { .list = NULL };
    struct err err = ERR_INIT;
    size_t full = 0;
    int r = sqs_receive(sqs, &options, &messages, &full, &err);
    put_result(&tool->out, r, &err);
    buf_printf(&tool->out, ",\"full\":%zu,\"messages\":[", full);
    for (size_t i = 0; i < messages.n; i++) {
        if (i > 0)
            buf_putc(&tool->out, ',');
        put_message(&tool->out, &messages.list[i]);
    }
    buf_putc(&tool->out, ']');
    return r;
}

static int do_entries(struct tool *tool, struct sqs *sqs, const cJSON *line, bool visibility)
{
    const cJSON *handles = json_get(line, "handles");
    size_t n = length(handles);
    auto_free struct sqs_entry *entries = calloc(n + 1, sizeof(*entries));
    struct err err = ERR_INIT;
    if (!entries)
        return err_no_memory(&err);
    const cJSON *handle = handles ? handles->child : NULL;
    for (size_t i = 0; i < n; i++, handle = handle->next) {
        entries[i].receipt_handle = cJSON_GetStringValue(handle);
        entries[i].visibility_s = number(line, "visibility_s", 0);
    }
    int r = visibility ? sqs_change_visibility_many(sqs, entries, n, &err) : sqs_delete_many(sqs, entries, n, &err);
    put_result(&tool->out, r, &err);
    buf_puts(&tool->out, ",\"entries\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_putc(&tool->out, ',');
        put_result(&tool->out, entries[i].result, &entries[i].err);
        buf_putc(&tool->out, '}');
    }
    buf_putc(&tool->out, ']');
    return r;
}

/* A message to send or publish, with room for more attributes than a message may have. */
struct outgoing {
    struct sqs_attribute sqs_attributes[16];
    struct sns_attribute sns_attributes[16];
    size_t n_attributes;
};

static void read_attributes(const cJSON *entry, struct outgoing *ret)
{
    const cJSON *attribute;
    cJSON_ArrayForEach(attribute, json_get(entry, "attributes"))
    {
        if (ret->n_attributes == N_ELEMENTS(ret->sqs_attributes))
            return;
        const cJSON *name = json_get(attribute, "name"), *type = json_get(attribute, "type"),
                    *value = json_get(attribute, "value");
        if (!cJSON_IsString(name) || !cJSON_IsString(type) || !cJSON_IsString(value))
            continue;
        ret->sqs_attributes[ret->n_attributes] =
            (struct sqs_attribute){ name->valuestring, type->valuestring, value->valuestring };
        ret->sns_attributes[ret->n_attributes++] =
            (struct sns_attribute){ name->valuestring, type->valuestring, value->valuestring };
    }
}

static int do_send(struct tool *tool, struct sqs *sqs, const cJSON *line)
{
    const cJSON *list = json_get(line, "entries");
    size_t n = length(list);
    auto_free struct sqs_send *entries = calloc(n + 1, sizeof(*entries));
    auto_free struct outgoing *outgoing = calloc(n + 1, sizeof(*outgoing));
    struct err err = ERR_INIT;
    if (!entries || !outgoing)
        return err_no_memory(&err);
    const cJSON *entry = list ? list->child : NULL;
    for (size_t i = 0; i < n; i++, entry = entry->next) {
        read_attributes(entry, &outgoing[i]);
        entries[i] = (struct sqs_send){ .body = text(entry, "body"),
                                        .attributes = outgoing[i].sqs_attributes,
                                        .n_attributes = outgoing[i].n_attributes };
    }
    int r = sqs_send_many(sqs, entries, n, &err);
    put_result(&tool->out, r, &err);
    buf_puts(&tool->out, ",\"entries\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_putc(&tool->out, ',');
        put_result(&tool->out, entries[i].result, &entries[i].err);
        buf_putc(&tool->out, '}');
    }
    buf_putc(&tool->out, ']');
    return r;
}

static int do_info(struct tool *tool, struct sqs *sqs)
{
    struct sqs_queue_info info = { .dead_letter_arn = NULL };
    struct err err = ERR_INIT;
    int r = sqs_get_info(sqs, &info, &err);
    put_result(&tool->out, r, &err);
    buf_printf(&tool->out, ",\"visibility_s\":%d,\"max_receive_count\":%d,\"max_message_size\":%ld", info.visibility_s,
               info.max_receive_count, (long)info.max_message_size);
    buf_printf(&tool->out, ",\"visible\":%ld,\"in_flight\":%ld", (long)info.visible, (long)info.in_flight);
    put_text(&tool->out, "dead_letter_arn", info.dead_letter_arn);
    sqs_queue_info_clear(&info);
    return r;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Receives, opens and deletes the messages of one receive. */
static int drain_once(struct sqs *sqs, size_t n_requests, size_t *ret_n, struct err *err)
{
    const struct sqs_receive options = { .n_requests = n_requests, .max_messages = 10 };
    auto_sqs_messages struct sqs_messages messages = { .list = NULL };
    size_t full = 0;
    int r = sqs_receive(sqs, &options, &messages, &full, err);
    if (r != 0)
        return r;
    auto_free struct sqs_entry *entries = calloc(messages.n + 1, sizeof(*entries));
    if (!entries)
        return err_no_memory(err);
    for (size_t i = 0; i < messages.n; i++) {
        auto_envelope struct envelope envelope = { .payload = NULL };
        r = envelope_open(&messages.list[i], &envelope, err);
        if (r != 0)
            return r;
        entries[i].receipt_handle = messages.list[i].receipt_handle;
    }
    r = sqs_delete_many(sqs, entries, messages.n, err);
    for (size_t i = 0; r == 0 && i < messages.n; i++)
        *ret_n += entries[i].result == 0;
    return r;
}

/* Receives and deletes this number of messages, and measures the cost. */
static int do_drain(struct tool *tool, struct sqs *sqs, const cJSON *line)
{
    size_t n = 0, total = (size_t)number(line, "total", 1000), n_requests = (size_t)number(line, "requests", 1);
    struct err err = ERR_INIT;
    int r = drain_once(sqs, n_requests, &n, &err); /* opens the connections before the measurement */
    double began = cpu_seconds();
    int64_t began_ms = time_mono_ms();
    n = 0;
    while (r == 0 && n < total)
        r = drain_once(sqs, n_requests, &n, &err);
    put_result(&tool->out, r, &err);
    buf_printf(&tool->out, ",\"messages\":%zu,\"cpu_s_per_1000\":%.4f,\"wall_ms\":%ld", n,
               (cpu_seconds() - began) * 1000 / (double)(n + (n == 0)), (long)(time_mono_ms() - began_ms));
    return r;
}

static int do_queue(struct tool *tool, const char *op, const cJSON *line)
{
    auto_sqs struct sqs *sqs = NULL;
    struct err err = ERR_INIT;
    int r = sqs_new(tool->client, text(line, "queue_url"), &sqs, &err);
    if (r != 0) {
        put_result(&tool->out, r, &err);
        return r;
    }
    if (strcmp(op, "receive") == 0)
        return do_receive(tool, sqs, line);
    if (strcmp(op, "delete") == 0 || strcmp(op, "visibility") == 0)
        return do_entries(tool, sqs, line, op[0] == 'v');
    if (strcmp(op, "send") == 0)
        return do_send(tool, sqs, line);
    return strcmp(op, "drain") == 0 ? do_drain(tool, sqs, line) : do_info(tool, sqs);
}

static int do_publish(struct tool *tool, const cJSON *line, bool many)
{
    const cJSON *list = json_get(line, "messages");
    size_t n = length(list);
    auto_free struct sns_message *messages = calloc(n + 1, sizeof(*messages));
    auto_free struct outgoing *outgoing = calloc(n + 1, sizeof(*outgoing));
    struct err err = ERR_INIT;
    if (!messages || !outgoing)
        return err_no_memory(&err);
    const cJSON *entry = list ? list->child : NULL;
    for (size_t i = 0; i < n; i++, entry = entry->next) {
        read_attributes(entry, &outgoing[i]);
        messages[i] = (struct sns_message){ .body = text(entry, "body"),
                                            .attributes = outgoing[i].sns_attributes,
                                            .n_attributes = outgoing[i].n_attributes };
    }
    const char *topic_arn = text(line, "topic_arn");
    int r = many ? sns_publish_many(tool->client, topic_arn, messages, n, &err)
                 : sns_publish(tool->client, topic_arn, messages, &err);
    put_result(&tool->out, r, &err);
    buf_puts(&tool->out, ",\"messages\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_putc(&tool->out, ',');
        put_result(&tool->out, messages[i].result, &messages[i].err);
        put_text(&tool->out, "message_id", messages[i].message_id);
        buf_putc(&tool->out, '}');
    }
    buf_putc(&tool->out, ']');
    return r;
}

static int do_bytes(struct tool *tool, const char *op, const cJSON *line)
{
    auto_buf struct buf bytes = BUF_INIT;
    struct err err = ERR_INIT;
    int r;
    if (strcmp(op, "secret") == 0) {
        r = secrets_get(tool->client, text(line, "id"), &bytes, &err);
    } else {
        const struct s3_object object = { .bucket = text(line, "bucket"),
                                          .key = text(line, "key"),
                                          .version_id = json_get_string(line, "version_id"),
                                          .region = json_get_string(line, "region") };
        r = s3_get_object(tool->client, &object, (size_t)number(line, "max_len", 1024), &bytes, &err);
    }
    put_result(&tool->out, r, &err);
    buf_puts(&tool->out, ",\"hex\":\"");
    buf_add_hex(&tool->out, buf_str(&bytes), bytes.len);
    buf_putc(&tool->out, '"');
    return r;
}

static int do_put(struct tool *tool, const cJSON *line)
{
    const struct s3_object object = { .bucket = text(line, "bucket"),
                                      .key = text(line, "key"),
                                      .region = json_get_string(line, "region") };
    auto_buf struct buf data = BUF_INIT;
    struct err err = ERR_INIT;
    buf_puts(&data, text(line, "data"));
    int r = s3_put_object(tool->client, &object, text(line, "content_type"), &data, &err);
    put_result(&tool->out, r, &err);
    return r;
}

static int do_url(struct tool *tool, const cJSON *line)
{
    auto_free char *url = NULL;
    struct err err = ERR_INIT;
    int r = sqs_url_from_arn(tool->client, text(line, "arn"), &url, &err);
    put_result(&tool->out, r, &err);
    put_text(&tool->out, "url", url);
    return r;
}

/* False: the process cannot go on. */
static bool do_line(struct tool *tool, const char *line_text)
{
    auto_json cJSON *line = NULL;
    struct err err = ERR_INIT;
    if (json_parse(line_text, strlen(line_text), &line, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return false;
    }
    const char *op = text(line, "op");
    int r;
    buf_reset(&tool->out);
    if (strcmp(op, "publish") == 0 || strcmp(op, "publish_many") == 0)
        r = do_publish(tool, line, op[7] == '_');
    else if (strcmp(op, "secret") == 0 || strcmp(op, "get") == 0)
        r = do_bytes(tool, op, line);
    else if (strcmp(op, "put") == 0)
        r = do_put(tool, line);
    else if (strcmp(op, "url") == 0)
        r = do_url(tool, line);
    else
        r = do_queue(tool, op, line);
    buf_printf(&tool->out, ",\"retries\":%ld,\"now_ms\":%ld}", (long)aws_retries(tool->aws),
               (long)aws_now_ms(tool->aws));
    puts(buf_str(&tool->out));
    fflush(stdout);
    return r >= 0;
}

static int arm_stop(const char *after_ms)
{
    int64_t ms = 0;
    if (num_parse_i64(after_ms, 1, 600000, &ms, NULL) != 0)
        return -1;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    const struct itimerspec at = { .it_value = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 } };
    if (fd >= 0)
        timerfd_settime(fd, 0, &at, NULL);
    return fd;
}

int main(int argc, char **argv)
{
    auto_close int stop_fd = argc > 1 ? arm_stop(argv[1]) : -1;
    struct tool tool = { .out = BUF_INIT };
    struct err err = ERR_INIT;
    char *line = NULL;
    size_t cap = 0;
    bool ok = aws_new(NULL, &tool.aws, &err) == 0 && aws_client_new(tool.aws, stop_fd, &tool.client, &err) == 0;
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    while (ok && getline(&line, &cap, stdin) > 0)
        ok = do_line(&tool, line);
    free(line);
    buf_clear(&tool.out);
    aws_client_free(tool.client);
    aws_free(tool.aws);
    return ok ? 0 : 1;
}
