/* address: where a server listens, HOST:PORT or [IPv6]:PORT. */
#ifndef DAEMON_ADDRESS_H
#define DAEMON_ADDRESS_H

#include "base/err.h"

struct address {
    char host[256]; /* a name or a number, without brackets */
    char port[6];   /* 1 to 65535 */
};

/* NEVER, "bad_address": it is none. What is one can stand in a URL as it is. */
int address_parse(const char *text, struct address *ret, struct err *err) must_check;

/* A listening socket. NEVER, "cannot_listen": no such host, the port is taken, ... */
int address_listen(const char *text, int *ret_fd, struct err *err) must_check;

#endif
