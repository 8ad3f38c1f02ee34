/*
 * flows: all flows of a door: how connections get in, and what concerns all.
 *
 * Theory of operation. A listener is watched while there is room for one more
 * flow. When there is none, or none can be accepted, all listeners rest until a
 * flow ends or a moment has passed; connections wait in the kernel's queues,
 * which are bounded, and what is beyond them is the client's to try again.
 *
 * A connection that was redirected says what it was meant for
 * (SO_ORIGINAL_DST); any other arrived at what was dialled, which a listener
 * for any address (IP_TRANSPARENT) is known by.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "doors/network/flow_parts.h"

#define STEP_FLOWS       "relay connections"
#define ACCEPTS_MAX      64  /* of one event: then others have their turn */
#define RETRY_MS         100 /* after there were no descriptors, or no memory */
#define DESCRIPTORS_KEPT 64  /* for everything that is no flow */
#define ORIGINAL_DST     80  /* SO_ORIGINAL_DST of IPv4's level, IP6T_SO_ORIGINAL_DST of IPv6's */

const struct flow_limits flow_limits_default = {
    .asked_ms = FLOW_ASKED_MS,
    .hello_ms = FLOW_HELLO_MS,
    .connect_ms = FLOW_CONNECT_MS,
    .idle_ms = FLOW_IDLE_MS,
    .half_closed_ms = FLOW_HALF_CLOSED_MS,
    .total_ms = FLOW_TOTAL_MS,
    .flows = FLOWS_MAX,
};

/* --- room ------------------------------------------------------------------------------------- */

size_t flows_count(const struct flows *flows, enum flow_state state)
{
    return flows->counts[state];
}

const struct flow_limits *flows_limits(const struct flows *flows)
{
    return &flows->limits;
}

static size_t count_live(const struct flows *flows)
{
    return flows->slab_count * FLOW_SLAB - flows->counts[FLOW_FREE];
}

bool flows_has_room(const struct flows *flows)
{
    return count_live(flows) < flows->limits.flows;
}

int flows_make_free(struct flows *flows)
{
    if (flows->free)
        return 0;
    if (flows->slab_count == ARRAY_LEN(flows->slabs))
        return -ENOBUFS;
    struct flow *slab = calloc(FLOW_SLAB, sizeof(*slab));
    if (!slab)
        return -ENOMEM;
    flows->slabs[flows->slab_count++] = slab;
    flows->counts[FLOW_FREE] += FLOW_SLAB;
    for (size_t i = FLOW_SLAB; i-- > 0;) {
        slab[i].flows = flows;
        slab[i].next_free = flows->free;
        flows->free = &slab[i];
    }
    return 0;
}

/* --- accepting is stopped, and goes on ------------------------------------------------------ */

static void pause_accepting(struct flows *flows)
{
    flows->paused = true;
    for (size_t i = 0; i < flows->listener_count; i++)
        loop_watch_stop(flows->options.loop, &flows->listeners[i].watch);
}

static void retry_later(struct flows *flows);

static void go_on_accepting(struct flows *flows)
{
    flows->paused = false;
    for (size_t i = 0; i < flows->listener_count; i++) {
        struct flow_listener *listener = &flows->listeners[i];
        if (listener->watch.fd < 0 &&
            loop_watch(flows->options.loop, &listener->watch, listener->fd, EPOLLIN) < 0)
            retry_later(flows);
    }
}

static void retry_due(struct loop_timer *timer)
{
    go_on_accepting(LOOP_OWNER(timer, struct flows, retry));
}

static void retry_later(struct flows *flows)
{
    flows->paused = true;
    /* Without memory for a timer the next flow that ends goes on. */
    (void)!loop_timer_set(flows->options.loop, &flows->retry, clock_passed_ms() + RETRY_MS);
}

void flows_go_on(struct flows *flows)
{
    if (flows->paused && flows_has_room(flows))
        go_on_accepting(flows);
}

/* --- accepting ------------------------------------------------------------------------------ */

bool flow_read_address(const struct sockaddr_storage *from, struct address_range *ret,
                       uint16_t *ret_port)
{
    const struct sockaddr_in *ipv4 = (const void *)from;
    const struct sockaddr_in6 *ipv6 = (const void *)from;
    if (from->ss_family != AF_INET && from->ss_family != AF_INET6)
        return false;
    bool is_ipv6 = from->ss_family == AF_INET6;
    const unsigned char *address =
        is_ipv6 ? ipv6->sin6_addr.s6_addr : (const void *)&ipv4->sin_addr;
    *ret_port = ntohs(is_ipv6 ? ipv6->sin6_port : ipv4->sin_port);
    if (is_ipv6 && IN6_IS_ADDR_V4MAPPED(&ipv6->sin6_addr)) {
        is_ipv6 = false;
        address += 12;
    }
    *ret = (struct address_range){ .is_ipv6 = is_ipv6, .prefix_bits = is_ipv6 ? 128 : 32 };
    memcpy(ret->address, address, is_ipv6 ? 16 : 4);
    return true;
}

/* Whether connections to any address arrive at it as they were dialled. */
static bool is_for_any_address(int listener)
{
    int ipv4 = 0, ipv6 = 0;
    socklen_t len = sizeof(ipv4);
    (void)getsockopt(listener, SOL_IP, IP_TRANSPARENT, &ipv4, &len);
    (void)getsockopt(listener, SOL_IPV6, IPV6_TRANSPARENT, &ipv6, &len);
    return ipv4 || ipv6;
}

/* What the client dialled: as it was before it was redirected, or where it arrived. */
static bool read_dialled(const struct flow_listener *listener, int client,
                         struct address_range *ret, uint16_t *ret_port)
{
    static const int levels[] = { SOL_IP, SOL_IPV6 };
    struct sockaddr_storage dialled;
    for (size_t i = 0; !listener->is_for_any && i < ARRAY_LEN(levels); i++) {
        socklen_t len = sizeof(dialled);
        if (getsockopt(client, levels[i], ORIGINAL_DST, &dialled, &len) == 0)
            return flow_read_address(&dialled, ret, ret_port);
    }
    socklen_t len = sizeof(dialled);
    return getsockname(client, (struct sockaddr *)&dialled, &len) == 0 &&
           flow_read_address(&dialled, ret, ret_port);
}

void flows_adopt(struct flows *flows, int client, const struct target *target, struct str first,
                 const struct flow_answers *answers)
{
    const struct flows_options *options = &flows->options;
    struct target meant = *target;
    struct flow *flow = NULL;
    if (!flows_has_room(flows) || flow_take(flows, client, first, answers, &flow) < 0) {
        if (answers)
            (void)!send(client, answers->failed.ptr, answers->failed.len, MSG_NOSIGNAL);
        close(client);
        return;
    }
    flow->target = *target;
    if (!target->name[0] &&
        !options->target_of(options->context, &target->address, target->port, &meant)) {
        flow_refuse(flow, REFUSED_BY_POLICY, "the address stands for no name");
        return;
    }
    flow->target = meant;
    setup_begin(flow);
}

static void hear_listener(struct loop_watch *watch, uint32_t events)
{
    const struct flow_listener *listener = LOOP_OWNER(watch, struct flow_listener, watch);
    struct flows *flows = listener->flows;
    (void)events;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        if (!flows_has_room(flows)) {
            pause_accepting(flows);
            return;
        }
        struct target dialled = { 0 };
        int client = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client >= 0 && read_dialled(listener, client, &dialled.address, &dialled.port)) {
            flows_adopt(flows, client, &dialled, STR(""), NULL);
        } else if (client >= 0) {
            close(client);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            pause_accepting(flows);
            retry_later(flows);
            return;
        }
    }
}

void flows_prepare_listener(int listener)
{
    static const char congestion[] = "reno"; /* there is none: the way from inside is this host */
    int one = 1;
    (void)setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, congestion, sizeof(congestion) - 1);
}

int flows_accept_from(struct flows *flows, int listener, struct err *err)
{
    if (flows->listener_count == FLOW_LISTENERS_MAX)
        return err_set(err, ERR_LIMIT, STEP_FLOWS, "there are more listeners than %d",
                       FLOW_LISTENERS_MAX);
    struct flow_listener *to = &flows->listeners[flows->listener_count];
    *to = (struct flow_listener){ .watch = { .fd = -1, .ready = hear_listener },
                                  .fd = listener,
                                  .is_for_any = is_for_any_address(listener),
                                  .flows = flows };
    flows_prepare_listener(listener);
    int r = flows->paused ? 0 : loop_watch(flows->options.loop, &to->watch, listener, EPOLLIN);
    if (r < 0)
        return err_set_errno(err, -r, STEP_FLOWS, "a listener cannot be waited for");
    flows->listener_count++;
    return 0;
}

/* --- all of them ---------------------------------------------------------------------------- */

void flows_ask_again(struct flows *flows)
{
    for (size_t i = 0; i < flows->slab_count * FLOW_SLAB; i++) {
        struct flow *flow = &flows->slabs[i / FLOW_SLAB][i % FLOW_SLAB];
        if (flow->state == FLOW_ASKED)
            setup_begin(flow);
        else if (flow->state != FLOW_FREE && !flow_is_permitted(flow))
            flow_break(flow);
    }
}

void flows_go_on_asked(struct flows *flows)
{
    for (size_t i = 0; flows->counts[FLOW_ASKED] && i < flows->slab_count * FLOW_SLAB; i++) {
        struct flow *flow = &flows->slabs[i / FLOW_SLAB][i % FLOW_SLAB];
        if (flow->state == FLOW_ASKED)
            setup_begin(flow);
    }
}

/* As many flows as there can be descriptors for: each has two. */
static size_t flows_affordable(size_t wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur == RLIM_INFINITY)
        return wanted;
    size_t affordable =
        files.rlim_cur > DESCRIPTORS_KEPT ? (files.rlim_cur - DESCRIPTORS_KEPT) / 2 : 0;
    affordable = affordable ? affordable : 1;
    return wanted < affordable ? wanted : affordable;
}

int flows_new(const struct flows_options *options, struct flows **ret, struct err *err)
{
    struct flows *flows = calloc(1, sizeof(*flows));
    if (!flows)
        return err_set(err, ERR_MEMORY, STEP_FLOWS, "there is not enough memory");
    int r = pump_pool_new(&flows->pool, err);
    if (r < 0) {
        free(flows);
        return r;
    }
    flows->options = *options;
    flows->limits = options->limits ? *options->limits : flow_limits_default;
    flows->limits.flows = flows_affordable(flows->limits.flows);
    flows->retry.due = retry_due;
    *ret = flows;
    return 0;
}

void flows_free(struct flows *flows)
{
    if (!flows)
        return;
    pause_accepting(flows);
    loop_timer_stop(flows->options.loop, &flows->retry);
    flows->listener_count = 0;
    for (size_t i = 0; i < flows->slab_count * FLOW_SLAB; i++) {
        struct flow *flow = &flows->slabs[i / FLOW_SLAB][i % FLOW_SLAB];
        if (flow->state != FLOW_FREE)
            flow_break(flow);
    }
    flows_end_carriers(flows); /* they may look at a flow that has ended */
    for (size_t i = 0; i < flows->slab_count; i++)
        free(flows->slabs[i]);
    tls_legs_free(flows->legs);
    pump_pool_free(flows->pool);
    free(flows);
}
