/*
 * http-get: performs requests with lib/http and prints the outcome of each, for the tests.
 *
 *   http-get [OPTION]... URL...      all URLs at once; prints a JSON line for each, in their order
 *     -X METHOD  -H 'NAME: VALUE'  -d BODY  -z N (a body of N bytes)  -N (ignore proxy settings)
 *     -t MS (limit of the exchange)  -c MS (of connecting)  -m BYTES (of an answer)
 *     -s FD (the stop descriptor)
 *     -r N (N rounds with one client; each after the first waits for a line on standard input)
 *     -o (after the first round only the first URL)
 *     -q (print no heads and bodies)
 */
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/num.h"
#include "base/time.h"
#include "http/http.h"

enum { HEADERS_MAX = 20, SHOWN_MAX = 64 * 1024 };

struct options {
    struct http_request request;
    struct http_header headers[HEADERS_MAX];
    struct buf body;
    int64_t stop_fd, rounds, max_response, timeout_ms, connect_timeout_ms;
    bool only_first, quiet;
};

static bool number(const char *text, int64_t max, int64_t *ret)
{
    struct err err = ERR_INIT;
    if (num_parse_i64(text, 0, max, ret, &err) == 0)
        return true;
    fprintf(stderr, "http-get: %s: %s\n", text, err.text);
    return false;
}

static bool add_header(struct options *options, char *text)
{
    char *colon = strchr(text, ':');
    if (!colon || options->request.n_headers == HEADERS_MAX)
        return false;
    *colon = '\0';
    const char *value = colon + 1 + strspn(colon + 1, " ");
    options->headers[options->request.n_headers++] = (struct http_header){ text, value };
    return true;
}

static bool fill_body(struct options *options, const char *text)
{
    int64_t len = 0;
    if (!number(text, 64 * 1024 * 1024, &len))
        return false;
    char *data = buf_reserve(&options->body, (size_t)len);
    if (!data)
        return false;
    memset(data, 'x', (size_t)len);
    options->body.len += (size_t)len;
    return true;
}

static bool parse_option(struct options *options, int option, char *value)
{
    struct http_request *request = &options->request;
    switch (option) {
    case 'X':
        request->method = value;
        return true;
    case 'H':
        return add_header(options, value);
    case 'd':
        buf_puts(&options->body, value);
        return true;
    case 'z':
        return fill_body(options, value);
    case 'N':
        return request->no_proxy = true;
    case 'o':
        return options->only_first = true;
    case 'q':
        return options->quiet = true;
    case 't':
        return number(value, INT32_MAX, &options->timeout_ms);
    case 'c':
        return number(value, INT32_MAX, &options->connect_timeout_ms);
    case 'm':
        return number(value, INT32_MAX, &options->max_response);
    case 's':
        return number(value, INT32_MAX, &options->stop_fd);
    case 'r':
        return number(value, INT32_MAX, &options->rounds);
    default:
        return false;
    }
}

static void add_text(struct buf *line, const char *key, const char *text)
{
    buf_printf(line, ", \"%s\": ", key);
    json_write_string(text, line);
}

static void print_exchange(struct http_exchange *exchange, const struct options *options, int64_t ms)
{
    const struct http_response *response = &exchange->response;
    auto_buf struct buf line = BUF_INIT;
    buf_printf(&line, "{\"result\": %d, \"status\": %d, \"ms\": %lld, \"body_len\": %zu, \"header_len\": %zu",
               exchange->result, response->status, (long long)ms, response->body.len, response->headers.len);
    add_text(&line, "code", exchange->result && exchange->err.code ? exchange->err.code : "");
    add_text(&line, "text", exchange->result ? exchange->err.text : "");
    buf_printf(&line, ", \"outage\": %s", exchange->result && exchange->err.outage ? "true" : "false");
    if (!options->quiet && response->body.len <= SHOWN_MAX) {
        add_text(&line, "headers", buf_str(&response->headers));
        add_text(&line, "body", buf_str(&response->body));
    }
    printf("%s}\n", buf_str(&line));
}

static int perform_round(struct http *http, const struct options *options, char **urls, size_t n)
{
    struct http_exchange *exchanges = calloc(n, sizeof(*exchanges));
    if (!exchanges)
        return 1;
    for (size_t i = 0; i < n; i++) {
        exchanges[i].request = options->request;
        exchanges[i].request.url = urls[i];
    }
    struct err err = ERR_INIT;
    int64_t start_ms = time_mono_ms();
    int result = http_do_many(http, exchanges, n, &err);
    int64_t ms = time_mono_ms() - start_ms;
    if (result)
        fprintf(stderr, "http-get: %s\n", err.text);
    for (size_t i = 0; i < n; i++) {
        print_exchange(&exchanges[i], options, ms);
        http_response_clear(&exchanges[i].response);
    }
    fflush(stdout);
    free(exchanges);
    return result ? 1 : 0;
}

static bool await_line(void)
{
    char line[100];
    return fgets(line, sizeof(line), stdin) != NULL;
}

static int run(const struct options *options, char **urls, size_t n)
{
    auto_http struct http *http = NULL;
    struct err err = ERR_INIT;
    if (http_new((int)options->stop_fd, &http, &err) != 0) {
        fprintf(stderr, "http-get: %s\n", err.text);
        return 1;
    }
    for (int64_t round = 0; round < options->rounds; round++) {
        size_t n_now = round > 0 && options->only_first ? 1 : n;
        if ((round > 0 && !await_line()) || perform_round(http, options, urls, n_now) != 0)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = { .request.method = "GET", .body = BUF_INIT, .stop_fd = -1, .rounds = 1 };
    options.max_response = 1024 * 1024;
    options.timeout_ms = 10000;
    int option;
    while ((option = getopt(argc, argv, "X:H:d:z:Noqt:c:m:s:r:")) != -1)
        if (!parse_option(&options, option, optarg)) {
            fprintf(stderr, "http-get: -%c is wrong\n", option);
            return 64;
        }
    struct http_request *request = &options.request;
    request->headers = options.headers;
    request->body = options.body.data;
    request->body_len = options.body.len;
    request->timeout_ms = (int)options.timeout_ms;
    request->connect_timeout_ms = (int)options.connect_timeout_ms;
    request->max_response = (size_t)options.max_response;
    int status = run(&options, argv + optind, (size_t)(argc - optind));
    buf_clear(&options.body);
    return status;
}
