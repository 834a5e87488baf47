#include "itemgend-network/rules.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const struct in6_addr *ipv6_of(const struct ifaddrs *address)
{
    const void *any = address->ifa_addr;
    const struct sockaddr_in6 *ipv6 = any;
    return any && address->ifa_addr->sa_family == AF_INET6 ? &ipv6->sin6_addr : NULL;
}

static const struct in_addr *ipv4_of(const struct ifaddrs *address)
{
    const void *any = address->ifa_addr;
    const struct sockaddr_in *ipv4 = any;
    return any && address->ifa_addr->sa_family == AF_INET ? &ipv4->sin_addr : NULL;
}

bool rules_has_ipv6(const struct ifaddrs *own)
{
    for (; own; own = own->ifa_next) {
        const struct in6_addr *ipv6 = ipv6_of(own);
        if (ipv6 && !IN6_IS_ADDR_LOOPBACK(ipv6) && !IN6_IS_ADDR_LINKLOCAL(ipv6))
            return true;
    }
    return false;
}

static void add_own(const struct ifaddrs *own, int family, struct buf *ret)
{
    for (; own; own = own->ifa_next) {
        char text[INET6_ADDRSTRLEN];
        const void *address = family == AF_INET ? (const void *)ipv4_of(own) : (const void *)ipv6_of(own);
        if (address && inet_ntop(family, address, text, sizeof(text)))
            buf_printf(ret, ", %s", text);
    }
}

/* IPv6 addresses that contain an IPv4 address lead to that address: IPv4-mapped ones (::ffff:0:0/96), and those of a
 * NAT64 gateway (64:ff9b::/96). */
static void add_closed(const struct ifaddrs *own, struct buf *ret)
{
    buf_puts(ret, "set closed4 { type ipv4_addr; flags interval; auto-merge; elements = { "
                  "0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, " RULES_RANGE ", 224.0.0.0/3");
    add_own(own, AF_INET, ret);
    buf_puts(ret, " }; }\n"
                  "set closed6 { type ipv6_addr; flags interval; auto-merge; elements = { "
                  "::/96, ::ffff:0:0/96, 64:ff9b::7f00:0/104, 64:ff9b::a9fe:0/112, "
                  "fd00::/64, fd00:ec2::/32, fe80::/10, ff00::/8");
    add_own(own, AF_INET6, ret);
    buf_puts(ret, " }; }\n");
}

void rules_write(const struct ifaddrs *own, const char *ports, struct buf *ret)
{
    buf_puts(ret, "table inet itemgend {\n");
    add_closed(own, ret);
    /* Rejects instead of dropping, so that package code fails at once. IPv6 needs neighbour discovery. */
    buf_puts(ret, "chain output { type filter hook output priority 0; policy drop;\n"
                  "oifname \"lo\" accept\n"
                  "icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept\n"
                  "ip daddr " RULES_RESOLVER " meta l4proto { tcp, udp } th dport 53 accept\n"
                  "ip6 daddr " RULES_RESOLVER6 " meta l4proto { tcp, udp } th dport 53 accept\n");
    if (*ports)
        buf_printf(ret, "ip daddr " RULES_HOST " tcp dport { %s } accept\n", ports);
    buf_puts(ret, "ip daddr @closed4 reject with icmpx type admin-prohibited\n"
                  "ip6 daddr @closed6 reject with icmpx type admin-prohibited\n"
                  "oifname \"" RULES_DEVICE "\" accept\n"
                  "}\n}\n");
    if (*ports)
        buf_printf(ret,
                   "table ip itemgend_ports {\n"
                   "chain output { type nat hook output priority -100;\n"
                   "ip daddr 127.0.0.1 tcp dport { %s } dnat to " RULES_HOST "\n}\n"
                   "chain postrouting { type nat hook postrouting priority 100;\n"
                   "ip saddr 127.0.0.0/8 oifname \"" RULES_DEVICE "\" masquerade\n}\n}\n",
                   ports);
}
