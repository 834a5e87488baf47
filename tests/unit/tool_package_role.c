/*
 * tool_package_role: the credentials that package code gets from package_role_arn.
 *
 *     package-role ROLE_ARN TIME_LIMIT_MS TIMES [THREADS]
 *
 * Each thread asks TIMES times, and prints the variables as JSON, or {"error": code, "text": ...}. ROLE_ARN "": none is
 * configured.
 */
#include <pthread.h>
#include <stdio.h>

#include "base/json.h"
#include "base/num.h"
#include "itemgend/sandbox/package_role.h"

enum { THREADS_MAX = 32 };

struct tool {
    struct aws *aws;
    struct package_role *role;
    int64_t times;
};

static void print_variables(struct tool *tool, struct aws_client *client)
{
    auto_strv struct strv environment = STRV_INIT;
    auto_buf struct buf line = BUF_INIT;
    struct err err = ERR_INIT;
    int r = package_role_variables(tool->role, client, &environment, &err);
    if (r != 0) {
        buf_printf(&line, "{\"result\":%d,\"outage\":%s,\"error\":", r, err.outage ? "true" : "false");
        json_write_string(err.code, &line);
        buf_puts(&line, ",\"text\":");
        json_write_string(err.text, &line);
        buf_putc(&line, '}');
    } else {
        buf_putc(&line, '[');
        for (size_t i = 0; i < environment.n; i++) {
            buf_puts(&line, i > 0 ? "," : "");
            json_write_string(environment.list[i], &line);
        }
        buf_putc(&line, ']');
    }
    puts(buf_str(&line));
}

static void *ask(void *context)
{
    struct tool *tool = context;
    auto_aws_client struct aws_client *client = NULL;
    struct err err = ERR_INIT;
    if (aws_client_new(tool->aws, -1, &client, &err) != 0)
        return NULL;
    for (int64_t i = 0; i < tool->times; i++)
        print_variables(tool, client);
    return NULL;
}

int main(int argc, char **argv)
{
    struct tool tool = { .times = 1 };
    struct itemgend_options options = { .package_role_arn = argc > 1 ? argv[1] : NULL };
    const struct packages none = { .n = 0 };
    pthread_t threads[THREADS_MAX];
    struct err err = ERR_INIT;
    int64_t n = 1;
    bool ok = argc > 3 && num_parse_i64(argv[2], 0, INT32_MAX, &options.limits.time_ms, &err) == 0 &&
              num_parse_i64(argv[3], 1, 1000, &tool.times, &err) == 0 &&
              (argc < 5 || num_parse_i64(argv[4], 1, THREADS_MAX, &n, &err) == 0) &&
              aws_new(NULL, &tool.aws, &err) == 0 && package_role_new(&options, &none, tool.aws, &tool.role, &err) == 0;
    for (int64_t i = 0; ok && i < n; i++)
        ok = pthread_create(&threads[i], NULL, ask, &tool) == 0;
    for (int64_t i = 0; ok && i < n; i++)
        pthread_join(threads[i], NULL);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    package_role_free(tool.role);
    aws_free(tool.aws);
    return ok ? 0 : 1;
}
