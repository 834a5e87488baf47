/*
 * tool_publisher: workers that publish an item each, all through one publisher.
 *
 *     publisher TOPIC_ARN WORKERS SIZE [OVERFLOW_BUCKET]
 *
 * The first worker publishes at once. After a line of input all others do, and "queued" is printed when all of them
 * wait. Then it prints {"worker": i, "result": r, "code": ..., "outage": ...} for each. The item of worker i is SIZE
 * bytes of text that begin with "item-i ".
 */
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/num.h"
#include "itemgend/publish/publisher.h"

enum { WORKERS_MAX = 64 };

struct caller {
    struct publisher *publisher;
    struct aws *aws;
    struct worker worker;
    pthread_t thread;
    int64_t number, size;
    int result;
    struct err err;
};

static void *publish(void *context)
{
    struct caller *caller = context;
    auto_aws_client struct aws_client *client = NULL;
    auto_buf struct buf text = BUF_INIT;
    char item_id[32];
    snprintf(item_id, sizeof(item_id), "item-%d", (int)caller->number);
    buf_printf(&text, "%s ", item_id);
    while ((int64_t)text.len < caller->size)
        buf_putc(&text, 'x');
    const struct publication publication = {
        .text = &text, .collection = "a/b", .item_id = item_id, .published_at_ms = 1234
    };
    caller->result = aws_client_new(caller->aws, -1, &client, &caller->err);
    if (caller->result == 0)
        caller->result = publisher_publish(caller->publisher, client, &caller->worker, &publication, &caller->err);
    return NULL;
}

static void await_all(const struct caller *callers, int64_t n)
{
    for (int64_t i = 1; i < n; i++)
        while (callers[i].worker.due_at_ms == 0) /* it is pulsed when it waits */
            usleep(10000);
}

static void print_result(struct caller *caller)
{
    auto_buf struct buf line = BUF_INIT;
    bool failed = caller->result != 0;
    buf_printf(&line, "{\"worker\":%d,\"result\":%d,\"outage\":%s,\"code\":", (int)caller->number, caller->result,
               failed && caller->err.outage ? "true" : "false");
    json_write_string(failed ? caller->err.code : "", &line);
    buf_putc(&line, '}');
    puts(buf_str(&line));
}

int main(int argc, char **argv)
{
    static struct caller callers[WORKERS_MAX];
    struct itemgend_options options = { .load_topic_arn = argc > 1 ? argv[1] : NULL,
                                        .overflow_bucket = argc > 4 ? argv[4] : NULL };
    struct publisher *publisher = NULL;
    struct aws *aws = NULL;
    struct err err = ERR_INIT;
    int64_t n = 0, size = 0;
    bool ok = argc > 3 && num_parse_i64(argv[2], 1, WORKERS_MAX, &n, &err) == 0 &&
              num_parse_i64(argv[3], 0, 1 << 30, &size, &err) == 0 && aws_new(NULL, &aws, &err) == 0 &&
              publisher_new(&options, &publisher, &err) == 0;
    for (int64_t i = 0; ok && i < n; i++) {
        callers[i] = (struct caller){ .publisher = publisher, .aws = aws, .number = i, .size = size };
        ok = pthread_create(&callers[i].thread, NULL, publish, &callers[i]) == 0;
        if (i == 0 && n > 1)
            ok = ok && getchar() != EOF;
    }
    if (!ok) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    await_all(callers, n);
    puts("queued");
    fflush(stdout);
    for (int64_t i = 0; i < n; i++) {
        pthread_join(callers[i].thread, NULL);
        print_result(&callers[i]);
    }
    publisher_free(publisher);
    aws_free(aws);
    return 0;
}
