/*
 * rules: the nftables rules of the filtered network, with the addresses that they close.
 *
 * Routes are not enough: a process can bind to a device (SO_BINDTODEVICE, which needs no privilege), and the kernel
 * then ignores a prohibited route. Rules on outgoing packets apply to those too.
 */
#ifndef ITEMGEND_NETWORK_RULES_H
#define ITEMGEND_NETWORK_RULES_H

#include <ifaddrs.h>

#include "base/buf.h"

/* From the range that RFC 2544 reserves for benchmarks, because slirp4netns's default 10.0.2.0/24 may contain real
 * hosts. slirp4netns determines the last numbers. */
#define RULES_DEVICE "tap0"
#define RULES_RANGE "198.18.255.0/24"
#define RULES_HOST "198.18.255.2"
#define RULES_RESOLVER "198.18.255.3"
#define RULES_RESOLVER6 "fd00::3"

/*
 * Appends the input of `nft -f`. Closed: the credential endpoints with all of 169.254.0.0/16, fe80::/10 and
 * fd00:ec2::/32, loopback, multicast, and the machine's own addresses (getifaddrs). Open: all others, port 53 of the
 * resolver, and `ports` ("8080,8081"; "": none) of 127.0.0.1, which lead to the same ports of the machine's 127.0.0.1.
 */
void rules_write(const struct ifaddrs *own, const char *ports, struct buf *ret);

/* Whether one of them is an IPv6 address with more than link-local scope. */
bool rules_has_ipv6(const struct ifaddrs *own);

#endif
