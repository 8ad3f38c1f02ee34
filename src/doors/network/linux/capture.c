/*
 * capture: see the header.
 *
 * Theory of operation. The loopback interface is the namespace's only one. It
 * carries one address of each synthetic range, so that resolvers that ask for
 * configured families find them. A route makes every address the namespace's
 * own, so that questions to any name server reach the resolver's sockets, and
 * netfilter gives the first packet of each TCP connection to the listener of
 * the flows, whatever its port (tproxy); what is accepted there has the address
 * that was dialled as its own. All else is refused at once, so that no client
 * waits for an answer that cannot come. The kernel keeps no record of its own
 * of connections for this (docs/decisions, 16).
 *
 * A kernel without tproxy rewrites addresses instead (redirect): the routes
 * lead out, and the address that was dialled stands in the kernel's record of
 * the connection (SO_ORIGINAL_DST). Without netfilter a socket for each of the
 * usual ports takes the place of the rules.
 *
 * Nothing here outlives the namespace, so that nothing is to be undone.
 */
#include "doors/network/linux/capture.h"

#include <arpa/inet.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/netlink.h"
#include "doors/network/linux/capture_rules.h"

#define STEP_CAPTURE   "capture the run's network"
#define LOOPBACK_INDEX 1
#define BACKLOG        4096

/* What is served where the kernel turns nothing: ssh, http and https, git, and what is usual. */
static const uint16_t ports_by_routes[] = { 22, 80, 443, 3000, 5000, 8000, 8080, 8443, 9418 };
static_assert(2 + 2 * (3 + ARRAY_LEN(ports_by_routes)) <= CAPTURE_SOCKETS_MAX, "all have room");

/* --- interface and routes ------------------------------------------------------------------ */

static void read_families(struct family ret[2])
{
    ret[0] = (struct family){ .family = AF_INET,
                              .address_len = 4,
                              .address_offset = 16,
                              .loopback = { 127 },
                              .loopback_mask = { 0xff },
                              .reject_kind = NFT_REJECT_ICMP_UNREACH,
                              .reject_code = ICMP_PKT_FILTERED };
    ret[1] = (struct family){ .family = AF_INET6,
                              .address_len = 16,
                              .address_offset = 24,
                              .reject_kind = NFT_REJECT_ICMP_UNREACH,
                              .reject_code = ICMPV6_ADM_PROHIBITED };
    ret[1].loopback[15] = 1;
    memset(ret[1].loopback_mask, 0xff, 16);
    (void)inet_pton(AF_INET, CAPTURE_IPV4, ret[0].own);
    (void)inet_pton(AF_INET6, CAPTURE_IPV6, ret[1].own);
}

static void add_interface(struct netlink *netlink)
{
    struct ifinfomsg link = { .ifi_index = LOOPBACK_INDEX,
                              .ifi_flags = IFF_UP,
                              .ifi_change = IFF_UP };
    netlink_begin(netlink, RTM_NEWLINK, 0, &link, sizeof(link));
}

static void add_address(struct netlink *netlink, const struct family *family)
{
    struct ifaddrmsg address = { .ifa_family = (uint8_t)family->family,
                                 .ifa_prefixlen = (uint8_t)(8 * family->address_len),
                                 .ifa_flags = IFA_F_PERMANENT | IFA_F_NODAD,
                                 .ifa_scope = RT_SCOPE_UNIVERSE,
                                 .ifa_index = LOOPBACK_INDEX };
    netlink_begin(netlink, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &address, sizeof(address));
    netlink_add(netlink, IFA_LOCAL, family->own, family->address_len);
    netlink_add(netlink, IFA_ADDRESS, family->own, family->address_len);
}

/* `type` RTN_UNICAST: out by the loopback interface; RTN_LOCAL: every address is our own. */
static void add_default_route(struct netlink *netlink, const struct family *family, uint8_t type)
{
    struct rtmsg route = { .rtm_family = (uint8_t)family->family,
                           .rtm_table = RT_TABLE_MAIN,
                           .rtm_protocol = RTPROT_STATIC,
                           .rtm_scope = type == RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK,
                           .rtm_type = type };
    netlink_begin(netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &route, sizeof(route));
    netlink_add_u32(netlink, RTA_OIF, LOOPBACK_INDEX);
    netlink_add(netlink, RTA_PREFSRC, family->own, family->address_len);
}

static int raise_interface(const struct family *families, size_t count, uint8_t route_type)
{
    struct netlink netlink;
    _cleanup_(cleanup_close) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    netlink_reset(&netlink);
    add_interface(&netlink);
    for (size_t i = 0; i < count; i++) {
        add_address(&netlink, &families[i]);
        add_default_route(&netlink, &families[i], route_type);
    }
    netlink_want_answer(&netlink);
    return fd < 0 ? -errno : netlink_send(&netlink, fd);
}

/* --- sockets ------------------------------------------------------------------------------- */

static int bind_any(int fd, int family, uint16_t port)
{
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    return family == AF_INET ? bind(fd, (struct sockaddr *)&any, sizeof(any))
                             : bind(fd, (struct sockaddr *)&any6, sizeof(any6));
}

/* Of every address, in one family alone. */
static int add_socket(struct capture *capture, enum capture_kind kind, int family, uint16_t port)
{
    bool datagrams = kind == CAPTURE_NAMES_UDP;
    int one = 1, r = 0;
    int fd =
        socket(family, (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if ((family == AF_INET6 &&
         (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0 ||
          (datagrams && setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one)) < 0))) ||
        (family == AF_INET && datagrams &&
         setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)) < 0) ||
        bind_any(fd, family, port) < 0 || (!datagrams && listen(fd, BACKLOG) < 0))
        r = -errno;
    if (r < 0)
        close(fd);
    else
        capture->sockets[capture->count++] = (struct capture_socket){ kind, fd };
    return r;
}

static int port_of(int fd, uint16_t *ret)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
        return -errno;
    *ret = ntohs(name.ss_family == AF_INET ? ((struct sockaddr_in *)&name)->sin_port
                                           : ((struct sockaddr_in6 *)&name)->sin6_port);
    return 0;
}

static int add_resolver_sockets(struct capture *capture, const struct family *families,
                                size_t count)
{
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        r = add_socket(capture, CAPTURE_NAMES_UDP, families[i].family, CAPTURE_NAMES_PORT);
        if (r == 0)
            r = add_socket(capture, CAPTURE_NAMES_TCP, families[i].family, CAPTURE_NAMES_PORT);
    }
    return r;
}

/* At the loopback alone: what is dialled elsewhere with this port is captured as any other. */
static int add_loopback_socket(struct capture *capture, enum capture_kind kind, uint16_t port)
{
    struct sockaddr_in loopback = { .sin_family = AF_INET,
                                    .sin_port = htons(port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    _cleanup_(cleanup_close) int fd =
        socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&loopback, sizeof(loopback)) < 0 ||
        listen(fd, BACKLOG) < 0)
        return -errno;
    capture->sockets[capture->count++] = (struct capture_socket){ kind, TAKE_FD(fd) };
    return 0;
}

/*
 * Whether what is given to the flows' listeners may be for any address; a listener without that
 * tells those who accept from it that addresses were rewritten.
 */
static int take_any_address(const struct capture *capture, const struct family *families, int any)
{
    int r = 0;
    for (size_t i = 0, k = 0; i < capture->count && r == 0; i++) {
        if (capture->sockets[i].kind != CAPTURE_FLOWS)
            continue;
        bool ipv4 = families[k++].family == AF_INET;
        if (setsockopt(capture->sockets[i].fd, ipv4 ? IPPROTO_IP : IPPROTO_IPV6,
                       ipv4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &any, sizeof(any)) < 0)
            r = -errno;
    }
    return r;
}

static int add_flow_sockets(struct capture *capture, const struct family *families, size_t count,
                            uint16_t ret_ports[2])
{
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        r = add_socket(capture, CAPTURE_FLOWS, families[i].family, 0);
        if (r == 0)
            r = port_of(capture->sockets[capture->count - 1].fd, &ret_ports[i]);
    }
    return r;
}

/* Every address is the namespace's own: these ports of it lead to the door. */
static int take_usual_ports(struct capture *capture, const struct family *families, size_t count)
{
    int r = raise_interface(families, count, RTN_LOCAL);
    capture->by_routes = true;
    for (size_t i = 0; i < ARRAY_LEN(ports_by_routes) && r == 0; i++)
        for (size_t k = 0; k < count && r == 0; k++)
            r = add_socket(capture, CAPTURE_FLOWS, families[k].family, ports_by_routes[i]);
    return r;
}

/* --- the ways, the best first --------------------------------------------------------------- */

static int bring_connections(struct capture *capture, const struct family *families, size_t count,
                             const uint16_t ports[2])
{
    int r = take_any_address(capture, families, 1);
    if (r == 0)
        r = capture_rules_write(families, count, TURN_TPROXY, ports);
    if (r == 0)
        return 0;
    (void)take_any_address(capture, families, 0);
    r = raise_interface(families, count, RTN_UNICAST);
    if (r == 0 && capture_rules_write(families, count, TURN_REDIRECT, ports) == 0)
        return 0;
    return r < 0 ? r : take_usual_ports(capture, families, count);
}

/* --- what short connections need ----------------------------------------------------------- */

/*
 * A client that makes thousands of connections a second would use up its own ports, and fill the
 * kernel's record of them, where there is one, long before they are forgotten by themselves. Where
 * a kernel has no such setting, or does not let us, those clients are slower, and that is all.
 */
static void hasten(void)
{
    static const struct {
        const char *path, *value;
    } settings[] = {
        { "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait", "1" },
        { "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close", "1" },
        { "/proc/sys/net/ipv4/ip_local_port_range", "1025 65535" },
    };
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        _cleanup_(cleanup_close) int fd = open(settings[i].path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0)
            (void)!write(fd, settings[i].value, strlen(settings[i].value));
    }
}

int capture_open(struct capture *ret, struct err *err)
{
    struct capture capture = { 0 };
    struct family families[2];
    uint16_t flow_ports[2] = { 0 };
    size_t count = ARRAY_LEN(families);
    read_families(families);
    int r = raise_interface(families, count, RTN_LOCAL);
    if (r < 0) { /* a host without IPv6 is one family short, and that is all */
        count = 1;
        r = raise_interface(families, count, RTN_LOCAL);
    }
    if (r == 0)
        r = add_resolver_sockets(&capture, families, count);
    if (r == 0)
        r = add_loopback_socket(&capture, CAPTURE_PROXY, CAPTURE_PROXY_PORT);
    if (r == 0)
        r = add_loopback_socket(&capture, CAPTURE_MODEL, CAPTURE_MODEL_PORT);
    if (r == 0)
        r = add_flow_sockets(&capture, families, count, flow_ports);
    if (r == 0)
        r = bring_connections(&capture, families, count, flow_ports);
    if (r < 0) {
        capture_close(&capture);
        return err_set_errno(err, -r, STEP_CAPTURE,
                             "the kernel refuses what the network inside is made of");
    }
    hasten();
    *ret = capture;
    return 0;
}

enum capture_means capture_try(void)
{
    struct capture capture;
    struct err unsaid;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 || capture_open(&capture, &unsaid) < 0)
            _exit(CAPTURE_IMPOSSIBLE);
        _exit(capture.by_routes ? CAPTURE_BY_ROUTES : CAPTURE_BY_NETFILTER);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return CAPTURE_IMPOSSIBLE;
    return (enum capture_means)WEXITSTATUS(status);
}

int capture_take(struct capture *capture, enum capture_kind kind)
{
    for (size_t i = 0; i < capture->count; i++)
        if (capture->sockets[i].kind == kind)
            return TAKE_FD(capture->sockets[i].fd);
    return -1;
}

void capture_close(struct capture *capture)
{
    for (size_t i = 0; i < capture->count; i++)
        cleanup_close(&capture->sockets[i].fd);
    capture->count = 0;
}
