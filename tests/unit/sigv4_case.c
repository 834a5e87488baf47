#include "sigv4_case.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/time.h"
#include "sigv4/sigv4.h"

enum { FILE_MAX = 16 * 1024 * 1024, HEADERS_MAX = 200 };

enum { CONTEXT, REQUEST, CANONICAL, TO_SIGN, SIGNATURE, SIGNED, N_FILES };
static const char *const file_names[N_FILES] = {
    "context.json",
    "request.txt",
    "header-canonical-request.txt",
    "header-string-to-sign.txt",
    "header-signature.txt",
    "header-signed-request.txt",
};

struct sigv4_case {
    struct buf files[N_FILES];
    cJSON *context;
    size_t head_len;  /* of request.txt: request line and headers, before the empty line */
    struct buf parts; /* a copy of request.txt, cut into strings */
    struct http_header headers[HEADERS_MAX];
    struct sigv4_request request;
    struct sigv4_credentials credentials;
    struct sigv4_scope scope;
};

static void case_clear(struct sigv4_case *c)
{
    for (size_t i = 0; i < N_FILES; i++)
        buf_clear(&c->files[i]);
    buf_clear(&c->parts);
    cJSON_Delete(c->context);
}
#define auto_case cleanup(case_clear)

/* On failure each of these functions appends the reason to ret_story and returns false. */
static bool read_file(const char *folder, const char *name, struct buf *ret, struct buf *ret_story)
{
    auto_buf struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", folder, name);
    FILE *file = fopen(buf_str(&path), "re");
    if (!file) {
        buf_printf(ret_story, "%s: %s\n", name, strerror(errno));
        return false;
    }
    size_t n = 1;
    while (n > 0 && ret->len <= FILE_MAX) {
        char *room = buf_reserve(ret, 64 * 1024);
        n = room ? fread(room, 1, 64 * 1024, file) : 0;
        ret->len += n;
    }
    bool ok = !ferror(file) && !buf_failed(ret) && ret->len <= FILE_MAX;
    if (ret->data)
        ret->data[ret->len] = '\0';
    fclose(file);
    if (!ok)
        buf_printf(ret_story, "%s: cannot be read, or is larger than %d bytes\n", name, FILE_MAX);
    return ok;
}

static bool take_string(const cJSON *object, const char *key, const char **ret, struct buf *ret_story)
{
    *ret = json_get_string(object, key);
    if (!*ret)
        buf_printf(ret_story, "context.json: %s is missing or no string\n", key);
    return *ret != NULL;
}

static bool take_bool(const cJSON *object, const char *key, bool missing, bool *ret, struct buf *ret_story)
{
    const cJSON *member = json_get(object, key);
    *ret = member ? cJSON_IsTrue(member) : missing;
    if (!member || cJSON_IsBool(member))
        return true;
    buf_printf(ret_story, "context.json: %s is neither true nor false\n", key);
    return false;
}

static bool take_time(const cJSON *object, int64_t *ret_s, struct buf *ret_story)
{
    const char *text = NULL;
    int64_t us = 0;
    if (!take_string(object, "timestamp", &text, ret_story))
        return false;
    if (!time_parse_rfc3339(text, &us)) {
        buf_printf(ret_story, "context.json: timestamp is not a time: %s\n", text);
        return false;
    }
    *ret_s = us / 1000000;
    return true;
}

static bool take_context(struct sigv4_case *c, struct buf *ret_story)
{
    struct err err = ERR_INIT;
    const struct buf *file = &c->files[CONTEXT];
    if (json_parse(buf_str(file), file->len, &c->context, &err) != 0) {
        buf_printf(ret_story, "context.json: %s\n", err.text);
        return false;
    }
    const cJSON *credentials = json_get(c->context, "credentials");
    bool normalize = true;
    bool ok = take_string(credentials, "access_key_id", &c->credentials.access_key_id, ret_story) &&
              take_string(credentials, "secret_access_key", &c->credentials.secret_access_key, ret_story) &&
              take_string(c->context, "region", &c->scope.region, ret_story) &&
              take_string(c->context, "service", &c->scope.service, ret_story) &&
              take_time(c->context, &c->scope.now_s, ret_story) &&
              take_bool(c->context, "normalize", true, &normalize, ret_story) &&
              take_bool(c->context, "sign_body", false, &c->request.sign_body, ret_story) &&
              take_bool(c->context, "omit_session_token", false, &c->request.omit_session_token, ret_story);
    if (!ok)
        return false;
    if (json_get(credentials, "token") && !take_string(credentials, "token", &c->credentials.session_token, ret_story))
        return false;
    c->request.keep_path = !normalize;
    c->request.encode_once = strcmp(c->scope.service, "s3") == 0;
    return true;
}

/* "GET /a path?query HTTP/1.1": the target may have spaces. */
static bool take_request_line(struct sigv4_case *c, char *line)
{
    char *first = strchr(line, ' '), *last = strrchr(line, ' ');
    if (!first || first == line || last == first || strncmp(last + 1, "HTTP/", 5) != 0)
        return false;
    *first = *last = '\0';
    c->request.method = line;
    c->request.path = first + 1;
    char *question = strchr(first + 1, '?');
    if (question) {
        *question = '\0';
        c->request.query = question + 1;
    }
    return true;
}

/* Reads the header at `line`, with its folded lines, and returns the start of the next one. */
static char *take_header(struct sigv4_case *c, char *line)
{
    char *colon = strchr(line, ':'), *end = strchr(line, '\n');
    if (!colon || !end || colon > end || colon == line || c->request.n_headers == HEADERS_MAX)
        return NULL;
    while (end[1] == ' ' || end[1] == '\t')
        end = strchr(end + 1, '\n');
    *colon = *end = '\0';
    c->headers[c->request.n_headers++] = (struct http_header){ line, colon + 1 };
    return end + 1;
}

/* Cuts a copy of the head into strings. The body, if any, follows the first empty line. */
static bool take_request(struct sigv4_case *c, struct buf *ret_story)
{
    const struct buf *file = &c->files[REQUEST];
    const char *text = buf_str(file), *empty_line = strstr(text, "\n\n");
    c->head_len = empty_line ? (size_t)(empty_line - text) : strlen(text);
    while (c->head_len > 0 && text[c->head_len - 1] == '\n')
        c->head_len--;
    if (empty_line) {
        c->request.body = empty_line + 2;
        c->request.body_len = file->len - (size_t)(empty_line + 2 - text);
    }
    buf_add(&c->parts, text, c->head_len);
    buf_putc(&c->parts, '\n');
    if (buf_failed(&c->parts))
        return false;

    char *at = strchr(c->parts.data, '\n');
    *at++ = '\0';
    bool ok = take_request_line(c, c->parts.data);
    while (ok && *at) {
        at = take_header(c, at);
        ok = at != NULL;
    }
    c->request.headers = c->headers;
    if (!ok)
        buf_printf(ret_story, "request.txt: neither a request line nor headers\n");
    return ok;
}

static size_t len_without_line_ends(const struct buf *text)
{
    size_t len = text->len;
    while (len > 0 && text->data[len - 1] == '\n')
        len--;
    return len;
}

static bool same(const struct sigv4_case *c, int file, const struct buf *got, struct buf *ret_story)
{
    const struct buf *expected = &c->files[file];
    size_t len = len_without_line_ends(expected);
    if (len == len_without_line_ends(got) && (len == 0 || memcmp(expected->data, got->data, len) == 0))
        return true;
    buf_printf(ret_story, "%s differs\n--- expected\n%s\n--- got\n%s\n", file_names[file], buf_str(expected),
               buf_str(got));
    return false;
}

/* The request as it would be sent: its own headers, those that signing added, and its body. */
static void add_signed_request(const struct sigv4_case *c, const struct sigv4_signed *signed_headers, struct buf *ret)
{
    buf_add(ret, c->files[REQUEST].data, c->head_len);
    buf_putc(ret, '\n');
    for (size_t i = 0; i < signed_headers->n_headers; i++)
        buf_printf(ret, "%s:%s\n", signed_headers->headers[i].name, signed_headers->headers[i].value);
    buf_putc(ret, '\n');
    buf_add(ret, c->request.body, c->request.body_len);
}

static bool sign_and_compare(const struct sigv4_case *c, struct buf *ret_story)
{
    auto_sigv4_signed struct sigv4_signed made = SIGV4_SIGNED_INIT;
    struct err err = ERR_INIT;
    if (sigv4_sign(&c->request, &c->credentials, &c->scope, &made, &err) != 0) {
        buf_printf(ret_story, "cannot be signed: %s\n", err.text);
        return false;
    }
    auto_buf struct buf request = BUF_INIT;
    add_signed_request(c, &made, &request);
    return same(c, CANONICAL, &made.canonical_request, ret_story) &&
           same(c, TO_SIGN, &made.string_to_sign, ret_story) && same(c, SIGNATURE, &made.signature, ret_story) &&
           same(c, SIGNED, &request, ret_story);
}

static bool is_there(const char *folder, const char *name)
{
    auto_buf struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", folder, name);
    return access(buf_str(&path), F_OK) == 0;
}

static bool any_is_there(const char *folder, int first)
{
    for (int i = first; i < N_FILES; i++)
        if (is_there(folder, file_names[i]))
            return true;
    return false;
}

enum sigv4_case_outcome sigv4_case_run(const char *folder, struct buf *ret_story)
{
    if (!any_is_there(folder, CONTEXT))
        return SIGV4_CASE_NONE;
    if (!any_is_there(folder, CANONICAL)) {
        buf_puts(ret_story, "no header-*.txt\n");
        return SIGV4_CASE_SKIPPED;
    }
    if (is_there(folder, "public-key.json")) {
        buf_puts(ret_story, "public-key.json: SigV4a, which signs with a key pair\n");
        return SIGV4_CASE_SKIPPED;
    }
    auto_case struct sigv4_case c = { .head_len = 0 };
    bool ok = true;
    for (int i = 0; i < N_FILES; i++)
        ok = read_file(folder, file_names[i], &c.files[i], ret_story) && ok;
    ok = ok && take_context(&c, ret_story) && take_request(&c, ret_story) && sign_and_compare(&c, ret_story);
    return ok ? SIGV4_CASE_PASSED : SIGV4_CASE_FAILED;
}
