/* ends: what the two ends of measured connections share; each program defines ENDS_NAME before. */
#ifndef AM_BENCH_ENDS_H
#define AM_BENCH_ENDS_H

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "base/base.h"

#define ENDS_DESCRIPTORS 20000

static inline void die(const char *what)
{
    fprintf(stderr, ENDS_NAME ": %s: %s\n", what, strerror(errno));
    exit(1);
}

static inline int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline long number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end)
        die(text);
    return value;
}

static inline int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static inline void watch(int epoll, int how, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };
    if (epoll_ctl(epoll, how, fd, &event) < 0)
        die("epoll_ctl");
}

/* A listener on loopback. */
static inline int listen_at(long port)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4096) < 0)
        die("listen");
    return fd;
}

/* Where a host's port is; its length. */
static inline socklen_t find_address(const char *host, const char *port,
                                     struct sockaddr_storage *ret)
{
    struct addrinfo want = { .ai_socktype = SOCK_STREAM, .ai_family = AF_INET }, *found;
    int r = getaddrinfo(host, port, &want, &found);
    if (r != 0) {
        fprintf(stderr, ENDS_NAME ": %s: %s\n", host, gai_strerror(r));
        exit(1);
    }
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    socklen_t len = found->ai_addrlen;
    freeaddrinfo(found);
    return len;
}

/* Descriptors enough for all connections. */
static inline void raise_descriptors(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = files.rlim_max < ENDS_DESCRIPTORS ? files.rlim_max : ENDS_DESCRIPTORS;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

#endif
