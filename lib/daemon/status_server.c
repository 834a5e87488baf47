#include "daemon/status_server.h"

#include <errno.h>
#include <microhttpd.h>

#include "daemon/address.h"

enum { CONNECTIONS_MAX = 16, CONNECTION_MEMORY = 16 * 1024, CONNECTION_TIMEOUT_S = 5 };

struct status_server {
    struct status *status;
    struct MHD_Daemon *http;
};

/* Takes the text over. */
static enum MHD_Result respond(struct MHD_Connection *connection, int code, const char *type, struct buf *text)
{
    size_t len = text->len;
    char *data = buf_take(text);
    struct MHD_Response *response = data ? MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!response) {
        free(data);
        return MHD_NO; /* the connection ends */
    }
    bool ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
              MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        ok = ok && MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES;
    enum MHD_Result result = ok ? MHD_queue_response(connection, (unsigned int)code, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

/* With the first call: a body that may follow is not looked at. */
static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *body, size_t *body_len, void **request)
{
    (void)version, (void)body, (void)body_len, (void)request;
    struct status_server *server = context;
    auto_buf struct buf text = BUF_INIT;
    int code = MHD_HTTP_METHOD_NOT_ALLOWED;
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
        code = status_answer(server->status, path, &text);
    else
        buf_puts(&text, "GET and HEAD only\n");
    const char *type =
        strcmp(path, "/metrics") == 0 ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain; charset=utf-8";
    return respond(connection, code, type, &text);
}

int status_server_start(struct status *status, const char *address, struct status_server **ret, struct err *err)
{
    auto_free struct status_server *server = calloc(1, sizeof(*server));
    int fd;
    if (!server)
        return err_no_memory(err);
    int r = address_listen(address, &fd, err);
    if (r != 0)
        return r;
    server->status = status;
    server->http = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, answer, server,
                                    MHD_OPTION_LISTEN_SOCKET, fd, /* closed by it from now on, also if it fails */
                                    MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS_MAX,
                                    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                                    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)CONNECTION_TIMEOUT_S, MHD_OPTION_END);
    if (!server->http)
        return err_fatal(err, errno ? errno : EAGAIN, "cannot serve %s", address);
    *ret = TAKE(server);
    return 0;
}

void status_server_stop(struct status_server *server)
{
    if (!server)
        return;
    MHD_stop_daemon(server->http);
    free(server);
}
