#include "doors/network/linux/capture.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/test.h"

#define PATIENCE_MS 10000

/* A call fails whose third argument is this. */
static bool take_call_away(unsigned call, unsigned third)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, third, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPROTONOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { ARRAY_LEN(filter), filter };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* As on a host without netfilter: no socket leads to it. */
static bool take_netfilter_away(void)
{
    return take_call_away(SYS_socket, NETLINK_NETFILTER);
}

/* As on one without tproxy: no socket is for any address. */
static bool take_tproxy_away(void)
{
    return take_call_away(SYS_setsockopt, IP_TRANSPARENT);
}

/* As on a host without IPv6: its interfaces take no such address. */
static bool take_ipv6_away(void)
{
    _cleanup_(cleanup_close) int fd =
        open("/proc/sys/net/ipv6/conf/lo/disable_ipv6", O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, "1", 1) == 1;
}

static bool take_nothing_away(void)
{
    return true;
}

static void inside_without(bool (*take_away)(void), void (*body)(const struct capture *capture));

static void inside(void (*body)(const struct capture *capture))
{
    inside_without(take_nothing_away, body);
}

/* In a child with a network of its own, as the user that runs the test. */
static void inside_without(bool (*take_away)(void), void (*body)(const struct capture *capture))
{
    pid_t child = fork();
    if (child == 0) {
        struct capture capture;
        struct err err = { 0 };
        if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
            _exit(2);
        if (!take_away())
            _exit(5);
        if (capture_open(&capture, &err) < 0) {
            fprintf(stderr, "%s\n", err.cause);
            _exit(3);
        }
        body(&capture);
        capture_close(&capture);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

/* Within the child a failed check is an exit status. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, strerror(errno));  \
            _exit(4);                                                                              \
        }                                                                                          \
    } while (0)

static struct sockaddr_in at(const char *address, uint16_t port)
{
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port) };
    MUST(inet_pton(AF_INET, address, &name.sin_addr) == 1);
    return name;
}

static struct sockaddr_in6 at6(const char *address, uint16_t port)
{
    struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    MUST(inet_pton(AF_INET6, address, &name.sin6_addr) == 1);
    return name;
}

static int socket_of(const struct capture *capture, enum capture_kind kind, int family)
{
    for (size_t i = 0; i < capture->count; i++) {
        int is = 0;
        socklen_t len = sizeof(is);
        MUST(getsockopt(capture->sockets[i].fd, SOL_SOCKET, SO_DOMAIN, &is, &len) == 0);
        if (capture->sockets[i].kind == kind && is == family)
            return capture->sockets[i].fd;
    }
    MUST(!"there is such a socket");
    return -1;
}

static void await(int fd)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    MUST(poll(&poll_fd, 1, PATIENCE_MS) == 1);
}

/* Where it was redirected, as it was before; else it is the socket's own address. */
static void read_dialled(int server, int level, void *ret, socklen_t *len)
{
    MUST(getsockopt(server, level, SO_ORIGINAL_DST, ret, len) == 0 ||
         getsockname(server, ret, len) == 0);
}

static void dial_anywhere(const struct capture *capture)
{
    struct sockaddr_in to = at("203.0.113.9", 8443), any = at("0.0.0.0", 8443), dialled, peer;
    socklen_t len = sizeof(dialled), peer_len = sizeof(peer);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), listener;
    int decoy = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* who listens there inside */
    MUST(bind(decoy, (struct sockaddr *)&any, sizeof(any)) == 0 && listen(decoy, 1) == 0);
    MUST(connect(client, (struct sockaddr *)&to, sizeof(to)) == 0);
    listener = socket_of(capture, CAPTURE_FLOWS, AF_INET);
    await(listener);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    MUST(server >= 0);
    read_dialled(server, IPPROTO_IP, &dialled, &len);
    MUST(dialled.sin_port == to.sin_port && dialled.sin_addr.s_addr == to.sin_addr.s_addr);
    MUST(getpeername(client, (struct sockaddr *)&peer, &peer_len) == 0);
    MUST(peer.sin_addr.s_addr == to.sin_addr.s_addr); /* the client sees whom it dialled */
    close(server);
    close(decoy);
    close(client);
}

TEST(a_connection_to_any_address_arrives_with_the_address_that_was_dialled)
{
    inside(dial_anywhere);
}

static void dial_anywhere_by_ipv6(const struct capture *capture)
{
    struct sockaddr_in6 to = at6("2001:db8::9", 443), dialled;
    socklen_t len = sizeof(dialled);
    int client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(connect(client, (struct sockaddr *)&to, sizeof(to)) == 0);
    int listener = socket_of(capture, CAPTURE_FLOWS, AF_INET6);
    await(listener);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    MUST(server >= 0);
    read_dialled(server, IPPROTO_IPV6, &dialled, &len);
    MUST(memcmp(&dialled.sin6_addr, &to.sin6_addr, 16) == 0 && dialled.sin6_port == to.sin6_port);
    close(server);
    close(client);
}

TEST(a_host_without_ipv6_has_the_other_family)
{
    inside_without(take_ipv6_away, dial_anywhere);
}

TEST(so_does_one_by_ipv6)
{
    inside(dial_anywhere_by_ipv6);
}

/* A server of every address answers from the one that it was asked at. */
static void answer(int server)
{
    char bytes[8], control[CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct sockaddr_in from;
    struct iovec part = { .iov_base = bytes, .iov_len = sizeof(bytes) };
    struct msghdr message = { .msg_name = &from,
                              .msg_namelen = sizeof(from),
                              .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = control,
                              .msg_controllen = sizeof(control) };
    await(server);
    MUST(recvmsg(server, &message, 0) == 3);
    struct in_pktinfo *info = (struct in_pktinfo *)(void *)CMSG_DATA(CMSG_FIRSTHDR(&message));
    info->ipi_spec_dst = info->ipi_addr;
    info->ipi_ifindex = 0;
    part.iov_len = 3;
    MUST(sendmsg(server, &message, 0) == 3);
}

static void ask_anywhere(const struct capture *capture)
{
    static const char *const servers[] = { "8.8.8.8", CAPTURE_IPV4, "127.0.0.1" };
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        struct sockaddr_in to = at(servers[i], 53);
        char bytes[8];
        int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        MUST(connect(client, (struct sockaddr *)&to, sizeof(to)) == 0);
        MUST(send(client, "ask", 3, 0) == 3);
        answer(socket_of(capture, CAPTURE_NAMES_UDP, AF_INET));
        await(client);
        MUST(recv(client, bytes, sizeof(bytes), 0) == 3); /* from where it was asked */
        close(client);
    }
}

TEST(a_question_to_any_name_server_arrives_and_its_answer_comes_from_there)
{
    inside(ask_anywhere);
}

static void send_elsewhere(const struct capture *capture)
{
    struct sockaddr_in to = at("203.0.113.9", 443);
    struct sockaddr_in6 to6 = at6("2001:db8::9", 443);
    (void)capture;
    int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    /* Refused at the first or at the second: what the first met is told then. */
    MUST(connect(client, (struct sockaddr *)&to, sizeof(to)) == 0);
    MUST(send(client, "a", 1, 0) < 0 || send(client, "b", 1, 0) < 0);
    close(client);
    client = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    MUST(connect(client, (struct sockaddr *)&to6, sizeof(to6)) == 0);
    MUST(send(client, "a", 1, 0) < 0 || send(client, "b", 1, 0) < 0);
    close(client);
}

TEST(other_datagrams_are_refused_at_once)
{
    inside(send_elsewhere);
}

static void serve_inside(const struct capture *capture)
{
    struct sockaddr_in any = at("127.0.0.1", 0);
    socklen_t len = sizeof(any);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)capture;
    MUST(bind(listener, (struct sockaddr *)&any, sizeof(any)) == 0 && listen(listener, 1) == 0);
    MUST(getsockname(listener, (struct sockaddr *)&any, &len) == 0);
    MUST(connect(client, (struct sockaddr *)&any, sizeof(any)) == 0);
    await(listener);
    close(client);
    close(listener);
}

TEST(the_loopback_inside_works_as_usual)
{
    inside(serve_inside);
}

static void dial_a_port(const struct capture *capture)
{
    struct sockaddr_in to = at("203.0.113.9", 443), dialled;
    struct sockaddr_in6 to6 = at6("2001:db8::9", 443), dialled6;
    socklen_t len = sizeof(dialled), len6 = sizeof(dialled6);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server = -1;
    MUST(capture->by_routes);
    MUST(connect(client, (struct sockaddr *)&to, sizeof(to)) == 0);
    for (size_t i = 0; i < capture->count && server < 0; i++)
        if (capture->sockets[i].kind == CAPTURE_FLOWS)
            server = accept4(capture->sockets[i].fd, NULL, NULL, SOCK_CLOEXEC);
    MUST(server >= 0);
    MUST(getsockname(server, (struct sockaddr *)&dialled, &len) == 0);
    MUST(dialled.sin_port == to.sin_port && dialled.sin_addr.s_addr == to.sin_addr.s_addr);
    close(server);
    close(client);
    client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(connect(client, (struct sockaddr *)&to6, sizeof(to6)) == 0);
    server = -1;
    for (size_t i = 0; i < capture->count && server < 0; i++)
        if (capture->sockets[i].kind == CAPTURE_FLOWS)
            server = accept4(capture->sockets[i].fd, NULL, NULL, SOCK_CLOEXEC);
    MUST(server >= 0 && getsockname(server, (struct sockaddr *)&dialled6, &len6) == 0);
    MUST(memcmp(&dialled6.sin6_addr, &to6.sin6_addr, 16) == 0);
    close(server);
    close(client);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_port = htons(4444);
    MUST(connect(client, (struct sockaddr *)&to, sizeof(to)) < 0 && errno == ECONNREFUSED);
    close(client);
}

TEST(without_netfilter_the_usual_ports_lead_to_the_door_and_others_nowhere)
{
    inside_without(take_netfilter_away, dial_a_port);
}

TEST(and_so_do_questions_to_any_name_server)
{
    inside_without(take_netfilter_away, ask_anywhere);
}

TEST(without_tproxy_connections_and_questions_arrive_all_the_same)
{
    inside_without(take_tproxy_away, dial_anywhere);
    inside_without(take_tproxy_away, dial_anywhere_by_ipv6);
    inside_without(take_tproxy_away, ask_anywhere);
    inside_without(take_tproxy_away, send_elsewhere);
}

TEST(what_a_host_makes_of_it_is_found_out_by_trying)
{
    CHECK_INT(capture_try(), CAPTURE_BY_NETFILTER);
}
