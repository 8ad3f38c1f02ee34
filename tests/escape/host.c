/*
 * host: what a host has that a run must not reach, and who notices if it does.
 *
 * Listens where services of a desktop do, holds a secret open, in its working
 * folder and in its environment, has shared memory and a message queue, and
 * may be traced by whoever the kernel lets. Says where all that is (the
 * world), lives until SIGTERM, and then writes down each visit.
 */
#include "attempt.h"

#include <arpa/inet.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LISTENERS_MAX 16
#define SHARED_BYTES  4096

static struct {
    const char *names[LISTENERS_MAX];
    struct pollfd polls[LISTENERS_MAX];
    size_t count;
} listeners;

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "the victim cannot %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static void add_listener(const char *name, int fd)
{
    listeners.names[listeners.count] = name;
    listeners.polls[listeners.count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

static int listen_inet(const char *name, int type)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 &&
             (type == SOCK_DGRAM || listen(fd, 8) == 0) &&
             getsockname(fd, (struct sockaddr *)&address, &len) == 0,
         name);
    add_listener(name, fd);
    return ntohs(address.sin_port);
}

static void listen_unix(const char *name, int type, const char *path, bool is_abstract)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    must(len + is_abstract < sizeof(address.sun_path), "fit a socket's path");
    memcpy(address.sun_path + is_abstract, path, len);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + is_abstract + len);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 &&
             (type == SOCK_DGRAM || listen(fd, 8) == 0),
         name);
    add_listener(name, fd);
}

/* --- what it has --------------------------------------------------------------------------- */

static void have_sockets(FILE *out, const char *folder, const char *repository)
{
    static const char *const services[] = { "docker.sock", "bus", "agent.1", "tmux-default" };
    char path[TEXT_MAX];
    fprintf(out, "tcp=%d\n", listen_inet("tcp", SOCK_STREAM));
    fprintf(out, "udp=%d\n", listen_inet("udp", SOCK_DGRAM));
    snprintf(path, sizeof(path), "agent-machine-escape-%d", getpid());
    listen_unix("abstract", SOCK_STREAM, path, true);
    fprintf(out, "abstract=%s\n", path);
    snprintf(path, sizeof(path), "agent-machine-escape-datagram-%d", getpid());
    listen_unix("abstract-datagram", SOCK_DGRAM, path, true);
    fprintf(out, "datagram=%s\n", path);
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, services[i]);
        listen_unix(services[i], SOCK_STREAM, path, false);
    }
    snprintf(path, sizeof(path), "%s/host.sock", repository);
    listen_unix("socket in the repository", SOCK_STREAM, path, false);
}

static void have_memory(FILE *out, int *ret_shared)
{
    char name[64];
    struct mq_attr attributes = { .mq_maxmsg = 1, .mq_msgsize = 64 };
    key_t key = 0x414d0000 ^ getpid();
    *ret_shared = shmget(key, SHARED_BYTES, IPC_CREAT | IPC_EXCL | 0666);
    must(*ret_shared >= 0, "have shared memory");
    fprintf(out, "shm=%d\n", key);
    snprintf(name, sizeof(name), "/agent-machine-escape-%d", getpid());
    must(mq_open(name, O_RDWR | O_CREAT, 0666, &attributes) >= 0, "have a message queue");
    must(shm_open(name, O_RDWR | O_CREAT, 0666) >= 0, "have a file in /dev/shm");
    fprintf(out, "queue=%s\n", name);
}

static void lose_memory(int shared)
{
    char name[64];
    snprintf(name, sizeof(name), "/agent-machine-escape-%d", getpid());
    shmctl(shared, IPC_RMID, NULL);
    mq_unlink(name);
    shm_unlink(name);
}

/* --- who comes ----------------------------------------------------------------------------- */

static void write_visits(const char *folder)
{
    char path[TEXT_MAX];
    snprintf(path, sizeof(path), "%s/" FILE_OF_VISITS, folder);
    _cleanup_(cleanup_fclose) FILE *out = fopen(path, "we");
    must(out != NULL, "write down its visits");
    poll(listeners.polls, listeners.count, 0);
    for (size_t i = 0; i < listeners.count; i++)
        if (listeners.polls[i].revents)
            fprintf(out, "%s\n", listeners.names[i]);
}

/* Every signal but the one that ends it is a visit. */
static void wait_for_end(int signals, const char *folder)
{
    struct signalfd_siginfo info;
    char path[TEXT_MAX];
    while (read(signals, &info, sizeof(info)) == sizeof(info) && info.ssi_signo != SIGTERM) {
        snprintf(path, sizeof(path), "%s/" FILE_OF_VISITS ".signal", folder);
        close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
}

int host_main(const char *folder, const char *repository, const char *secret)
{
    char path[TEXT_MAX], ready[TEXT_MAX];
    int shared;
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    must(signals >= 0 && open(secret, O_RDONLY) >= 0, "open its secret");
    snprintf(path, sizeof(path), "%s/." FILE_OF_WORLD, folder);
    snprintf(ready, sizeof(ready), "%s/" FILE_OF_WORLD, folder);
    FILE *out = fopen(path, "we");
    must(out != NULL, "describe its world");
    fprintf(out, "pid=%d\ngroup=%d\nsecret=%s\nfolder=%s\n", getpid(), getpgrp(), secret, folder);
    have_sockets(out, folder, repository);
    have_memory(out, &shared);
    must(fclose(out) == 0 && rename(path, ready) == 0, "describe its world");
    wait_for_end(signals, folder);
    write_visits(folder);
    lose_memory(shared);
    return EXIT_SUCCESS;
}
