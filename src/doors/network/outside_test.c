#include "doors/network/outside.h"

#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "doors/network/dns_message.h"
#include "doors/network/dns_test.h"

#define PATIENCE_MS 10000 /* with what should come at once */

/* Stands before the C library's, so that a test can let time pass, also for c-ares. */
static int64_t passed_s;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (syscall(SYS_clock_gettime, clock, ret) < 0)
        return -1;
    ret->tv_sec += passed_s;
    return 0;
}

/* --- a name server --------------------------------------------------------------------------- */

/* What it answers to a name, by its first label. */
static const struct script {
    const char *label;
    int code, ttl_s;
    unsigned ipv4_count; /* 192.0.2.1 and the next ones */
    const char *ipv6;
} scripts[] = {
    { "both", DNS_NOERROR, 300, 1, "2001:db8::1" },
    { "one", DNS_NOERROR, 7, 1, NULL },
    { "brief", DNS_NOERROR, 0, 1, NULL },
    { "many", DNS_NOERROR, 300, 20, "2001:db8::1" },
    { "mapped", DNS_NOERROR, 300, 0, "::ffff:127.0.0.1" },
    { "cut", DNS_NOERROR, 300, 1, NULL }, /* off, where it is asked for by UDP */
    { "none", DNS_NOERROR, 300, 0, NULL },
    { "missing", DNS_NXDOMAIN, 0, 0, NULL },
    { "failed", DNS_SERVFAIL, 0, 0, NULL },
    { "refused", DNS_REFUSED, 0, 0, NULL },
};

struct server {
    struct loop *loop;
    struct loop_watch udp, listener, client;
    char address[64];
    int asked;
};

static void add_record(struct question *answer, uint16_t type, int ttl_s, const void *data,
                       size_t len)
{
    unsigned char head[] = { 0xc0,
                             12,
                             0,
                             (unsigned char)type,
                             0,
                             1,
                             0,
                             0,
                             (unsigned char)(ttl_s >> 8),
                             (unsigned char)ttl_s,
                             0,
                             (unsigned char)len };
    question_add(answer, head, sizeof(head));
    question_add(answer, data, len);
    answer->bytes[7]++;
}

/* The answer to a query; 0 long where none is given. */
static struct question play(struct server *server, struct str query, bool by_udp)
{
    struct dns_query read;
    uint16_t fault;
    struct question answer = { .len = 0 };
    CHECK_INT(dns_query_read(query, &read, &fault), DNS_READ);
    struct str label = str_make(read.name.text, strcspn(read.name.text, "."));
    server->asked++;
    for (const struct script *script = scripts; script < scripts + ARRAY_LEN(scripts); script++) {
        unsigned char ipv4[] = { 192, 0, 2, 0 }, ipv6[16];
        if (!str_equal(label, str_from(script->label)))
            continue;
        bool is_cut_off = by_udp && strcmp(script->label, "cut") == 0;
        unsigned char header[12] = { (unsigned char)(read.id >> 8),
                                     (unsigned char)read.id,
                                     is_cut_off ? 0x83 : 0x81,
                                     (unsigned char)(0x80 | script->code),
                                     0,
                                     1 };
        question_add(&answer, header, sizeof(header));
        question_add(&answer, read.question, read.question_len);
        for (unsigned i = 0; read.type == DNS_TYPE_A && !is_cut_off && i < script->ipv4_count;
             i++) {
            ipv4[3] = (unsigned char)(i + 1);
            add_record(&answer, DNS_TYPE_A, script->ttl_s, ipv4, sizeof(ipv4));
        }
        if (read.type == DNS_TYPE_AAAA && script->ipv6) {
            inet_pton(AF_INET6, script->ipv6, ipv6);
            add_record(&answer, DNS_TYPE_AAAA, script->ttl_s, ipv6, sizeof(ipv6));
        }
    }
    return answer;
}

static void serve_udp(struct loop_watch *watch, uint32_t events)
{
    struct server *server = LOOP_OWNER(watch, struct server, udp);
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    unsigned char query[1500];
    (void)events;
    ssize_t len = recvfrom(watch->fd, query, sizeof(query), MSG_DONTWAIT, (struct sockaddr *)&from,
                           &from_len);
    if (len <= 0)
        return;
    struct question answer = play(server, str_make((const char *)query, (size_t)len), true);
    if (answer.len)
        CHECK_INT(
            sendto(watch->fd, answer.bytes, answer.len, 0, (struct sockaddr *)&from, from_len),
            answer.len);
}

/* One client at a time, whose queries come whole. */
static void serve_tcp(struct loop_watch *watch, uint32_t events)
{
    struct server *server = LOOP_OWNER(watch, struct server, client);
    unsigned char queries[3000];
    (void)events;
    ssize_t len = recv(watch->fd, queries, sizeof(queries), MSG_DONTWAIT);
    if (len <= 0) {
        int fd = watch->fd;
        loop_watch_stop(server->loop, watch);
        close(fd);
    }
    for (size_t at = 0; len > 0 && at < (size_t)len;) {
        size_t query_len = (size_t)queries[at] << 8 | queries[at + 1];
        struct question answer =
            play(server, str_make((const char *)queries + at + 2, query_len), false);
        unsigned char length[] = { (unsigned char)(answer.len >> 8), (unsigned char)answer.len };
        CHECK_INT(send(watch->fd, length, 2, MSG_NOSIGNAL | MSG_MORE), 2);
        CHECK_INT(send(watch->fd, answer.bytes, answer.len, MSG_NOSIGNAL), answer.len);
        at += 2 + query_len;
    }
}

static void accept_tcp(struct loop_watch *watch, uint32_t events)
{
    struct server *server = LOOP_OWNER(watch, struct server, listener);
    (void)events;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fd >= 0 && server->client.fd < 0);
    CHECK_INT(loop_watch(server->loop, &server->client, fd, EPOLLIN), 0);
}

/* At a loopback address; a port of 0 is any. */
static void open_server(struct server *server, struct loop *loop, uint32_t address, in_port_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(address) };
    socklen_t len = sizeof(at);
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(tcp, (struct sockaddr *)&at, len), 0);
    CHECK_INT(listen(tcp, 8), 0);
    CHECK_INT(getsockname(tcp, (struct sockaddr *)&at, &len), 0);
    CHECK_INT(bind(udp, (struct sockaddr *)&at, len), 0);
    *server = (struct server){ .loop = loop,
                               .udp = { .fd = -1, .ready = serve_udp },
                               .listener = { .fd = -1, .ready = accept_tcp },
                               .client = { .fd = -1, .ready = serve_tcp } };
    snprintf(server->address, sizeof(server->address), "%s:%u", inet_ntoa(at.sin_addr),
             ntohs(at.sin_port));
    CHECK_INT(loop_watch(loop, &server->udp, udp, EPOLLIN), 0);
    CHECK_INT(loop_watch(loop, &server->listener, tcp, EPOLLIN), 0);
}

static void close_server(struct server *server)
{
    struct loop_watch *watches[] = { &server->udp, &server->listener, &server->client };
    for (size_t i = 0; i < ARRAY_LEN(watches); i++) {
        int fd = watches[i]->fd;
        loop_watch_stop(server->loop, watches[i]);
        if (fd >= 0)
            close(fd);
    }
}

/* --- a scene -------------------------------------------------------------------------------- */

struct scene {
    struct loop *loop;
    struct outside *outside;
    struct server server;
};

struct found {
    int called, r;
    size_t count;
    struct address_range addresses[OUTSIDE_ADDRESSES_MAX];
    struct outside_query *query, *cancels;
};

static void take(void *context, int r, const struct address_range *addresses, size_t count)
{
    struct found *found = context;
    CHECK((r == 0) == (count > 0));
    CHECK(count <= OUTSIDE_ADDRESSES_MAX);
    found->called++;
    found->r = r;
    found->count = count;
    memcpy(found->addresses, addresses, count * sizeof(*addresses));
    if (found->cancels)
        outside_cancel(found->cancels);
}

static void open_scene(struct scene *scene)
{
    *scene = (struct scene){ .loop = NULL };
    CHECK_INT(loop_new(&scene->loop, NULL), 0);
    CHECK_INT(outside_new(scene->loop, &scene->outside, NULL), 0);
    open_server(&scene->server, scene->loop, INADDR_LOOPBACK, 0);
    CHECK_INT(outside_set_servers(scene->outside, scene->server.address), 0);
}

static void close_scene(struct scene *scene)
{
    outside_free(scene->outside);
    close_server(&scene->server);
    CHECK_INT(loop_due(scene->loop), 0);
    loop_free(scene->loop);
}

static void start(struct scene *scene, struct found *found, const char *name)
{
    *found = (struct found){ .called = 0 };
    CHECK_INT(outside_resolve(scene->outside, name, take, found, &found->query), 0);
    CHECK_INT(found->called, 0);
}

/* Turns the loop as its owner would: when a descriptor is ready or a moment has come. */
static void turn(struct loop *loop, int64_t longest_ms)
{
    int64_t due = loop_due(loop), left = due ? due - clock_passed_ms() : longest_ms;
    struct pollfd ready = { .fd = loop_fd(loop), .events = POLLIN };
    poll(&ready, 1, (int)(left < 0 ? 0 : left < longest_ms ? left : longest_ms));
    loop_turn(loop);
}

static bool finish(struct scene *scene, const struct found *found)
{
    int64_t end = clock_passed_ms() + PATIENCE_MS;
    while (!found->called && clock_passed_ms() < end)
        turn(scene->loop, 100);
    CHECK_INT(found->called, 1);
    return found->called;
}

static struct found resolve(struct scene *scene, const char *name)
{
    struct found found;
    start(scene, &found, name);
    finish(scene, &found);
    return found;
}

static bool has_address(const struct found *found, const char *address)
{
    char text[ADDRESS_RANGE_TEXT_SIZE];
    for (size_t i = 0; i < found->count; i++) {
        address_range_text(&found->addresses[i], text);
        if (strcmp(text, address) == 0)
            return true;
    }
    return false;
}

/* --- what is found --------------------------------------------------------------------------- */

TEST(a_name_is_resolved_to_addresses_of_both_families)
{
    struct scene scene;
    open_scene(&scene);
    struct found found = resolve(&scene, "both.example.com");
    CHECK_INT(found.r, 0);
    CHECK_INT(found.count, 2);
    CHECK(has_address(&found, "192.0.2.1/32"));
    CHECK(has_address(&found, "2001:db8::1/128"));
    CHECK_INT(scene.server.asked, 2);
    close_scene(&scene);
}

TEST(who_has_too_many_addresses_is_known_by_some)
{
    struct scene scene;
    open_scene(&scene);
    CHECK_INT(resolve(&scene, "many.example.com").count, OUTSIDE_ADDRESSES_MAX);
    close_scene(&scene);
}

TEST(an_ipv4_address_in_the_form_of_ipv6_is_one_of_ipv4)
{
    struct scene scene;
    open_scene(&scene);
    struct found found = resolve(&scene, "mapped.example.com");
    CHECK_INT(found.count, 1);
    CHECK(has_address(&found, "127.0.0.1/32"));
    close_scene(&scene);
}

TEST(what_is_too_long_for_a_datagram_is_asked_for_by_tcp)
{
    struct scene scene;
    open_scene(&scene);
    struct found found = resolve(&scene, "cut.example.com");
    CHECK_INT(found.r, 0);
    CHECK(has_address(&found, "192.0.2.1/32"));
    close_scene(&scene);
}

TEST(a_failure_says_what_it_is)
{
    static const struct {
        const char *name;
        int r;
        const char *text;
    } failures[] = {
        { "missing.example.com", -ENOENT, "there is no such name" },
        { "none.example.com", -ENODATA, "the name has no address" },
        { "failed.example.com", -ECONNREFUSED, "no name server gives an answer" },
        { "refused.example.com", -ECONNREFUSED, "no name server gives an answer" },
    };
    struct scene scene;
    open_scene(&scene);
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        struct found found = resolve(&scene, failures[i].name);
        CHECK_INT(found.r, failures[i].r);
        CHECK_TEXT(outside_text(found.r), failures[i].text);
    }
    CHECK_TEXT(outside_text(-EPERM), "the name cannot be resolved");
    close_scene(&scene);
}

/* Lets time pass until a query has ended. */
static void outwait(struct scene *scene, const struct found *found)
{
    for (int i = 0; i < 100 && !found->called; i++) {
        turn(scene->loop, 0);
        passed_s++;
    }
    CHECK_INT(found->called, 1);
}

TEST(where_no_server_is_the_query_fails)
{
    struct scene scene;
    struct found found;
    open_scene(&scene);
    close_server(&scene.server);
    start(&scene, &found, "both.example.com");
    outwait(&scene, &found);
    CHECK(found.r == -ECONNREFUSED || found.r == -ETIMEDOUT);
    close_scene(&scene);
}

TEST(a_server_that_is_silent_is_asked_again_and_then_given_up)
{
    struct scene scene;
    struct found found;
    open_scene(&scene);
    start(&scene, &found, "silent.example.com");
    outwait(&scene, &found);
    CHECK_INT(found.r, -ETIMEDOUT);
    CHECK(scene.server.asked >= 4);
    close_scene(&scene);
}

/* --- what is asked --------------------------------------------------------------------------- */

TEST(all_who_ask_for_one_name_wait_for_one_question)
{
    struct scene scene;
    struct found found[5];
    open_scene(&scene);
    for (size_t i = 0; i < ARRAY_LEN(found); i++)
        start(&scene, &found[i], "both.example.com");
    for (size_t i = 0; i < ARRAY_LEN(found); i++) {
        finish(&scene, &found[i]);
        CHECK_INT(found[i].count, 2);
    }
    CHECK_INT(scene.server.asked, 2);
    close_scene(&scene);
}

TEST(what_was_found_is_remembered_for_as_long_as_it_says_within_bounds)
{
    static const struct {
        const char *name;
        int good_s;
    } names[] = { { "both.example.com", OUTSIDE_KEPT_MS / 1000 },
                  { "one.example.com", 7 },
                  { "brief.example.com", 1 } };
    struct scene scene;
    open_scene(&scene);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        scene.server.asked = 0;
        resolve(&scene, names[i].name);
        passed_s += names[i].good_s - 1;
        CHECK_INT(resolve(&scene, names[i].name).r, 0);
        CHECK_INT(scene.server.asked, 2);
        passed_s += 1;
        CHECK_INT(resolve(&scene, names[i].name).r, 0);
        CHECK_INT(scene.server.asked, 4);
    }
    close_scene(&scene);
}

TEST(a_failure_is_not_remembered)
{
    struct scene scene;
    open_scene(&scene);
    CHECK_INT(resolve(&scene, "missing.example.com").r, -ENOENT);
    int asked = scene.server.asked;
    CHECK_INT(resolve(&scene, "missing.example.com").r, -ENOENT);
    CHECK_INT(scene.server.asked, 2 * asked);
    close_scene(&scene);
}

TEST(more_names_than_can_be_remembered_are_resolved_all_the_same)
{
    struct scene scene;
    open_scene(&scene);
    for (int i = 0; i < 2 * OUTSIDE_KEPT_MAX; i++) {
        char name[64];
        snprintf(name, sizeof(name), "one.n%d.example.com", i);
        CHECK_INT(resolve(&scene, name).r, 0);
    }
    close_scene(&scene);
}

TEST(beyond_a_limit_a_question_is_refused_and_others_go_on)
{
    static struct found found[OUTSIDE_ASKED_MAX];
    struct outside_query *query;
    struct scene scene;
    open_scene(&scene);
    for (size_t i = 0; i < ARRAY_LEN(found); i++) {
        char name[64];
        snprintf(name, sizeof(name), "silent.n%zu.example.com", i);
        start(&scene, &found[i], name);
    }
    CHECK_INT(outside_resolve(scene.outside, "both.example.com", take, &found[0], &query), -EBUSY);
    struct found another;
    start(&scene, &another, "silent.n0.example.com");
    outwait(&scene, &another);
    CHECK_INT(another.r, -ETIMEDOUT);
    CHECK_INT(resolve(&scene, "both.example.com").r, 0);
    close_scene(&scene);
}

/* --- who is called ---------------------------------------------------------------------------- */

TEST(who_cancels_is_not_called_and_the_others_are)
{
    struct scene scene;
    struct found first, second;
    open_scene(&scene);
    start(&scene, &first, "both.example.com");
    start(&scene, &second, "both.example.com");
    outside_cancel(first.query);
    finish(&scene, &second);
    CHECK_INT(first.called, 0);
    /* What is remembered is told in the next turn; until then it can be cancelled too. */
    start(&scene, &first, "both.example.com");
    outside_cancel(first.query);
    turn(scene.loop, 0);
    CHECK_INT(first.called, 0);
    CHECK_INT(scene.server.asked, 2);
    close_scene(&scene);
}

TEST(where_all_have_cancelled_the_answer_is_remembered)
{
    struct scene scene;
    struct found first;
    open_scene(&scene);
    start(&scene, &first, "both.example.com");
    outside_cancel(first.query);
    CHECK_INT(resolve(&scene, "both.example.com").r, 0);
    CHECK_INT(scene.server.asked, 2);
    CHECK_INT(first.called, 0);
    close_scene(&scene);
}

TEST(who_is_called_may_cancel_others_that_were_to_be_called)
{
    struct scene scene;
    struct found first, second, third;
    open_scene(&scene);
    start(&scene, &first, "both.example.com");
    start(&scene, &second, "both.example.com");
    start(&scene, &third, "both.example.com");
    first.cancels = second.query;
    finish(&scene, &third);
    CHECK_INT(first.called, 1);
    CHECK_INT(second.called, 0);
    close_scene(&scene);
}

struct chain {
    struct scene *scene;
    int left;
};

static void ask_again(void *context, int r, const struct address_range *addresses, size_t count)
{
    struct chain *chain = context;
    struct outside_query *query;
    (void)addresses;
    (void)count;
    CHECK_INT(r, 0);
    if (chain->left--)
        CHECK_INT(
            outside_resolve(chain->scene->outside, "both.example.com", ask_again, chain, &query),
            0);
}

TEST(who_is_called_may_ask_again_and_the_turn_ends)
{
    struct scene scene;
    struct outside_query *query;
    open_scene(&scene);
    resolve(&scene, "both.example.com");
    struct chain chain = { &scene, 100 };
    CHECK_INT(outside_resolve(scene.outside, "both.example.com", ask_again, &chain, &query), 0);
    turn(scene.loop, 0);
    CHECK_INT(chain.left, 99);
    while (chain.left >= 0)
        turn(scene.loop, 0);
    close_scene(&scene);
}

TEST(when_it_is_freed_nobody_is_called)
{
    struct scene scene;
    struct found waits, shares, is_finished;
    open_scene(&scene);
    resolve(&scene, "both.example.com");
    start(&scene, &waits, "silent.example.com");
    start(&scene, &shares, "silent.example.com");
    start(&scene, &is_finished, "both.example.com");
    close_scene(&scene);
    CHECK_INT(waits.called + shares.called + is_finished.called, 0);
}

/* --- the host's configuration ------------------------------------------------------------------
 */

/* Puts one of a folder's files where another one is. */
static bool put_over(const char *path, const char *folder, const char *name)
{
    char file[64];
    snprintf(file, sizeof(file), "%s/%s", folder, name);
    return mount(file, path, NULL, MS_BIND, NULL) == 0;
}

static bool set_up_loopback(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return is_up;
}

/* In a child; its exit status says where it failed, 0: nowhere. */
static int use_the_hosts_configuration(const char *folder)
{
    struct scene scene = { .loop = NULL };
    struct server other;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) < 0)
        return 77;
    if (!set_up_loopback() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        !put_over("/etc/resolv.conf", folder, "one") || !put_over("/etc/hosts", folder, "hosts"))
        return 1;
    if (loop_new(&scene.loop, NULL) < 0 || outside_new(scene.loop, &scene.outside, NULL) < 0)
        return 2;
    open_server(&scene.server, scene.loop, INADDR_LOOPBACK, 53);
    open_server(&other, scene.loop, INADDR_LOOPBACK + 1, 53);
    struct found found = resolve(&scene, "both.example.com");
    if (found.count != 1 || !has_address(&found, "192.0.2.77/32") || scene.server.asked)
        return 3;
    found = resolve(&scene, "alone");
    if (found.count != 1 || !has_address(&found, "192.0.2.77/32") || scene.server.asked)
        return 4;
    found = resolve(&scene, "one.example.com");
    if (!has_address(&found, "192.0.2.1/32") || scene.server.asked != 2)
        return 5;
    /* It is asked for as it is, for each family, and not below a domain. */
    scene.server.asked = 0;
    if (resolve(&scene, "missing").r != -ENOENT || scene.server.asked != 2)
        return 6;
    scene.server.asked = 0;
    if (!put_over("/etc/resolv.conf", folder, "other"))
        return 7;
    found = resolve(&scene, "one.other.example.com");
    if (!has_address(&found, "192.0.2.1/32") || scene.server.asked || other.asked != 2)
        return 8;
    return 0;
}

TEST(the_hosts_names_and_servers_are_used_as_they_are_configured_then)
{
    static const char *const files[][2] = {
        { "one", "nameserver 127.0.0.1\nsearch example.com\n" },
        { "other", "nameserver 127.0.0.2\n" },
        { "hosts", "192.0.2.77 both.example.com alone\n" },
    };
    char folder[] = "/tmp/outside-test-XXXXXX", path[64];
    int status = 0;
    CHECK(mkdtemp(folder));
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        test_put(folder, files[i][0], files[i][1]);
    pid_t pid = fork();
    if (pid == 0)
        _exit(use_the_hosts_configuration(folder));
    CHECK_INT(waitpid(pid, &status, 0), pid);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i][0]);
        CHECK_INT(unlink(path), 0);
    }
    CHECK_INT(rmdir(folder), 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        test_skip("this host gives no namespaces to one who is not root");
    else
        CHECK_INT(status, 0);
}
