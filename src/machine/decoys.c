/* decoys: see the header. */
#include "machine/decoys.h"

#include <arpa/inet.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "machine/control.h"

#define STEP_DECOYS "make something for the probes to reach"
#define BACKLOG     64 /* others of the host may come by */
#define SOCKET_KIND (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)

static int failed(struct err *err)
{
    return err_set_errno(err, errno, STEP_DECOYS, "cannot listen");
}

static int listen_upstream(struct decoys *decoys, struct err *err)
{
    socklen_t len = sizeof(decoys->address);
    decoys->address =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    decoys->upstream = socket(AF_INET, SOCKET_KIND, 0);
    if (decoys->upstream < 0 ||
        bind(decoys->upstream, (struct sockaddr *)&decoys->address, len) < 0 ||
        listen(decoys->upstream, BACKLOG) < 0 ||
        getsockname(decoys->upstream, (struct sockaddr *)&decoys->address, &len) < 0)
        return failed(err);
    return 0;
}

/* An abstract name where it begins with a NUL. */
static int listen_unix(int *ret, const char *name, size_t len, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    memcpy(address.sun_path, name, len);
    *ret = socket(AF_UNIX, SOCKET_KIND, 0);
    if (*ret < 0 || bind(*ret, (struct sockaddr *)&address, size) < 0 || listen(*ret, BACKLOG) < 0)
        return failed(err);
    return 0;
}

static int listen_name(struct decoys *decoys, struct err *err)
{
    unsigned random[2];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random) ||
        getrandom(decoys->nonce, sizeof(decoys->nonce), 0) != (ssize_t)sizeof(decoys->nonce))
        return failed(err);
    int len = snprintf(decoys->name, sizeof(decoys->name), "%cagent-machine-probe-%08x%08x", 0,
                       random[0], random[1]);
    return listen_unix(&decoys->abstract, decoys->name, (size_t)len, err);
}

int decoys_open(struct decoys *decoys, const char *folder, const char *secret,
                struct probe_context *ret, struct err *err)
{
    struct stat status, namespace;
    *decoys = (struct decoys){ .upstream = -1, .abstract = -1 };
    int r = listen_upstream(decoys, err);
    if (r == 0)
        r = listen_name(decoys, err);
    if (r == 0 && (stat(folder, &status) < 0 || stat("/proc/self/ns/pid", &namespace) < 0))
        r = failed(err);
    if (r < 0) {
        decoys_close(decoys);
        return r;
    }
    /* One that is too long for a socket's name is one less to try. */
    int len = snprintf(decoys->path, sizeof(decoys->path), "%s/" CONTROL_SOCKET, folder);
    *ret = (struct probe_context){
        .secret_path = access(secret, R_OK) == 0 ? secret : NULL,
        .outside_folder = folder,
        .outside_device = status.st_dev,
        .outside_inode = status.st_ino,
        .upstream = (const struct sockaddr *)&decoys->address,
        .upstream_len = sizeof(decoys->address),
        .host_pid = getpid(),
        .pid_namespace = namespace.st_ino,
        .abstract_name = decoys->name + 1,
        .socket_path = len < (int)sizeof(decoys->path) ? decoys->path : NULL,
    };
    memcpy(ret->nonce, decoys->nonce, sizeof(ret->nonce));
    return 0;
}

bool decoys_reached(const struct decoys *decoys)
{
    return (decoys->upstream >= 0 && probes_reached(decoys->upstream, decoys->nonce)) ||
           (decoys->abstract >= 0 && probes_reached(decoys->abstract, decoys->nonce));
}

void decoys_close(struct decoys *decoys)
{
    cleanup_close(&decoys->upstream);
    cleanup_close(&decoys->abstract);
    *decoys = (struct decoys){ .upstream = -1, .abstract = -1 };
}
