/* address: the address of a server, HOST:PORT or [IPv6]:PORT. */
#ifndef DAEMON_ADDRESS_H
#define DAEMON_ADDRESS_H

#include "base/err.h"

struct address {
    char host[256]; /* a name or an IP address, without brackets */
    char port[6];   /* 1 to 65535 */
};

/* NEVER, "bad_address". A valid address can be put into a URL as it is. */
int address_parse(const char *text, struct address *ret, struct err *err) must_check;

/* Opens a listening socket. NEVER, "cannot_listen": no such host, the port is in use, ... */
int address_listen(const char *text, int *ret_fd, struct err *err) must_check;

#endif
