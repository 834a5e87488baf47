/* inside: the half of itemgend-network that enters the new network namespace and becomes the program there. */
#ifndef ITEMGEND_NETWORK_INSIDE_H
#define ITEMGEND_NETWORK_INSIDE_H

#include <sys/types.h>

#include "base/base.h"

struct inside {
    const char *rules;     /* input of nft -f */
    const char *resolvers; /* the first lines of resolv.conf */
    bool has_ports;        /* the rules send some ports of 127.0.0.1 out through the device */
    int control;           /* sends a byte when the namespace exists, receives one when its device exists */
    pid_t parent;          /* this process dies with it */
    char *const *program;  /* argv */
};

enum { INSIDE_FAILED = 125 };

/* Becomes the program. Returns INSIDE_FAILED on failure, with a message on stderr. */
int inside_run(const struct inside *inside) must_check;

/* Prints the message and the text of errno to stderr. Returns INSIDE_FAILED. */
int inside_failed(const char *message);

#endif
