/* model_listen: see the header. */
#include "cmd/model_listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define STEP_LISTEN "listen for clients"
#define BACKLOG     1024

static bool read_port(const char *text, uint16_t usual, uint16_t *ret)
{
    char *end = NULL;
    errno = 0;
    unsigned long port = text ? strtoul(text, &end, 10) : usual;
    *ret = (uint16_t)port;
    return !errno && port <= UINT16_MAX && (!text || (!*end && end != text && *text != '-'));
}

static int listen_on_port(const char *text, uint16_t usual, struct model_listener *ret,
                          struct err *err)
{
    const int on = 1;
    uint16_t port;
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);
    if (!read_port(text, usual, &port))
        return err_set(err, ERR_USAGE, STEP_LISTEN, "--port takes a port; %s is none", text);
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    _cleanup_(cleanup_close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, size) < 0 ||
        listen(fd, BACKLOG) < 0) {
        if (errno == EADDRINUSE)
            return err_set(err, ERR_CONFLICT, STEP_LISTEN,
                           "port %u of this machine is taken; name another one with --port", port);
        return err_set_errno(err, errno, STEP_LISTEN, "cannot listen on port %u", port);
    }
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return err_set_errno(err, errno, STEP_LISTEN, "cannot tell the port");
    snprintf(ret->address, sizeof(ret->address), "http://127.0.0.1:%u", ntohs(address.sin_port));
    ret->fd = TAKE_FD(fd);
    return 0;
}

/* Whether a socket is one that a dead process left. */
static bool is_abandoned(const struct sockaddr_un *address)
{
    struct stat found;
    _cleanup_(cleanup_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && lstat(address->sun_path, &found) == 0 && S_ISSOCK(found.st_mode) &&
           connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
           errno == ECONNREFUSED;
}

static int listen_on_socket(const char *path, struct model_listener *ret, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    if (len == 0 || len > MODEL_SOCKET_PATH_MAX)
        return err_set(err, ERR_USAGE, STEP_LISTEN,
                       "--socket takes a path of at most %d characters", MODEL_SOCKET_PATH_MAX);
    memcpy(address.sun_path, path, len + 1);
    _cleanup_(cleanup_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set_errno(err, errno, STEP_LISTEN, "cannot make a socket");
    mode_t before = umask(0177);
    int r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    if (r < 0 && errno == EADDRINUSE && is_abandoned(&address) && unlink(path) == 0)
        r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    int failed = errno;
    umask(before);
    if (r < 0 && failed == EADDRINUSE)
        return err_set(err, ERR_CONFLICT, STEP_LISTEN,
                       "%s is there, and no socket that was left behind; name another place", path);
    if (r < 0)
        return err_set_errno(err, failed, STEP_LISTEN, "cannot listen at %s", path);
    memcpy(ret->socket, path, len + 1);
    snprintf(ret->address, sizeof(ret->address), "unix:%s", path);
    if (listen(fd, BACKLOG) < 0)
        return err_set_errno(err, errno, STEP_LISTEN, "cannot listen at %s", path);
    ret->fd = TAKE_FD(fd);
    return 0;
}

int model_listen(const char *socket, const char *port, uint16_t usual_port,
                 struct model_listener *ret, struct err *err)
{
    if (socket && port)
        return err_set(err, ERR_USAGE, STEP_LISTEN, "--socket and --port exclude each other");
    return socket ? listen_on_socket(socket, ret, err) : listen_on_port(port, usual_port, ret, err);
}

void model_listener_release(struct model_listener *listener)
{
    if (listener->socket[0])
        (void)!unlink(listener->socket);
    cleanup_close(&listener->fd);
}
