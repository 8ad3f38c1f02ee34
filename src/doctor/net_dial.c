/*
 * net_dial: hosts, dialled all at once, to see whether any answer comes.
 *
 * A host that refuses the connection has answered: it is there. No byte is sent
 * beyond the connection, which is closed at once.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include "base/clock.h"
#include "doctor/net_probe.h"

#define STEP_DIAL "dial hosts"

struct call {
    const struct net_target *target;
    const struct net_found *found;
    size_t next; /* which of its addresses is tried next */
    int fd, error;
    int64_t began_ms;
    bool is_done;
};

static socklen_t socket_address(const struct net_address *address, uint16_t port,
                                struct sockaddr_storage *ret)
{
    *ret = (struct sockaddr_storage){ .ss_family = address->family };
    if (address->family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)ret;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, address->bytes, 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ret;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, address->bytes, 16);
    return sizeof(*in6);
}

static void hang_up(struct call *call)
{
    if (call->fd >= 0)
        close(call->fd);
    call->fd = -1;
}

static void finish(struct call *call, int error, struct net_record *record)
{
    char text[NET_ADDRESS_TEXT + 64], address[NET_ADDRESS_TEXT];
    bool answered = error == 0 || error == ECONNREFUSED;
    hang_up(call);
    call->is_done = true;
    if (call->next)
        net_address_text(&call->found->addresses[call->next - 1], address);
    if (answered)
        snprintf(text, sizeof(text), "%s answered%s", address, error ? ", and refused" : "");
    else if (!call->next)
        snprintf(text, sizeof(text), "its address is not known");
    else
        snprintf(text, sizeof(text), "%s: %s", address, strerror(error));
    struct net_item *item = net_record_add(record, NET_CONNECT, call->target->probe.text.ptr,
                                           answered ? 0 : error, str_from(text));
    item->scope = call->target->scope;
    item->took_ms = clock_passed_ms() - call->began_ms;
}

/* Tries the next address; where there is none any more, the last error is what came of it. */
static void dial(struct call *call, struct net_record *record)
{
    hang_up(call);
    while (call->next < call->found->count) {
        struct sockaddr_storage to;
        const struct net_address *address = &call->found->addresses[call->next++];
        socklen_t len = socket_address(address, call->target->probe.port, &to);
        call->fd = socket(address->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (call->fd >= 0 &&
            (connect(call->fd, (struct sockaddr *)&to, len) == 0 || errno == EINPROGRESS))
            return; /* how it went is told by the socket */
        call->error = errno;
        hang_up(call);
        if (call->error == ECONNREFUSED)
            break;
    }
    finish(call, call->error, record);
}

static void look_at_call(struct call *call, struct net_record *record)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(call->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error == 0 || error == ECONNREFUSED)
        finish(call, error, record);
    else {
        call->error = error;
        dial(call, record);
    }
}

int net_dial_hosts(const struct net_targets *targets, const struct net_found *found,
                   struct net_record *record, struct err *err)
{
    _cleanup_(cleanup_free) struct call *calls = calloc(targets->count + 1, sizeof(*calls));
    _cleanup_(cleanup_free) struct pollfd *fds = calloc(targets->count + 1, sizeof(*fds));
    int64_t now = clock_passed_ms(), end = now + NET_CONNECT_MS;
    size_t count = 0, waiting = 1;
    if (!calls || !fds)
        return err_set(err, ERR_MEMORY, STEP_DIAL, "there is not enough memory");
    for (size_t i = 0; i < targets->count; i++) {
        if (targets->rows[i].probe.kind != PROBE_HOST)
            continue;
        calls[count] = (struct call){ .target = &targets->rows[i],
                                      .found = &found[i],
                                      .fd = -1,
                                      .error = ENOENT,
                                      .began_ms = now };
        dial(&calls[count++], record);
    }
    while (waiting && (now = clock_passed_ms()) < end) {
        waiting = 0;
        for (size_t i = 0; i < count; i++) {
            fds[i] = (struct pollfd){ .fd = calls[i].fd, .events = POLLOUT };
            waiting += !calls[i].is_done;
        }
        if (!waiting || poll(fds, count, (int)(end - now)) <= 0)
            continue;
        for (size_t i = 0; i < count; i++)
            if (!calls[i].is_done && fds[i].revents)
                look_at_call(&calls[i], record);
    }
    for (size_t i = 0; i < count; i++)
        if (!calls[i].is_done)
            finish(&calls[i], ETIMEDOUT, record);
    return 0;
}
