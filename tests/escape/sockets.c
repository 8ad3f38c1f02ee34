/* sockets: no socket of the host is reached, and of the families only those that the door knows. */
#include "attempt.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <mqueue.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

#define FAMILIES_MAX 64
#define TYPES_MAX    11
#define WAIT_MS      500

/* --- the internet -------------------------------------------------------------------------- */

static struct sockaddr_in loopback(const char *port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                 .sin_port = htons((uint16_t)world_number(port)) };
}

static int connect_tcp(void)
{
    struct sockaddr_in address = loopback("tcp");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return answer(fd < 0 ? fd : connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

static int connect_mapped(void)
{
    char port[8];
    struct sockaddr_in6 address = { .sin6_family = AF_INET6 };
    snprintf(port, sizeof(port), "%s", world("tcp"));
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.sin6_addr);
    address.sin6_port = htons((uint16_t)world_number("tcp"));
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return answer(fd < 0 ? fd : connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

static int send_fast(void)
{
    struct sockaddr_in address = loopback("tcp");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return answer(fd < 0 ? fd
                         : sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
                                  (struct sockaddr *)&address, sizeof(address)));
}

/* Where nobody is there, the kernel says so to the next call. */
static int send_udp(void)
{
    struct sockaddr_in address = loopback("udp");
    int error = 0, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(error);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        send(fd, "x", 1, 0) < 0)
        return -errno;
    struct pollfd wait = { .fd = fd };
    poll(&wait, 1, is_inside() ? WAIT_MS : 0);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return -error;
}

/*
 * Addresses for documentation: nobody has them. That they cannot be sent to is the point; the port
 * is not that of name servers, whose questions the network door answers itself.
 */
static int send_out(void)
{
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(9) };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, "192.0.2.1", &four.sin_addr);
    inet_pton(AF_INET6, "2001:db8::1", &six.sin6_addr);
    if (sendto(fd6, "x", 1, 0, (struct sockaddr *)&six, sizeof(six)) == 1)
        return THROUGH;
    return answer(sendto(fd, "x", 1, 0, (struct sockaddr *)&four, sizeof(four)));
}

static int change_network(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return answer(fd < 0 ? fd : ioctl(fd, SIOCSIFFLAGS, &request));
}

static int change_routes(void)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
    } request = { { sizeof(request), RTM_NEWROUTE,
                    NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, 1, 0 },
                  { .rtm_family = AF_INET,
                    .rtm_table = RT_TABLE_MAIN,
                    .rtm_type = RTN_BLACKHOLE,
                    .rtm_dst_len = 0 } };
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[256];
    } reply;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0 ||
        recv(fd, &reply, sizeof(reply), 0) < (ssize_t)(sizeof(reply.header) + sizeof(int)))
        return -errno;
    return reply.error.error;
}

/* --- Unix sockets -------------------------------------------------------------------------- */

static int connect_unix(const char *path, bool is_abstract)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    if (len + is_abstract >= sizeof(address.sun_path))
        return NOT_HERE;
    memcpy(address.sun_path + is_abstract, path, len);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + is_abstract + len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return answer(fd < 0 ? fd : connect(fd, (struct sockaddr *)&address, size));
}

static int connect_abstract(void)
{
    return connect_unix(world("abstract"), true);
}

static int send_abstract(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *name = world("datagram");
    memcpy(address.sun_path + 1, name, strlen(name));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    return answer(fd < 0 ? fd : sendto(fd, "x", 1, 0, (struct sockaddr *)&address, size));
}

static int connect_service(const char *name)
{
    char path[TEXT_MAX];
    snprintf(path, sizeof(path), "%s/%s", world("folder"), name);
    return connect_unix(path, false);
}

static int connect_docker(void)
{
    return connect_service("docker.sock");
}

static int connect_bus(void)
{
    return connect_service("bus");
}

static int connect_agent(void)
{
    return connect_service("agent.1");
}

static int connect_tmux(void)
{
    return connect_service("tmux-default");
}

/* One that the host has in the repository itself. */
static int connect_in_repository(void)
{
    return connect_unix("host.sock", false);
}

/* What tests/escape.sh found on the host while a run lived, the run's own among them. */
static int connect_found(void)
{
    return connect_unix(world("found-socket"), false);
}

/* --- families ------------------------------------------------------------------------------ */

static bool is_for_all(int family)
{
    return family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
}

static int open_families(void)
{
    int last = -EAFNOSUPPORT;
    for (int family = 0; family < FAMILIES_MAX; family++)
        for (int type = 1; type < TYPES_MAX && !is_for_all(family); type++) {
            if (socket(family, type, 0) >= 0)
                return THROUGH;
            if (is_inside() && errno != EAFNOSUPPORT)
                last = THROUGH; /* it was asked of the kernel, and not of the filter */
        }
    return last;
}

static int open_pairs(void)
{
    int ends[2];
    for (int family = 0; family < FAMILIES_MAX; family++)
        if (family != AF_UNIX && socketpair(family, SOCK_STREAM, 0, ends) == 0)
            return THROUGH;
    return -errno;
}

static int open_raw(void)
{
    if (socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0 || socket(AF_INET6, SOCK_RAW, 58) >= 0 ||
        socket(AF_INET, SOCK_RAW, IPPROTO_RAW) >= 0)
        return THROUGH;
    return -errno;
}

/* ICMP by datagrams, SCTP, UDP-Lite, MPTCP, DCCP. */
static int open_protocols(void)
{
    static const int protocols[][2] = { { SOCK_DGRAM, 1 },       { SOCK_STREAM, 132 },
                                        { SOCK_SEQPACKET, 132 }, { SOCK_DGRAM, 136 },
                                        { SOCK_STREAM, 262 },    { 6 /* SOCK_DCCP */, 33 } };
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        if (socket(AF_INET, protocols[i][0], protocols[i][1]) >= 0 ||
            socket(AF_INET6, protocols[i][0], protocols[i][1]) >= 0)
            return THROUGH;
    return -errno;
}

static int open_netlinks(void)
{
    for (int protocol = 1; protocol < 32; protocol++)
        if (socket(AF_NETLINK, SOCK_RAW, protocol) >= 0)
            return THROUGH;
    return -errno;
}

/* --- memory of others ---------------------------------------------------------------------- */

static int find_shared_memory(void)
{
    return answer(shmget(world_number("shm"), 0, 0));
}

static int find_queue(void)
{
    return answer(mq_open(world("queue"), O_RDONLY));
}

static int find_shared_file(void)
{
    return answer(shm_open(world("queue"), O_RDONLY, 0));
}

#define NETWORK  "network"
#define SOCKET   "host-sockets"
#define FAMILIES "socket-families"
#define MEMORY   "shared-memory"

static const struct attempt rows[] = {
    { "tcp", NETWORK, NULL, CONTROL_ANYONE, ECONNREFUSED, connect_tcp },
    { "tcp-mapped", NETWORK, NULL, CONTROL_ANYONE, ECONNREFUSED, connect_mapped },
    { "tcp-fastopen", NETWORK, NULL, CONTROL_ANYONE, 0, send_fast },
    { "udp", NETWORK, NULL, CONTROL_ANYONE, ECONNREFUSED, send_udp },
    { "addresses-out", NETWORK, NULL, CONTROL_NONE, EPERM, send_out },
    { "change-interface", NETWORK, NULL, CONTROL_ROOT, EPERM, change_network },
    { "change-routes", NETWORK, NULL, CONTROL_NONE, EPERM, change_routes },
    { "abstract", SOCKET, NULL, CONTROL_ANYONE, 0, connect_abstract },
    { "abstract-datagram", SOCKET, NULL, CONTROL_ANYONE, 0, send_abstract },
    { "docker", SOCKET, NULL, CONTROL_ANYONE, 0, connect_docker },
    { "d-bus", SOCKET, NULL, CONTROL_ANYONE, 0, connect_bus },
    { "ssh-agent", SOCKET, NULL, CONTROL_ANYONE, 0, connect_agent },
    { "tmux", SOCKET, NULL, CONTROL_ANYONE, 0, connect_tmux },
    { "socket-in-repository", SOCKET, NULL, CONTROL_ANYONE, 0, connect_in_repository },
    { "socket-found", SOCKET, NULL, CONTROL_ANYONE, 0, connect_found },
    { "families", FAMILIES, NULL, CONTROL_ROOT, EAFNOSUPPORT, open_families },
    { "pairs", FAMILIES, NULL, CONTROL_NONE, EAFNOSUPPORT, open_pairs },
    { "raw", FAMILIES, NULL, CONTROL_ROOT, EPERM, open_raw },
    { "protocols", FAMILIES, NULL, CONTROL_ANYONE, 0, open_protocols },
    { "netlink", FAMILIES, NULL, CONTROL_ANYONE, 0, open_netlinks },
    { "shared-memory", MEMORY, NULL, CONTROL_ANYONE, ENOENT, find_shared_memory },
    { "message-queue", MEMORY, NULL, CONTROL_ANYONE, ENOENT, find_queue },
    { "dev-shm", MEMORY, NULL, CONTROL_ANYONE, ENOENT, find_shared_file },
};

const struct attempts socket_attempts = { rows, ARRAY_LEN(rows) };
