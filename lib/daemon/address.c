#include "daemon/address.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/num.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

enum { BACKLOG = 16 };

static int refuse(const char *text, struct err *err)
{
    return err_never(err, "bad_address", "\"%.300s\" is not of the form HOST:PORT or [IPv6]:PORT", text);
}

int address_parse(const char *text, struct address *ret, struct err *err)
{
    const char *colon = strrchr(text, ':');
    if (!colon)
        return refuse(text, err);
    size_t len = (size_t)(colon - text);
    bool has_brackets = len > 2 && text[0] == '[' && colon[-1] == ']';
    const char *host = has_brackets ? text + 1 : text;
    len -= has_brackets ? 2 : 0;
    size_t n_good = strspn(host, has_brackets ? "0123456789abcdefABCDEF:." : LETTERS "0123456789-._");
    int64_t port;
    if (len == 0 || len >= sizeof(ret->host) || n_good != len || num_parse_i64(colon + 1, 1, 65535, &port, NULL) != 0)
        return refuse(text, err);
    memcpy(ret->host, host, len);
    ret->host[len] = '\0';
    snprintf(ret->port, sizeof(ret->port), "%d", (int)port);
    return 0;
}

static int listen_at(const struct addrinfo *info)
{
    int yes = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    /* Without it, closed connections of the previous process would keep the port in use for a while. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int address_listen(const char *text, int *ret_fd, struct err *err)
{
    struct address address;
    int r = address_parse(text, &address, err);
    if (r != 0)
        return r;
    struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *found = NULL;
    int error = getaddrinfo(address.host, address.port, &hints, &found);
    if (error != 0)
        return err_never(err, "cannot_listen", "cannot listen at %s: %s", text, gai_strerror(error));
    *ret_fd = listen_at(found);
    int listen_error = errno;
    freeaddrinfo(found);
    return *ret_fd >= 0 ? 0 : err_never(err, "cannot_listen", "cannot listen at %s: %s", text, strerror(listen_error));
}
