/* inside: the half of itemgend-network that enters the new network namespace and becomes the program there. */
#ifndef ITEMGEND_NETWORK_INSIDE_H
#define ITEMGEND_NETWORK_INSIDE_H

#include <sys/types.h>

#include "base/base.h"

struct inside {
    const char *rules;     /* for nft -f */
    const char *resolvers; /* the first lines of resolv.conf */
    bool has_ports;        /* the rules send some of 127.0.0.1 out by the device */
    int control;           /* a byte goes out when the namespace is there; one comes in when its device is */
    pid_t parent;          /* who dies with whom */
    char *const *program;  /* argv */
};

enum { INSIDE_FAILED = 125 };

/* Becomes the program. Returns, INSIDE_FAILED, only where something failed, which has been told on stderr. */
int inside_run(const struct inside *inside) must_check;

/* Tells on stderr what could not be done, with errno's text; returns INSIDE_FAILED. */
int inside_failed(const char *what);

#endif
