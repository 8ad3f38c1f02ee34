/*
 * network_bench: the two ends of measured connections.
 *
 *     serve PORT                        answers on loopback, until it is ended
 *     bulk TO SECONDS                   bytes that one connection brings
 *     connect TO SECONDS CLIENTS        connections made, used once and closed by the server
 *     ask TO SECONDS CLIENTS            requests on connections that stay, and how long they take
 *     hold TO CLIENTS                   idle connections; says so, and ends with its input
 *
 * TO is HOST PORT, or with VIA_HOST VIA_PORT behind it, HOST PORT by an HTTP proxy there, which is
 * shown what stands in PROXY_AUTHORIZATION. A request and an answer are 64 bytes; the first of a
 * request says what is wanted. Prints JSON.
 */
#define ENDS_NAME "network_bench"
#include "ends.h"

#define MESSAGE_BYTES 64
#define BULK_BYTES    (256 << 10)
#define CLIENTS_MAX   4096
#define SAMPLES_MAX   (1 << 22)
#define BATCH         256

enum { ASK_ECHO = 'E', ASK_ONCE = 'C', ASK_BULK = 'B' };

static char bulk[BULK_BYTES];

/* --- serve ---------------------------------------------------------------------------------- */

static void serve_one(int epoll, int fd, uint32_t events)
{
    char message[MESSAGE_BYTES];
    if (events & EPOLLOUT) {
        if (send(fd, bulk, sizeof(bulk), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
            close(fd);
        return;
    }
    ssize_t n = recv(fd, message, sizeof(message), 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0 && message[0] == ASK_BULK) {
        watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT);
        return;
    }
    if (n > 0 && send(fd, message, (size_t)n, MSG_NOSIGNAL) == n && message[0] == ASK_ECHO)
        return;
    close(fd);
}

static void serve(long port)
{
    struct epoll_event batch[BATCH];
    int listener = listen_at(port), epoll = epoll_create1(EPOLL_CLOEXEC), one = 1;
    (void)setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    for (;;) {
        int count = epoll_wait(epoll, batch, BATCH, -1);
        for (int i = 0; i < count; i++) {
            int fd = batch[i].data.fd;
            if (fd != listener)
                serve_one(epoll, fd, batch[i].events);
            while (fd == listener) {
                int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (client < 0)
                    break;
                watch(epoll, EPOLL_CTL_ADD, client, EPOLLIN);
            }
        }
    }
}

/* --- clients -------------------------------------------------------------------------------- */

struct to {
    const char *host, *port;
    struct sockaddr_storage address; /* of the host, or of the proxy */
    socklen_t len;
    bool by_proxy;
};

static void find(struct to *to, char **words, bool by_proxy)
{
    to->host = words[0];
    to->port = words[1];
    to->by_proxy = by_proxy;
    to->len = find_address(words[by_proxy ? 2 : 0], words[by_proxy ? 3 : 1], &to->address);
}

static void ask_proxy(const struct to *to, int fd)
{
    char text[1024];
    size_t len = 0;
    const char *shown = getenv("PROXY_AUTHORIZATION");
    int n = snprintf(text, sizeof(text), "CONNECT %s:%s HTTP/1.1\r\nHost: %s:%s\r\n%s%s%s\r\n",
                     to->host, to->port, to->host, to->port, shown ? "Proxy-Authorization: " : "",
                     shown ? shown : "", shown ? "\r\n" : "");
    if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        die("proxy");
    do {
        ssize_t got = recv(fd, text + len, 1, 0);
        if (got <= 0)
            die("proxy");
        len++;
    } while (len < sizeof(text) - 1 && (len < 4 || memcmp(text + len - 4, "\r\n\r\n", 4) != 0));
    if (memcmp(text + 8, " 200", 4) != 0) {
        errno = EACCES;
        die("proxy");
    }
}

/* Blocking; with a request sent. */
static int dial(const struct to *to, char kind)
{
    char message[MESSAGE_BYTES] = { kind };
    int one = 1, fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (const struct sockaddr *)&to->address, to->len) < 0)
        die("connect");
    if (to->by_proxy)
        ask_proxy(to, fd);
    if (kind && send(fd, message, sizeof(message), MSG_NOSIGNAL) != sizeof(message))
        die("send");
    return fd;
}

static void take_bulk(const struct to *to, long seconds)
{
    int fd = dial(to, ASK_BULK);
    int64_t begin = now_ns(), end = begin + seconds * 1000000000, bytes = 0;
    while (now_ns() < end) {
        ssize_t n = recv(fd, bulk, sizeof(bulk), 0);
        if (n <= 0)
            die("bulk");
        bytes += n;
    }
    printf("{\"bytes\": %lld, \"seconds\": %.6f}\n", (long long)bytes,
           (double)(now_ns() - begin) / 1e9);
}

static void report(size_t done, int64_t begin, uint32_t *samples)
{
    size_t count = done < SAMPLES_MAX ? done : SAMPLES_MAX;
    qsort(samples, count, sizeof(*samples), by_size);
    printf("{\"done\": %zu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", done,
           (double)(now_ns() - begin) / 1e9, count ? samples[count / 2] / 1e3 : 0,
           count ? samples[count * 99 / 100] / 1e3 : 0);
}

/* Each client asks, waits for the answer, and asks again: on its connection, or on a new one. */
static void ask(const struct to *to, char kind, long seconds, long clients)
{
    static uint32_t samples[SAMPLES_MAX];
    static int64_t asked[CLIENTS_MAX * 4];
    struct epoll_event batch[BATCH];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    size_t done = 0;
    for (long i = 0; i < clients; i++) {
        int64_t since = now_ns();
        int fd = dial(to, kind);
        asked[fd] = since;
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
    int64_t begin = now_ns(), end = begin + seconds * 1000000000;
    while (now_ns() < end) {
        int count = epoll_wait(epoll, batch, BATCH, 1000);
        for (int i = 0; i < count; i++) {
            char message[MESSAGE_BYTES * 2];
            int fd = batch[i].data.fd;
            ssize_t n = recv(fd, message, sizeof(message), 0);
            if (n != MESSAGE_BYTES)
                die("answer");
            int64_t now = now_ns();
            samples[done++ % SAMPLES_MAX] = (uint32_t)(now - asked[fd]);
            if (kind == ASK_ONCE) {
                close(fd);
                now = now_ns();
                fd = dial(to, kind);
                watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
            } else if (send(fd, message, MESSAGE_BYTES, MSG_NOSIGNAL) != MESSAGE_BYTES) {
                die("ask");
            }
            asked[fd] = now;
        }
    }
    report(done, begin, samples);
}

static void hold(const struct to *to, long clients)
{
    char message[MESSAGE_BYTES];
    for (long i = 0; i < clients; i++) {
        if (recv(dial(to, ASK_ECHO), message, sizeof(message), MSG_WAITALL) != sizeof(message))
            die("hold");
    }
    printf("held\n");
    fflush(stdout);
    (void)!read(STDIN_FILENO, message, 1);
}

int main(int argc, char **argv)
{
    struct to to;
    const char *verb = argc > 1 ? argv[1] : "";
    raise_descriptors();
    if (argc == 3 && strcmp(verb, "serve") == 0)
        serve(number(argv[2]));
    int numbers = strcmp(verb, "bulk") == 0 || strcmp(verb, "hold") == 0 ? 1 : 2;
    if (argc != 4 + numbers && argc != 6 + numbers) {
        fprintf(stderr, "network_bench: see bench/network_bench.c\n");
        return 2;
    }
    find(&to, argv + 2, argc == 6 + numbers);
    long first = number(argv[argc - numbers]), last = number(argv[argc - 1]);
    if (last < 1 || last > CLIENTS_MAX)
        die(argv[argc - 1]);
    if (strcmp(verb, "bulk") == 0)
        take_bulk(&to, first);
    else if (strcmp(verb, "hold") == 0)
        hold(&to, last);
    else if (strcmp(verb, "connect") == 0)
        ask(&to, ASK_ONCE, first, last);
    else
        ask(&to, ASK_ECHO, first, last);
    return 0;
}
