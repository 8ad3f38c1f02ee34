/*
 * flow_setup: a flow's way from the question to the connection; see flow.c.
 *
 * Theory of operation. The door is asked first. Where its answer wants TLS, the
 * client's hello is peeked at until it names the server: the target's name, or,
 * for an address that was dialled, a name that is permitted itself. Then the
 * addresses: the one dialled; or those that a layer gives to the name; or those
 * that are found outside. Each address that comes of a name is asked about, and
 * only permitted ones take part in the race. A corporate proxy is raced to
 * instead, and resolves for itself.
 *
 * Each function here ends in the next step, in a wait, or in the flow's end;
 * after any of them the flow may be gone.
 */
#include <sys/ioctl.h>

#include "authority/references.h"
#include "authority/secret.h"
#include "doors/network/client_hello.h"
#include "doors/network/flow_parts.h"

#define PROXY_SAID_BYTES_MAX (16 << 10) /* at once, with credentials */

/* --- memory --------------------------------------------------------------------------------- */

int setup_new(struct flow *flow, struct str first, const struct flow_answers *answers)
{
    struct setup *setup = calloc(1, sizeof(*setup) + first.len);
    if (!setup)
        return -ENOMEM;
    setup->flow = flow;
    setup->answers = answers;
    setup->first = str_make((char *)(setup + 1), first.len);
    if (first.len)
        memcpy(setup + 1, first.ptr, first.len);
    flow->setup = setup;
    return 0;
}

void setup_free(struct setup *setup)
{
    if (!setup)
        return;
    if (setup->query)
        outside_cancel(setup->query);
    race_stop(&setup->race);
    proxy_rounds_free(setup->rounds);
    if (setup->leg)
        tls_leg_free(setup->leg);
    free(setup);
}

bool setup_answer(struct flow *flow, size_t which)
{
    if (!flow->setup || !flow->setup->answers)
        return false;
    const struct flow_answers *answers = flow->setup->answers;
    const struct str *answer = (const void *)((const char *)answers + which);
    flow->setup->answers = NULL;
    /* A client that does not even take this is gone, which is heard of it. */
    (void)!send(flow->client.fd, answer->ptr, answer->len, MSG_NOSIGNAL);
    return true;
}

/* --- a corporate proxy ---------------------------------------------------------------------- */

/* What the server is called there: an address that was dialled stays one. */
static int say_by_route(struct flow *flow, const struct route *route)
{
    struct target target = flow->target;
    struct buf said = BUF_INIT_LIMIT(PROXY_SAID_BYTES_MAX);
    if (flow->by_address)
        target.name[0] = '\0';
    int r = upstream_proxy_say(&flow->setup->proxy, route, &target, &said);
    if (r == 0) {
        ssize_t n = send(flow->server.fd, said.data, said.len, MSG_NOSIGNAL);
        r = n == (ssize_t)said.len ? 0 : n < 0 ? -errno : -EMSGSIZE;
    }
    explicit_bzero(said.data, said.len); /* credentials may be in it */
    buf_release(&said);
    return r;
}

/* From then on libcurl speaks with the proxy. */
static void begin_rounds(struct flow *flow, const struct route *route, const struct secret *shown)
{
    struct target target = flow->target;
    struct err err;
    if (flow->by_address)
        target.name[0] = '\0';
    if (proxy_rounds_new(flow->server.fd, route, &target,
                         shown ? secret_value(shown) : str_make("", 0), &flow->setup->rounds,
                         &err) < 0)
        flow_refuse(flow, REFUSED_BY_PROXY, "%s", err.cause);
    else
        setup_hear_server(flow);
}

static void go_on_with_rounds(struct flow *flow)
{
    struct setup *setup = flow->setup;
    switch (proxy_rounds_turn(setup->rounds, setup->proxy.refusal)) {
    case UPSTREAM_PROXY_OPEN:
        flow_open(flow);
        return;
    case UPSTREAM_PROXY_REFUSED:
        flow_refuse(flow, REFUSED_BY_PROXY, "%s", setup->proxy.refusal);
        return;
    case UPSTREAM_PROXY_MORE:
    case UPSTREAM_PROXY_SAYS:
        return;
    }
}

/* Says what is to be said next; false where that has ended the flow, or somebody else speaks. */
static bool go_on_with_proxy(struct flow *flow)
{
    const struct door_asks *asks = flow->flows->options.asks;
    struct route route = flow->setup->permit.route;
    struct secret *shown = NULL;
    struct err err;
    if (asks->authorize && asks->authorize(asks->context, &route, &shown, &err) < 0) {
        flow_refuse(flow, REFUSED_BY_PROXY, "%s: %s", err.where, err.cause);
        return false;
    }
    if (route.proxy && !reference_proxy_takes_one_round(route.proxy)) {
        begin_rounds(flow, &route, shown);
        secret_free(shown);
        return false;
    }
    if (shown)
        route.authorization = secret_value(shown).ptr;
    int r = say_by_route(flow, &route);
    secret_free(shown);
    if (r == -EINVAL)
        flow_refuse(flow, REFUSED_BY_PROXY, "the credentials for the proxy cannot be used");
    else if (r < 0)
        flow_refuse(flow, REFUSED_BY_PROXY, "%s", strerror(-r));
    return r == 0;
}

static void has_no_tls(void *context, const char *why)
{
    flow_refuse(context, REFUSED_BY_PROXY, "%s", why);
}

/* From here on the flow's server is the plain end of a leg. False where that has ended the flow. */
static bool start_tls(struct flow *flow)
{
    struct flows *flows = flow->flows;
    struct loop *loop = flows->options.loop;
    int server = flow->server.fd, plain = -1;
    struct err err;
    if (!flows->legs && tls_legs_new(loop, flows->options.references, &flows->legs, &err) < 0) {
        flow_refuse(flow, REFUSED_BY_PROXY, "%.200s", err.cause);
        return false;
    }
    loop_watch_stop(loop, &flow->server);
    int r = tls_leg_new(flows->legs, server, flow->setup->permit.route.host, has_no_tls, flow,
                        &plain, &flow->setup->leg);
    if (r == 0)
        r = loop_watch(loop, &flow->server, plain, PUMP_EVENTS);
    else
        close(server);
    if (r == 0) {
        flow->pump.sockets[PUMP_SERVER] = (struct pump_socket){ .fd = plain, .writable = true };
        return true;
    }
    if (plain >= 0)
        close(plain);
    flow_refuse(flow, REFUSED_LIMIT, "%s", strerror(-r));
    return false;
}

/* Takes from the socket what has been read by peeking. */
static bool consume(int fd, char *bytes, size_t len)
{
    return recv(fd, bytes, len, 0) == (ssize_t)len;
}

void setup_hear_server(struct flow *flow)
{
    char *bytes = pump_pool_buffer(flow->flows->pool);
    if (flow->setup->rounds) {
        go_on_with_rounds(flow);
        return;
    }
    for (;;) { /* ends: each round takes one of the few steps of a proxy */
        ssize_t n = recv(flow->server.fd, bytes, UPSTREAM_PROXY_ANSWER_BYTES_MAX, MSG_PEEK);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            flow_refuse(flow, REFUSED_BY_PROXY, "it ended the connection");
            return;
        }
        struct setup *setup = flow->setup;
        size_t used = 0;
        enum upstream_proxy_answer answer =
            upstream_proxy_hear(&setup->proxy, str_make(bytes, (size_t)n), &used);
        if (answer == UPSTREAM_PROXY_MORE && !flow->pump.sockets[PUMP_SERVER].to_the_end)
            return;
        if (answer == UPSTREAM_PROXY_MORE || answer == UPSTREAM_PROXY_REFUSED) {
            flow_refuse(flow, REFUSED_BY_PROXY, "%s",
                        setup->proxy.refusal[0] ? setup->proxy.refusal
                                                : "it ended within its answer");
            return;
        }
        if (!consume(flow->server.fd, bytes, used)) {
            flow_refuse(flow, REFUSED_BY_PROXY, "its answer cannot be read");
            return;
        }
        if (answer == UPSTREAM_PROXY_OPEN) {
            flow_open(flow);
            return;
        }
        if (!go_on_with_proxy(flow))
            return;
    }
}

/* --- connecting ----------------------------------------------------------------------------- */

static void ran(struct race *race, int r)
{
    struct flow *flow = LOOP_OWNER(race, struct setup, race)->flow;
    if (r < 0) {
        flow_refuse(flow, REFUSED_UNREACHABLE, "%s", strerror(-r));
        return;
    }
    flow->pump.sockets[PUMP_SERVER].fd = flow->server.fd;
    if (flow->setup->permit.route.kind == ROUTE_DIRECT) {
        flow_open(flow);
        return;
    }
    flow_enter(flow, FLOW_PROXY);
    flow_set_due(flow, flow->flows->limits.connect_ms);
    if (flow->setup->permit.route.kind != ROUTE_HTTPS_PROXY || start_tls(flow))
        (void)go_on_with_proxy(flow);
}

static void connect_to(struct flow *flow, const struct address_range *addresses, size_t count,
                       uint16_t port)
{
    int waiting = 0;
    flow_enter(flow, FLOW_CONNECTING);
    flow_set_due(flow, flow->flows->limits.connect_ms);
    (void)ioctl(flow->client.fd, FIONREAD, &waiting);
    const struct race_options options = {
        .loop = flow->flows->options.loop,
        .addresses = addresses,
        .count = count,
        .port = port,
        .speaks_first = waiting > 0 || flow->setup->permit.route.kind != ROUTE_DIRECT,
        .winner = &flow->server,
        .events = PUMP_EVENTS,
        .done = ran,
    };
    int r = race_start(&flow->setup->race, &options);
    if (r < 0)
        flow_refuse(flow, REFUSED_UNREACHABLE, "%s", strerror(-r));
}

/* Addresses that stand for the target's name: those are left that the door permits. */
static void check_addresses(struct flow *flow, const struct address_range *addresses, size_t count)
{
    const struct door_asks *asks = flow->flows->options.asks;
    struct address_range permitted[RACE_ADDRESSES_MAX];
    size_t left = 0;
    for (size_t i = 0; i < count && left < ARRAY_LEN(permitted); i++) {
        if (asks->address(asks->context, &flow->target, &addresses[i]))
            permitted[left++] = addresses[i];
    }
    flow->by_resolution = true;
    if (left)
        connect_to(flow, permitted, left, flow->target.port);
    else if (count)
        flow_refuse(flow, REFUSED_ADDRESS, "none of its addresses is permitted");
    else
        flow_refuse(flow, REFUSED_UNRESOLVED, "it has no address");
}

bool setup_is_permitted(struct flow *flow)
{
    const struct door_asks *asks = flow->flows->options.asks;
    const struct race *race = &flow->setup->race;
    for (size_t i = 0; i < race->count; i++) {
        if (!asks->address(asks->context, &flow->target, &race->addresses[i]))
            return false;
    }
    return true;
}

/* --- resolving ------------------------------------------------------------------------------ */

static void resolved(void *context, int r, const struct address_range *addresses, size_t count)
{
    struct flow *flow = context;
    const struct route *route = &flow->setup->permit.route;
    flow->setup->query = NULL;
    if (r < 0)
        flow_refuse(flow, REFUSED_UNRESOLVED, "%s", outside_text(r));
    else if (route->kind == ROUTE_DIRECT)
        check_addresses(flow, addresses, count);
    else
        connect_to(flow, addresses, count, route->port);
}

static void resolve(struct flow *flow, const char *name)
{
    flow_enter(flow, FLOW_RESOLVING);
    flow_set_due(flow, flow->flows->limits.connect_ms);
    int r =
        outside_resolve(flow->flows->options.outside, name, resolved, flow, &flow->setup->query);
    if (r < 0)
        flow_refuse(flow, REFUSED_UNRESOLVED, "%s", outside_text(r));
}

static void find_addresses(struct flow *flow)
{
    const struct permit *permit = &flow->setup->permit;
    struct address_range proxy;
    if (permit->route.kind != ROUTE_DIRECT) {
        upstream_proxy_init(&flow->setup->proxy, &permit->route);
        if (address_range_read(str_from(permit->route.host), &proxy))
            connect_to(flow, &proxy, 1, permit->route.port);
        else
            resolve(flow, permit->route.host);
    } else if (flow->by_address) {
        connect_to(flow, &flow->target.address, 1, flow->target.port);
    } else if (permit->fixed_count) {
        check_addresses(flow, permit->fixed, permit->fixed_count);
    } else {
        resolve(flow, flow->target.name);
    }
}

/* --- the hello ------------------------------------------------------------------------------ */

static void check_name(struct flow *flow, const char *name)
{
    const struct door_asks *asks = flow->flows->options.asks;
    struct permit permit = { 0 };
    if (!flow->by_address) {
        if (strcmp(flow->target.name, name) == 0)
            find_addresses(flow);
        else
            flow_refuse(flow, REFUSED_OTHER_NAME, "%s", name);
        return;
    }
    snprintf(flow->target.name, sizeof(flow->target.name), "%s", name);
    asks->connect(asks->context, &flow->target, &permit);
    if (permit.allowed)
        find_addresses(flow);
    else
        flow_deny(flow);
}

void setup_hear_client(struct flow *flow)
{
    struct host_name name;
    char *bytes = pump_pool_buffer(flow->flows->pool);
    ssize_t n = recv(flow->client.fd, bytes, CLIENT_HELLO_BYTES_MAX, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) { /* gone, before it said anything */
        flow_break(flow);
        return;
    }
    switch (client_hello_read(str_make(bytes, (size_t)n), &name)) {
    case CLIENT_HELLO_MORE:
        if (flow->pump.sockets[PUMP_CLIENT].to_the_end)
            flow_refuse(flow, REFUSED_NOT_TLS, "the client ended within its hello");
        return;
    case CLIENT_HELLO_NOT_TLS:
        flow_refuse(flow, REFUSED_NOT_TLS, "the client's first bytes are no TLS hello");
        return;
    case CLIENT_HELLO_TOO_LONG:
        flow_refuse(flow, REFUSED_LIMIT, "the TLS hello is longer than %d bytes",
                    CLIENT_HELLO_BYTES_MAX);
        return;
    case CLIENT_HELLO_ODD_NAME:
        flow_refuse(flow, REFUSED_OTHER_NAME, "several, or what is no host name");
        return;
    case CLIENT_HELLO_NO_NAME:
        if (flow->by_address)
            find_addresses(flow);
        else
            flow_refuse(flow, REFUSED_NO_NAME, "the TLS hello names no server");
        return;
    case CLIENT_HELLO_NAME:
        check_name(flow, name.text);
        return;
    }
}

/* --- the first step, and the last ----------------------------------------------------------- */

void setup_begin(struct flow *flow)
{
    const struct door_asks *asks = flow->flows->options.asks;
    struct setup *setup = flow->setup;
    flow->by_address = !flow->target.name[0];
    asks->connect(asks->context, &flow->target, &setup->permit);
    if (setup->permit.asked) {
        if (flow->state == FLOW_ASKED)
            return;
        flow_enter(flow, FLOW_ASKED);
        flow_set_due(flow, flow->flows->limits.asked_ms);
    } else if (!setup->permit.allowed) {
        flow_deny(flow);
    } else if (!setup->permit.tls) {
        find_addresses(flow);
    } else if (setup->first.len) {
        flow_refuse(flow, REFUSED_NOT_TLS, "the client spoke to a proxy without TLS");
    } else {
        flow_enter(flow, FLOW_HELLO);
        flow_set_due(flow, flow->flows->limits.hello_ms);
        /* One that asked in words says its hello only when it has been answered. */
        (void)setup_answer(flow, offsetof(struct flow_answers, opened));
        setup_hear_client(flow);
    }
}

void setup_hear_late(struct flow *flow)
{
    switch ((enum flow_state)flow->state) {
    case FLOW_ASKED:
        flow_deny(flow);
        return;
    case FLOW_HELLO:
        flow_refuse(flow, REFUSED_NOT_TLS, "the client named no server in time");
        return;
    case FLOW_RESOLVING:
        flow_refuse(flow, REFUSED_UNRESOLVED, "no name server answered in time");
        return;
    case FLOW_CONNECTING:
        flow_refuse(flow, REFUSED_UNREACHABLE, "nobody answered in time");
        return;
    case FLOW_PROXY:
        flow_refuse(flow, REFUSED_BY_PROXY, "the proxy did not answer in time");
        return;
    case FLOW_FREE:
    case FLOW_ACCEPTED:
    case FLOW_OPEN:
    case FLOW_CLIENT_ENDED:
    case FLOW_SERVER_ENDED:
    case FLOW_ENDED:
    case FLOW_STATE_COUNT:
        assert(!"no other state waits for a setup");
    }
}
