#include "doors/network/resolver.h"

#include <net/if.h>
#include <net/route.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <linux/rtnetlink.h>

#include "base/clock.h"
#include "doors/network/dns_test.h"

#define PATIENCE_MS 10000 /* with what should come at once */

/* Stands before the C library's, so that a test can let time pass. */
static int64_t passed_s;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (syscall(SYS_clock_gettime, clock, ret) < 0)
        return -1;
    ret->tv_sec += passed_s;
    return 0;
}

/* --- a scene: a resolver on loopback -------------------------------------------------------- */

struct scene {
    struct loop *loop;
    struct names *names;
    struct door_asks asks;
    struct resolver *resolver;
    int udp, tcp, asked;
};

/* Permits what ends in example.com. */
static bool ask(void *context, const char *name)
{
    struct scene *scene = context;
    scene->asked++;
    return str_ends(str_from(name), STR("example.com"));
}

union address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

static socklen_t address_make(union address *address, const char *text, in_port_t port)
{
    *address = (union address){ .ipv4 = { .sin_family = AF_INET, .sin_port = port } };
    if (inet_pton(AF_INET, text, &address->ipv4.sin_addr) == 1)
        return sizeof(address->ipv4);
    *address = (union address){ .ipv6 = { .sin6_family = AF_INET6, .sin6_port = port } };
    CHECK_INT(inet_pton(AF_INET6, text, &address->ipv6.sin6_addr), 1);
    return sizeof(address->ipv6);
}

/* A socket at an address; a port of 0 is any. */
static int open_at(const char *text, unsigned port, int type)
{
    union address address;
    socklen_t len = address_make(&address, text, htons((in_port_t)port));
    int fd = socket(address.any.sa_family, type | SOCK_CLOEXEC, 0);
    int reuse = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
    if (fd < 0 || bind(fd, &address.any, len) < 0 || (type == SOCK_STREAM && listen(fd, 128) < 0))
        return -1;
    return fd;
}

/* A socket that is connected to where another one is, by an address of the test's choice. */
static int open_to(int other, const char *text, int type)
{
    union address address, own;
    socklen_t len = sizeof(own);
    CHECK_INT(getsockname(other, &own.any, &len), 0);
    len = address_make(&address, text, own.ipv4.sin_port);
    int fd = socket(address.any.sa_family, type | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, &address.any, len) == 0 ? fd : -1;
}

static void serve(struct scene *scene, int udp, int tcp)
{
    *scene = (struct scene){ .udp = udp, .tcp = tcp };
    scene->asks = (struct door_asks){ .context = scene, .name = ask };
    CHECK_INT(loop_new(&scene->loop, NULL), 0);
    CHECK_INT(names_new(&scene->names, NULL), 0);
    struct resolver_options options = { .loop = scene->loop,
                                        .names = scene->names,
                                        .asks = &scene->asks,
                                        .udp = &scene->udp,
                                        .tcp = &scene->tcp,
                                        .udp_count = udp >= 0,
                                        .tcp_count = tcp >= 0 };
    CHECK_INT(resolver_new(&options, &scene->resolver, NULL), 0);
}

static void open_scene(struct scene *scene, const char *text)
{
    serve(scene, open_at(text, 0, SOCK_DGRAM), open_at(text, 0, SOCK_STREAM));
}

static void close_scene(struct scene *scene)
{
    resolver_free(scene->resolver);
    names_free(scene->names);
    loop_free(scene->loop);
}

/* Lets the resolver work until a descriptor is ready; false where it never is. */
static bool work_until(struct scene *scene, int fd, short events)
{
    int64_t end = clock_passed_ms() + PATIENCE_MS;
    while (clock_passed_ms() < end) {
        struct pollfd fds[] = { { .fd = fd, .events = events },
                                { .fd = loop_fd(scene->loop), .events = POLLIN } };
        poll(fds, ARRAY_LEN(fds), 100);
        if (fds[1].revents)
            loop_turn(scene->loop);
        else if (fds[0].revents)
            return true;
    }
    return false;
}

/* --- by UDP --------------------------------------------------------------------------------- */

static struct parsed ask_udp(struct scene *scene, int fd, const char *name, unsigned type)
{
    unsigned char answer[2048];
    struct question question = question_make(name, type, 1232);
    CHECK_INT(send(fd, question.bytes, question.len, 0), question.len);
    CHECK(work_until(scene, fd, POLLIN));
    ssize_t len = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
    CHECK(len > 0);
    return len > 0 ? parse_answer(answer, (size_t)len) : (struct parsed){ .code = -1 };
}

TEST(datagrams_are_answered_over_both_families)
{
    static const char *const places[] = { "127.0.0.1", "::1" };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct scene scene;
        open_scene(&scene, places[i]);
        int fd = open_to(scene.udp, places[i], SOCK_DGRAM);
        CHECK_TEXT(ask_udp(&scene, fd, "www.example.com", ns_t_a).data, "198.18.1.0");
        CHECK_TEXT(ask_udp(&scene, fd, "www.example.com", ns_t_aaaa).data, "fd61:6d61:6368::100");
        CHECK_INT(ask_udp(&scene, fd, "example.net", ns_t_a).extended, 15);
        close(fd);
        close_scene(&scene);
    }
}

TEST(an_answer_comes_from_the_address_that_was_asked)
{
    static const struct {
        const char *bound, *asked;
    } places[] = { { "0.0.0.0", "127.0.0.1" },
                   { "0.0.0.0", "127.1.2.3" }, /* no address of an interface, but routed to it */
                   { "::", "::1" },
                   { "::", "::ffff:127.1.2.3" } };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct scene scene;
        open_scene(&scene, places[i].bound);
        int fd = open_to(scene.udp, places[i].asked, SOCK_DGRAM);
        CHECK_TEXT(ask_udp(&scene, fd, "www.example.com", ns_t_a).data, "198.18.1.0");
        close(fd);
        close_scene(&scene);
    }
}

TEST(what_is_no_question_is_not_answered_and_does_not_hold_up_others)
{
    struct scene scene;
    struct question question = question_make("www.example.com", ns_t_a, 0);
    unsigned char large[RESOLVER_QUERY_BYTES_MAX + 1] = { 1 };
    open_scene(&scene, "127.0.0.1");
    int fd = open_to(scene.udp, "127.0.0.1", SOCK_DGRAM);
    question.bytes[2] |= 0x80;
    for (int i = 0; i < 200; i++)
        CHECK_INT(send(fd, question.bytes, question.len, 0), question.len);
    CHECK_INT(send(fd, "", 0, 0), 0);
    CHECK_INT(send(fd, large, sizeof(large), 0), sizeof(large));
    CHECK_TEXT(ask_udp(&scene, fd, "www.example.com", ns_t_a).data, "198.18.1.0");
    CHECK_INT(recv(fd, large, sizeof(large), MSG_DONTWAIT), -1);
    close(fd);
    close_scene(&scene);
}

/* --- by TCP --------------------------------------------------------------------------------- */

#define FRAME_SIZE 64

/* A query with its length in front, whose id is a number of the test's. */
static size_t frame_make(unsigned char frame[FRAME_SIZE], unsigned id)
{
    struct question question = question_make("www.example.com", ns_t_a, 0);
    question.bytes[0] = (unsigned char)(id >> 8);
    question.bytes[1] = (unsigned char)id;
    frame[0] = 0;
    frame[1] = (unsigned char)question.len;
    memcpy(frame + 2, question.bytes, question.len);
    return question.len + 2;
}

/* Reads one answer from a stream; its id, or -1 where the stream has ended. */
static int take_answer(struct scene *scene, int fd)
{
    unsigned char answer[2 + 1024];
    size_t have = 0, want = 2;
    while (have < want) {
        ssize_t len =
            work_until(scene, fd, POLLIN) ? recv(fd, answer + have, want - have, MSG_DONTWAIT) : -1;
        if (len <= 0)
            return -1;
        have += (size_t)len;
        if (have == 2)
            want = 2 + ((size_t)answer[0] << 8 | answer[1]);
        if (want > sizeof(answer))
            return -1;
    }
    struct parsed parsed = parse_answer(answer + 2, have - 2);
    CHECK_TEXT(parsed.data, "198.18.1.0");
    return parsed.id;
}

TEST(queries_that_come_together_are_answered_in_their_order_and_in_pieces_too)
{
    enum { COUNT = 300 };
    static const char *const places[] = { "127.0.0.1", "::1" };
    unsigned char frame[FRAME_SIZE], all[COUNT * FRAME_SIZE];
    size_t len = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        size_t frame_len = frame_make(frame, i);
        memcpy(all + len, frame, frame_len);
        len += frame_len;
    }
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct scene scene;
        open_scene(&scene, places[i]);
        int fd = open_to(scene.tcp, places[i], SOCK_STREAM);
        CHECK_INT(send(fd, all, len, 0), len);
        for (int id = 0; id < COUNT; id++)
            CHECK_INT(take_answer(&scene, fd), id);
        for (size_t at = 0; at < len / COUNT; at++) {
            CHECK_INT(send(fd, all + at, 1, 0), 1);
            loop_turn(scene.loop);
        }
        CHECK_INT(take_answer(&scene, fd), 0);
        close(fd);
        close_scene(&scene);
    }
}

TEST(who_has_sent_its_last_still_gets_every_answer)
{
    struct scene scene;
    unsigned char frame[FRAME_SIZE];
    open_scene(&scene, "127.0.0.1");
    int fd = open_to(scene.tcp, "127.0.0.1", SOCK_STREAM);
    for (unsigned id = 0; id < 100; id++)
        CHECK(send(fd, frame, frame_make(frame, id), 0) > 0);
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    for (int id = 0; id < 100; id++)
        CHECK_INT(take_answer(&scene, fd), id);
    CHECK_INT(take_answer(&scene, fd), -1);
    close(fd);
    close_scene(&scene);
}

TEST(who_takes_no_answers_is_not_read_from_and_loses_none)
{
    struct scene scene;
    unsigned char frame[FRAME_SIZE];
    size_t frame_len = frame_make(frame, 0), at = 0;
    int sent = 0, buffer = 4096;
    open_scene(&scene, "127.0.0.1");
    CHECK_INT(setsockopt(scene.tcp, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)), 0);
    CHECK_INT(setsockopt(scene.tcp, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)), 0);
    int fd = open_to(scene.tcp, "127.0.0.1", SOCK_STREAM);
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)), 0);
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)), 0);
    /* Until nothing goes any more, though the resolver had every turn that it wanted. */
    for (int idle = 0; idle < 50;) {
        ssize_t len = send(fd, frame + at, frame_len - at, MSG_DONTWAIT);
        struct pollfd busy = { .fd = loop_fd(scene.loop), .events = POLLIN };
        idle = len < 0 ? idle + 1 : 0;
        at += len < 0 ? 0 : (size_t)len;
        if (at == frame_len) {
            frame_make(frame, (unsigned)++sent & 0xffff);
            at = 0;
        }
        if (poll(&busy, 1, len < 0 ? 1 : 0) > 0)
            loop_turn(scene.loop);
    }
    CHECK(sent > 100);
    for (int id = 0; id < sent; id++)
        CHECK_INT(take_answer(&scene, fd), id & 0xffff);
    close(fd);
    close_scene(&scene);
}

TEST(who_sends_what_is_no_question_is_let_go)
{
    static const struct str streams[] = {
        { "\0\0", 2 },                              /* nothing */
        { "\0\3abc", 5 },                           /* no header */
        { "\0\14\0\0\200\0\0\0\0\0\0\0\0\0", 14 },  /* an answer */
        { "\377\377\0\0\1\0\0\1\0\0\0\0\0\0", 14 }, /* more than is taken, filled up below */
    };
    static const unsigned char much[RESOLVER_QUERY_BYTES_MAX];
    struct scene scene;
    open_scene(&scene, "127.0.0.1");
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        int fd = open_to(scene.tcp, "127.0.0.1", SOCK_STREAM);
        CHECK_INT(send(fd, streams[i].ptr, streams[i].len, 0), streams[i].len);
        CHECK(i < 3 || send(fd, much, sizeof(much), 0) > 0);
        CHECK_INT(take_answer(&scene, fd), -1);
        close(fd);
    }
    close_scene(&scene);
}

TEST(who_is_idle_is_let_go_and_who_asks_is_not)
{
    struct scene scene;
    unsigned char frame[FRAME_SIZE];
    open_scene(&scene, "127.0.0.1");
    int idle = open_to(scene.tcp, "127.0.0.1", SOCK_STREAM);
    int slow = open_to(scene.tcp, "127.0.0.1", SOCK_STREAM);
    int busy = open_to(scene.tcp, "127.0.0.1", SOCK_STREAM);
    for (int id = 0; id < 4; id++) {
        CHECK(send(busy, frame, frame_make(frame, (unsigned)id), 0) > 0);
        (void)!send(slow, frame, 1, MSG_NOSIGNAL); /* never a whole query */
        CHECK_INT(take_answer(&scene, busy), id);
        passed_s += RESOLVER_IDLE_MS / 1000 / 2 - 1;
        loop_turn(scene.loop);
    }
    CHECK_INT(take_answer(&scene, idle), -1);
    CHECK_INT(take_answer(&scene, slow), -1);
    passed_s += RESOLVER_IDLE_MS / 1000;
    loop_turn(scene.loop);
    CHECK_INT(take_answer(&scene, busy), -1);
    CHECK_INT(loop_due(scene.loop), 0);
    close(idle);
    close(slow);
    close(busy);
    close_scene(&scene);
}

TEST(one_client_too_many_takes_the_place_of_the_one_that_was_idle_for_the_longest)
{
    struct scene scene;
    unsigned char frame[FRAME_SIZE];
    int fds[RESOLVER_CLIENTS_MAX + 1];
    open_scene(&scene, "127.0.0.1");
    for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
        if (i == RESOLVER_CLIENTS_MAX) { /* the first is not the one who was idle */
            CHECK(send(fds[0], frame, frame_make(frame, 0), 0) > 0);
            CHECK_INT(take_answer(&scene, fds[0]), 0);
        }
        fds[i] = open_to(scene.tcp, "127.0.0.1", SOCK_STREAM);
        CHECK(send(fds[i], frame, frame_make(frame, i), 0) > 0);
        CHECK_INT(take_answer(&scene, fds[i]), i);
    }
    for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
        (void)!send(fds[i], frame, frame_make(frame, i), MSG_NOSIGNAL);
        CHECK_INT(take_answer(&scene, fds[i]), i == 1 ? -1 : (int)i);
        close(fds[i]);
    }
    close_scene(&scene);
}

TEST(where_descriptors_have_run_out_the_loop_is_left_in_peace_until_there_are_some)
{
    struct scene scene;
    struct rlimit limit, none;
    unsigned char frame[FRAME_SIZE];
    open_scene(&scene, "127.0.0.1");
    int fd = open_to(scene.tcp, "127.0.0.1", SOCK_STREAM);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){ .rlim_cur = (rlim_t)fd + 1, .rlim_max = limit.rlim_max };
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct pollfd busy = { .fd = loop_fd(scene.loop), .events = POLLIN };
    CHECK_INT(poll(&busy, 1, PATIENCE_MS), 1);
    loop_turn(scene.loop);
    CHECK_INT(poll(&busy, 1, 0), 0);
    CHECK(loop_due(scene.loop) > 0);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    passed_s += 1;
    loop_turn(scene.loop);
    CHECK(send(fd, frame, frame_make(frame, 7), 0) > 0);
    CHECK_INT(take_answer(&scene, fd), 7);
    close(fd);
    close_scene(&scene);
}

TEST(the_descriptors_are_the_resolvers_only_where_it_opens)
{
    struct scene scene;
    struct err err = { 0 };
    int fds[2] = { open_at("127.0.0.1", 0, SOCK_DGRAM), -1 };
    serve(&scene, open_at("127.0.0.1", 0, SOCK_DGRAM), open_at("127.0.0.1", 0, SOCK_STREAM));
    struct resolver_options options = {
        .loop = scene.loop, .names = scene.names, .asks = &scene.asks, .udp = fds, .udp_count = 2
    };
    struct resolver *resolver = NULL;
    CHECK_INT(resolver_new(&options, &resolver, &err), -EBADF);
    CHECK(!resolver && err.code != ERR_NONE);
    options.udp_count = RESOLVER_SOCKETS_MAX + 1;
    CHECK_INT(resolver_new(&options, &resolver, &err), -E2BIG);
    CHECK(fcntl(fds[0], F_GETFD) >= 0);
    close(fds[0]);
    close_scene(&scene);
    CHECK_INT(fcntl(scene.udp, F_GETFD), -1);
    CHECK_INT(fcntl(scene.tcp, F_GETFD), -1);
}

/* --- inside of a namespace ------------------------------------------------------------------ */

#define LOOKUPS 4

/* A child in namespaces of its own: what it opens is open here too. */
struct inside {
    int events; /* an eventfd: the child has done something that it was to do */
    int udp, tcp, client;
    int failed; /* the line where it did */
    struct lookup {
        int result, family_count;
        char text[64];
    } lookups[LOOKUPS];
};

static void tell(struct inside *inside)
{
    eventfd_write(inside->events, 1);
}

#define MUST(inside, condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (inside)->failed = __LINE__;                                                           \
            return;                                                                                \
        }                                                                                          \
    } while (0)

static void set_up_loopback(struct inside *inside)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    MUST(inside, fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0);
    close(fd);
}

/* Waits until the child has told something, and says whether all went well. */
static bool hear(const struct inside *inside)
{
    eventfd_t count;
    struct pollfd told = { .fd = inside->events, .events = POLLIN };
    return poll(&told, 1, PATIENCE_MS) == 1 && eventfd_read(inside->events, &count) == 0 &&
           !inside->failed;
}

static pid_t enter(int namespaces, void (*function)(struct inside *), struct inside **ret)
{
    struct inside *inside =
        mmap(NULL, sizeof(*inside), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *inside =
        (struct inside){ .events = eventfd(0, EFD_CLOEXEC), .udp = -1, .tcp = -1, .client = -1 };
    *ret = inside;
    pid_t pid =
        (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_FILES | namespaces | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        set_up_loopback(inside);
        if (!inside->failed)
            function(inside);
        tell(inside);
        _exit(0);
    }
    if (pid < 0)
        test_skip("this host gives no namespaces to one who is not root (%s)", strerror(errno));
    return pid;
}

static void leave(struct inside *inside, pid_t pid)
{
    if (inside->failed)
        test_fail(__FILE__, inside->failed, "inside of the namespace");
    CHECK(pid < 0 || waitpid(pid, NULL, 0) == pid);
    close(inside->events);
    munmap(inside, sizeof(*inside));
}

/* An IPv6 network whose every address is here, and of which no interface has any. */
static void ask_an_address_that_is_routed(struct inside *inside)
{
    struct in6_rtmsg route = { .rtmsg_type = RTN_LOCAL,
                               .rtmsg_dst_len = 32,
                               .rtmsg_flags = RTF_UP | RTF_LOCAL };
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    route.rtmsg_ifindex = (int)if_nametoindex("lo");
    MUST(inside, inet_pton(AF_INET6, "2001:db8::", &route.rtmsg_dst) == 1);
    MUST(inside, fd >= 0 && ioctl(fd, SIOCADDRT, &route) == 0);
    close(fd);
    inside->udp = open_at("::", 0, SOCK_DGRAM);
    inside->tcp = open_at("::", 0, SOCK_STREAM);
    MUST(inside, inside->udp >= 0 && inside->tcp >= 0);
    inside->client = open_to(inside->udp, "2001:db8::5:3", SOCK_DGRAM);
    MUST(inside, inside->client >= 0);
}

TEST(sockets_of_a_namespace_are_served_from_outside_whatever_address_was_asked)
{
    struct inside *inside;
    struct scene scene;
    pid_t pid = enter(CLONE_NEWNET, ask_an_address_that_is_routed, &inside);
    if (pid > 0 && hear(inside)) {
        serve(&scene, inside->udp, inside->tcp);
        CHECK_TEXT(ask_udp(&scene, inside->client, "www.example.com", ns_t_a).data, "198.18.1.0");
        close(inside->client);
        close_scene(&scene);
    }
    leave(inside, pid);
}

static bool put_over(const char *path, const char *text)
{
    char file[] = "/tmp/resolver-test-XXXXXX";
    int fd = mkstemp(file);
    bool is_put = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
                  fchmod(fd, 0644) == 0 && mount(file, path, NULL, MS_BIND, NULL) == 0;
    close(fd);
    unlink(file);
    return is_put;
}

static void look_up(struct lookup *lookup, const char *name)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    lookup->result = getaddrinfo(name, NULL, &hints, &list);
    for (struct addrinfo *i = list; i; i = i->ai_next) {
        lookup->family_count++;
        if (i->ai_family == AF_INET)
            getnameinfo(i->ai_addr, i->ai_addrlen, lookup->text, sizeof(lookup->text), NULL, 0,
                        NI_NAMEREQD);
    }
    if (list)
        freeaddrinfo(list);
}

static void look_up_by_the_c_library(struct inside *inside)
{
    MUST(inside, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    MUST(inside, put_over("/etc/resolv.conf", "nameserver 127.0.0.1\noptions edns0\n"));
    MUST(inside, put_over("/etc/nsswitch.conf", "hosts: dns\n"));
    inside->udp = open_at("127.0.0.1", 53, SOCK_DGRAM);
    inside->tcp = open_at("127.0.0.1", 53, SOCK_STREAM);
    MUST(inside, inside->udp >= 0 && inside->tcp >= 0);
    tell(inside);
    static const char *const names[LOOKUPS] = { "www.example.com", "example.net", "single",
                                                "www.example.com" };
    for (size_t i = 0; i < LOOKUPS; i++)
        look_up(&inside->lookups[i], names[i]);
}

TEST(the_c_library_resolves_what_is_permitted_and_fails_at_once_for_what_is_not)
{
    struct inside *inside;
    struct scene scene;
    pid_t pid = enter(CLONE_NEWNET | CLONE_NEWNS, look_up_by_the_c_library, &inside);
    if (pid > 0 && hear(inside)) {
        serve(&scene, inside->udp, inside->tcp);
        CHECK(work_until(&scene, inside->events, POLLIN));
        for (size_t i = 0; i < LOOKUPS; i++) {
            bool is_permitted = i == 0 || i == 3;
            CHECK_INT(inside->lookups[i].result, is_permitted ? 0 : EAI_NONAME);
            CHECK_INT(inside->lookups[i].family_count, is_permitted ? 2 : 0);
            CHECK_TEXT(inside->lookups[i].text, is_permitted ? "www.example.com" : "");
        }
        CHECK_INT(scene.asked, 2 * LOOKUPS); /* for each family once */
        close_scene(&scene);
    }
    leave(inside, pid);
}
