/* uv_error: the meaning of uv's messages, as its various versions write them. */
#include "itemgend/venv/uv_error.h"
#include "test.h"

#include <string.h>

#define CROSS "  \xc3\x97 "
#define BRANCH "  \xe2\x94\x9c\xe2\x94\x80\xe2\x96\xb6 "

/* `code` NULL: uv did not fail. */
static const struct {
    const char *output, *code;
    bool outage;
} rows[] = {
    { "", NULL, false },
    { "Installed 3 packages\n", NULL, false },
    { "the package says: error: none\n", NULL, false },
    { "error: No solution found when resolving dependencies\n  cause: Because x was not found", "unresolvable", false },
    { CROSS "No solution found when resolving dependencies:\n  Because x was not found", "unresolvable", false },
    { "error: No solution found when resolving dependencies\n  cause: Because x has no usable wheels and building from "
      "source is disabled",
      "needs_source_build", false },
    { "error: Failed to fetch: http://h/x/\n  cause: HTTP status server error (500 Internal Server Error) for url",
      "registry_unavailable", true },
    { "error: Failed to fetch: http://h/x/\n  cause: HTTP status client error (429 Too Many Requests) for url",
      "registry_unavailable", true },
    { "warning: slow\nerror: Failed to fetch: http://h/x/\n  cause: operation timed out", "registry_unavailable",
      true },
    { CROSS "Failed to download `x==1.0`\n" BRANCH "Failed to fetch: `http://h/x.whl`\n" BRANCH "tcp connect error",
      "registry_unavailable", true },
    { CROSS "Failed to download `x==1.0`\n" BRANCH "error decoding response body", "registry_unavailable", true },
    { CROSS "Failed to download `x==1.0`\n" BRANCH "Hash mismatch for `x==1.0`", "environment_failed", false },
    { "error: Failed to fetch: http://h/x.whl\n  cause: HTTP status client error (404 Not Found) for url",
      "environment_failed", false },
    { "error: Failed to fetch: http://h/x.whl\n  cause: HTTP status client error (403 Forbidden) for url",
      "environment_failed", false },
    { "error: Failed to fetch: http://h/x/\n  cause: HTTP status client error (400 Bad Request) for url",
      "environment_failed", false },
    { "error: Failed to install: x\n  cause: No space left on device (os error 28)", "no_environment", true },
};

int main(void)
{
    for (size_t row = 0; row < N_ELEMENTS(rows); row++) {
        auto_buf struct buf output = BUF_INIT;
        struct err err = ERR_INIT;
        buf_puts(&output, rows[row].output);
        int r = uv_error(&output, &err);
        CHECK_ROW((r == 0) == !rows[row].code && (r == LATER) == rows[row].outage, "row %zu: %d", row, r);
        CHECK_STRING(err.code, rows[row].code);
        CHECK_ROW(err.outage == rows[row].outage, "row %zu: %s", row, err.text);
    }
    return test_end();
}
