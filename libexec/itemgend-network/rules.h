/*
 * rules: which addresses the filtered network closes, as nftables rules, and what it looks like from inside.
 *
 * Routes would not do: the kernel sends what a process has bound to a device (SO_BINDTODEVICE, which needs no
 * privilege) past a prohibited route, straight out of that device. A rule on all that leaves holds for that too.
 */
#ifndef ITEMGEND_NETWORK_RULES_H
#define ITEMGEND_NETWORK_RULES_H

#include <ifaddrs.h>

#include "base/buf.h"

/* Of the range that RFC 2544 keeps for benchmarks of network devices: nobody's hosts are there, as they may be in
 * slirp4netns's own 10.0.2.0/24. The last numbers are slirp4netns's. */
#define RULES_DEVICE "tap0"
#define RULES_RANGE "198.18.255.0/24"
#define RULES_HOST "198.18.255.2"
#define RULES_RESOLVER "198.18.255.3"
#define RULES_RESOLVER6 "fd00::3"

/*
 * Appends what `nft -f` reads: closed are the credential endpoints with all of 169.254.0.0/16, fe80::/10 and
 * fd00:ec2::/32, loopback, multicast, and the machine's own addresses (getifaddrs). Open are the rest, the resolver's
 * port 53, and `ports` ("8080,8081", "": none) of the machine's 127.0.0.1 as the same ports of 127.0.0.1.
 */
void rules_write(const struct ifaddrs *own, const char *ports, struct buf *ret);

/* Whether one of them is an IPv6 address that others than this machine and its link see. */
bool rules_has_ipv6(const struct ifaddrs *own);

#endif
