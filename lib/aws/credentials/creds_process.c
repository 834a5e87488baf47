#include <inttypes.h>
#include <sys/wait.h>

#include "base/child.h"
#include "aws/credentials/creds_source.h"
#include "aws/credentials/shell_words.h"

/* "Process credential provider" in the AWS SDKs and Tools Reference Guide, with the time limit of AWS's Go SDK. */

enum { TIMEOUT_MS = 60 * 1000, OUTPUT_MAX = 64 * 1024, MESSAGE_SHOWN = 200 };

static int process_error(const struct creds_lookup *lookup, struct err *err, const char *what, const char *detail)
{
    return err_never(err, "bad_credentials", "credential_process of profile \"%s\": %s%.*s", lookup->profile_name, what,
                     MESSAGE_SHOWN, detail);
}

/* Programs usually give the reason of a failure in their last line. */
static const char *last_line(struct buf *text)
{
    while (text->len > 0 && strchr(" \t\r\n", text->data[text->len - 1]))
        text->data[--text->len] = '\0';
    const char *newline = text->len > 0 ? memrchr(text->data, '\n', text->len) : NULL;
    return newline ? newline + 1 : buf_str(text);
}

static int exit_error(const struct creds_lookup *lookup, struct child *child, struct err *err)
{
    auto_buf struct buf what = BUF_INIT;
    if (WIFSIGNALED(child->status))
        buf_printf(&what, "ended by signal %d", WTERMSIG(child->status));
    else
        buf_printf(&what, "ended with status %d", WEXITSTATUS(child->status));
    const char *message = last_line(&child->message);
    buf_puts(&what, *message ? ": " : " and printed no message");
    return process_error(lookup, err, buf_str(&what), message);
}

static int read_output(const struct creds_lookup *lookup, const struct buf *output, struct creds *ret, struct err *err)
{
    auto_buf struct buf place = BUF_INIT;
    buf_printf(&place, "credential_process of profile \"%s\"", lookup->profile_name);
    auto_creds_json cJSON *json = NULL;
    int r = creds_json_parse(output, buf_str(&place), &json, err);
    if (r != 0)
        return r;
    int64_t version = 0;
    if (!json_is_number(json_get(json, "Version")) || !json_get_i64(json, "Version", 1, 1, &version))
        return process_error(lookup, err, "its answer needs \"Version\": 1", "");
    struct creds_parts parts = creds_parts_in(json, "SessionToken");
    parts.source = "credential_process";
    parts.place = buf_str(&place);
    return creds_fill(&parts, ret, err);
}

int creds_from_process(const struct creds_lookup *lookup, struct creds *ret, struct err *err)
{
    const char *command = creds_setting(lookup, "credential_process");
    if (!command)
        return 0;
    auto_shell_words struct shell_words words = SHELL_WORDS_INIT;
    int r = shell_words_split(command, &words, err);
    if (r == 0 && words.n == 0)
        r = err_never(err, "bad_quoting", "the command is empty");
    if (r != 0) {
        err_prefix(err, "credential_process of profile \"%s\"", lookup->profile_name);
        return r;
    }
    auto_child struct child child = {
        .argv = words.list,
        .timeout_ms = TIMEOUT_MS,
        .stop_fd = http_stop_fd(lookup->http),
        .max_output = OUTPUT_MAX,
    };
    r = child_run(&child, err);
    if (r != 0) {
        err_prefix(err, "credential_process of profile \"%s\"", lookup->profile_name);
        return r;
    }
    if (!WIFEXITED(child.status) || WEXITSTATUS(child.status) != 0)
        return exit_error(lookup, &child, err);
    return read_output(lookup, &child.output, ret, err);
}
