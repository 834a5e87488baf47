#include "daemon/health.h"

#include <stdio.h>
#include <sysexits.h>

#include "http/http.h"

enum { TIMEOUT_MS = 3000, ANSWER_MAX = 64 * 1024 };

static int ask(const struct daemon *daemon, const char *address)
{
    struct err err = ERR_INIT;
    auto_buf struct buf url = BUF_INIT;
    auto_http struct http *http = NULL;
    auto_http_response struct http_response response = HTTP_RESPONSE_INIT;
    buf_printf(&url, "http://%s/health", address);
    const struct http_request request = {
        .method = "GET", .url = buf_str(&url), .timeout_ms = TIMEOUT_MS, .max_response = ANSWER_MAX, .no_proxy = true
    };
    int r = buf_failed(&url) ? err_no_memory(&err) : http_new(-1, &http, &err);
    if (r == 0)
        r = http_do(http, &request, &response, &err);
    if (r != 0) {
        fprintf(stderr, "%s: %s\n", daemon->name, err.text);
        return 1;
    }
    bool is_healthy = response.status == 200;
    if (response.body.data)
        err_make_printable(response.body.data);
    const char *text = buf_str(&response.body);
    fprintf(is_healthy ? stdout : stderr, "%s: %.*s\n", daemon->name, (int)strcspn(text, "\n"), text);
    return is_healthy && fflush(stdout) == 0 ? 0 : 1;
}

int health_check(const struct daemon *daemon, const struct config_source *source)
{
    auto_buf struct buf errors = BUF_INIT;
    auto_free void *config = calloc(1, daemon->schema->size);
    struct config_source incomplete = *source;
    incomplete.may_be_incomplete = true;
    int result = config ? config_load(daemon->schema, &incomplete, config, &errors) : -1;
    if (result != 0) {
        fputs(result < 0 ? "no memory\n" : buf_str(&errors), stderr);
        return result < 0 ? 1 : EX_CONFIG;
    }
    const char *address = daemon->monitoring ? daemon->monitoring(config)->metrics_address : NULL;
    int code = EX_CONFIG;
    if (address && *address)
        code = ask(daemon, address);
    else
        fprintf(stderr, "%s: metrics_address is not set: there is nothing to ask\n", daemon->name);
    config_clear(daemon->schema, config);
    return code;
}
