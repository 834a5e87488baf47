/* Stage 1: the canonical request. */
#include "sigv4/sigv4.h"

#include <errno.h>
#include <strings.h>

#include "base/hash.h"

enum { USUAL_SIZE = 1000 }; /* of a canonical request, in bytes */

/* Makes `whole` fail if `part` has failed. */
static void carry_failure(const struct buf *part, struct buf *whole)
{
    if (buf_failed(part))
        whole->failed = true;
}

static void drop_last_segment(struct buf *path)
{
    if (path->len == 0)
        return;
    char *slash = strrchr(path->data, '/');
    path->len = slash ? (size_t)(slash - path->data) : 0;
    path->data[path->len] = '\0';
}

/* As AWS's signers do: removes empty and "." segments, ".." removes the segment before it, keeps a '/' at the end. */
static void add_normalized_path(const char *path, struct buf *ret)
{
    auto_buf struct buf segments = BUF_INIT; /* "/a/b" */
    for (const char *at = path; *at;) {
        size_t len = strcspn(at, "/");
        if (len == 2 && memcmp(at, "..", 2) == 0) {
            drop_last_segment(&segments);
        } else if (len > 0 && !(len == 1 && *at == '.')) {
            buf_putc(&segments, '/');
            buf_add(&segments, at, len);
        }
        at += len + (at[len] == '/');
    }
    size_t path_len = strlen(path);
    buf_add(ret, segments.data, segments.len);
    if (segments.len == 0 || path[path_len - 1] == '/')
        buf_putc(ret, '/');
    carry_failure(&segments, ret);
}

static void add_path(const struct sigv4_request *request, struct buf *ret)
{
    auto_buf struct buf path = BUF_INIT;
    if (request->keep_path)
        buf_puts(&path, *request->path ? request->path : "/");
    else
        add_normalized_path(request->path, &path);

    if (request->encode_once)
        buf_add(ret, path.data, path.len);
    else
        http_percent_encode(buf_str(&path), path.len, "/", ret);
    carry_failure(&path, ret);
}

/* Decodes and encodes again: the service signs the decoded text in its own encoding. */
static bool add_recoded(const char *text, size_t len, struct buf *ret)
{
    auto_buf struct buf plain = BUF_INIT;
    if (!http_percent_decode(text, len, false, &plain))
        return false;
    http_percent_encode(buf_str(&plain), plain.len, "", ret);
    carry_failure(&plain, ret);
    return true;
}

/* Writes "name\0value\0name\0value\0". The encoded names and values have no NULs. False: the query is malformed. */
static bool split_query(const char *query, struct buf *ret, size_t *ret_n)
{
    *ret_n = 0;
    for (const char *at = query; *at;) {
        size_t len = strcspn(at, "&"), name_len = strcspn(at, "=&");
        size_t value_at = name_len < len ? name_len + 1 : len;
        if (len > 0) {
            if (!add_recoded(at, name_len, ret))
                return false;
            buf_putc(ret, '\0');
            if (!add_recoded(at + value_at, len - value_at, ret))
                return false;
            buf_putc(ret, '\0');
            (*ret_n)++;
        }
        at += len + (at[len] == '&');
    }
    return true;
}

static const char *value_of(const char *name)
{
    return name + strlen(name) + 1;
}

static int compare_parameters(const void *a, const void *b)
{
    const char *const *one = a, *const *other = b;
    int order = strcmp(*one, *other);
    return order ? order : strcmp(value_of(*one), value_of(*other));
}

static int add_query(const char *query, struct buf *ret, struct err *err)
{
    auto_buf struct buf split = BUF_INIT;
    size_t n = 0;
    if (!query || !*query)
        return 0;
    if (!split_query(query, &split, &n))
        return err_never(err, "bad_query", "the URL's query has a '%%' that two hexadecimal digits do not follow");
    if (buf_failed(&split))
        return err_no_memory(err);

    auto_free const char **parameters = calloc(n + 1, sizeof(*parameters));
    if (!parameters)
        return err_no_memory(err);
    const char *at = split.data;
    for (size_t i = 0; i < n; i++) {
        parameters[i] = at;
        at = value_of(value_of(at));
    }
    qsort(parameters, n, sizeof(*parameters), compare_parameters);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_putc(ret, '&');
        buf_puts(ret, parameters[i]);
        buf_putc(ret, '=');
        buf_puts(ret, value_of(parameters[i]));
    }
    return 0;
}

static bool is_signed(const char *name)
{
    static const char *const left_out[] = { "connection", "expect",     "transfer-encoding",
                                            "upgrade",    "user-agent", "x-amzn-trace-id" };
    for (size_t i = 0; i < N_ELEMENTS(left_out); i++)
        if (strcasecmp(name, left_out[i]) == 0)
            return false;
    return true;
}

/* Equal names stay in the order of the request; qsort alone is not stable. */
static int compare_headers(const void *a, const void *b)
{
    const struct http_header *const *one = a, *const *other = b;
    int order = strcasecmp((*one)->name, (*other)->name);
    if (order)
        return order;
    return *one < *other ? -1 : *one > *other;
}

static void add_lower_case(const char *text, struct buf *ret)
{
    size_t len = strlen(text);
    char *out = buf_reserve(ret, len);
    if (!out)
        return;
    for (size_t i = 0; i < len; i++)
        out[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
    out[len] = '\0';
    ret->len += len;
}

/* Removes blanks at both ends and turns each run of blanks inside (also a line fold) into one space. */
static void add_trimmed(const char *value, struct buf *ret)
{
    static const char blanks[] = " \t\r\n\v\f";
    value += strspn(value, blanks);
    while (*value) {
        size_t len = strcspn(value, blanks);
        buf_add(ret, value, len);
        value += len;
        value += strspn(value, blanks);
        if (*value)
            buf_putc(ret, ' ');
    }
}

static int add_headers(const struct sigv4_request *request, struct buf *ret, struct buf *ret_names, struct err *err)
{
    auto_free const struct http_header **sorted = calloc(request->n_headers + 1, sizeof(*sorted));
    if (!sorted)
        return err_no_memory(err);
    size_t n = 0;
    for (size_t i = 0; i < request->n_headers; i++)
        if (is_signed(request->headers[i].name))
            sorted[n++] = &request->headers[i];
    qsort(sorted, n, sizeof(*sorted), compare_headers);

    for (size_t i = 0; i < n; i++) {
        bool repeats = i > 0 && strcasecmp(sorted[i]->name, sorted[i - 1]->name) == 0;
        if (repeats) {
            buf_putc(ret, ',');
        } else {
            if (i > 0) {
                buf_putc(ret, '\n');
                buf_putc(ret_names, ';');
            }
            add_lower_case(sorted[i]->name, ret);
            buf_putc(ret, ':');
            add_lower_case(sorted[i]->name, ret_names);
        }
        add_trimmed(sorted[i]->value, ret);
    }
    buf_putc(ret, '\n');
    return 0;
}

static int add_body_hash(const struct sigv4_request *request, struct buf *ret, struct err *err)
{
    for (size_t i = 0; i < request->n_headers; i++)
        if (strcasecmp(request->headers[i].name, "x-amz-content-sha256") == 0) {
            buf_puts(ret, request->headers[i].value);
            return 0;
        }
    unsigned char hash[SHA256_SIZE];
    if (!hash_sha256(request->body, request->body_len, hash))
        return err_fatal(err, EIO, "cannot compute a SHA-256");
    buf_add_hex(ret, hash, sizeof(hash));
    return 0;
}

int sigv4_canonical_request(const struct sigv4_request *request, struct buf *ret, struct buf *ret_signed_headers,
                            struct err *err)
{
    auto_buf struct buf names = BUF_INIT;
    (void)buf_reserve(ret, USUAL_SIZE); /* otherwise the buffer is doubled, copied and wiped five times */
    buf_puts(ret, request->method);
    buf_putc(ret, '\n');
    add_path(request, ret);
    buf_putc(ret, '\n');
    int result = add_query(request->query, ret, err);
    if (result)
        return result;
    buf_putc(ret, '\n');
    result = add_headers(request, ret, &names, err);
    if (result)
        return result;
    buf_putc(ret, '\n');
    buf_add(ret, names.data, names.len);
    buf_putc(ret, '\n');
    result = add_body_hash(request, ret, err);
    if (result)
        return result;

    buf_add(ret_signed_headers, names.data, names.len);
    if (buf_failed(&names) || buf_failed(ret) || buf_failed(ret_signed_headers))
        return err_no_memory(err);
    return 0;
}
