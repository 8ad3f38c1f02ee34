/*
 * flow: see the header. What happens before a flow is open is in flow_setup.c,
 * how bytes are moved in pump.c.
 *
 * Theory of operation. A flow takes these states, each on one event:
 *
 *     accepted -> hello        the rule wants TLS: the client is to name its server first
 *              -> resolving    a name, which is asked for outside
 *              -> connecting   an address, or a name whose addresses a layer gives
 *              -> asked        a layer leaves it to a person, who is being asked
 *     asked -> hello, resolving, connecting
 *     hello -> resolving, connecting
 *     resolving -> connecting  to those of the addresses that the door permits
 *     connecting -> proxy      where a corporate proxy carries it
 *                -> open
 *     proxy -> open
 *     open -> client-ended, server-ended   one has said all that it will say
 *
 * and each of them -> ended -> free. The table `transitions` is all of it, and
 * flow_enter the one function that changes a state. Nothing is connected before
 * the door has permitted it and has that on record; nothing of the client's is
 * read before the flow is open, except by looking at it (MSG_PEEK), so that the
 * server gets all of it.
 *
 * Flows lie in slabs and are used again. Each has one timer, for the time that
 * its state may take; while it is open the timer looks whether anything has
 * moved, and is not touched when something does.
 *
 * Invariants: a flow has a setup exactly from accepted to open; a refused
 * client is reset or answered, and no server has heard of it; a flow that was
 * ended is not touched again by whoever ended it.
 *
 * Threats: the client is hostile. It can take up to `limits.flows` flows, each
 * for no longer than a state's time; then nothing is accepted until one ends,
 * and who waits is the client's own. A server that is slow, or a client, holds
 * what pump.h says.
 */
#include "doors/network/flow_parts.h"

#include "base/clock.h"

#define DRAINS_MAX 16 /* buffers */

/* --- states -------------------------------------------------------------------------------- */

#define TO(state) (1u << (state))
static const unsigned transitions[] = {
    [FLOW_FREE] = TO(FLOW_ACCEPTED),
    [FLOW_ACCEPTED] =
        TO(FLOW_ASKED) | TO(FLOW_HELLO) | TO(FLOW_RESOLVING) | TO(FLOW_CONNECTING) | TO(FLOW_ENDED),
    [FLOW_ASKED] = TO(FLOW_HELLO) | TO(FLOW_RESOLVING) | TO(FLOW_CONNECTING) | TO(FLOW_ENDED),
    [FLOW_HELLO] = TO(FLOW_RESOLVING) | TO(FLOW_CONNECTING) | TO(FLOW_ENDED),
    [FLOW_RESOLVING] = TO(FLOW_CONNECTING) | TO(FLOW_ENDED),
    [FLOW_CONNECTING] = TO(FLOW_PROXY) | TO(FLOW_OPEN) | TO(FLOW_ENDED),
    [FLOW_PROXY] = TO(FLOW_OPEN) | TO(FLOW_ENDED),
    [FLOW_OPEN] = TO(FLOW_CLIENT_ENDED) | TO(FLOW_SERVER_ENDED) | TO(FLOW_ENDED),
    [FLOW_CLIENT_ENDED] = TO(FLOW_ENDED),
    [FLOW_SERVER_ENDED] = TO(FLOW_ENDED),
    [FLOW_ENDED] = TO(FLOW_FREE),
};
_Static_assert(ARRAY_LEN(transitions) == FLOW_STATE_COUNT, "each state has its transitions");

void flow_enter(struct flow *flow, enum flow_state state)
{
    assert(transitions[flow->state] & TO(state));
    flow->flows->counts[flow->state]--;
    flow->flows->counts[state]++;
    flow->state = (unsigned char)state;
}

const char *flow_state_name(enum flow_state state)
{
    static const char *const names[] = {
#define X(state, name) [state] = name,
        FLOW_STATE_TABLE(X)
#undef X
    };
    return names[state];
}

/* --- from its beginning to its end ---------------------------------------------------------- */

static void hear_client(struct loop_watch *watch, uint32_t events);
static void hear_server(struct loop_watch *watch, uint32_t events);
static void hear_late(struct loop_timer *timer);

int flow_take(struct flows *flows, int client, struct str first, const struct flow_answers *answers,
              struct flow **ret)
{
    int r = flows_make_free(flows);
    if (r < 0)
        return r;
    struct flow *flow = flows->free;
    struct flow *next_free = flow->next_free;
    *flow = (struct flow){ .flows = flows,
                           .client = { .fd = -1, .ready = hear_client },
                           .server = { .fd = -1, .ready = hear_server },
                           .timer = { .due = hear_late } };
    flow->next_free = next_free;
    r = setup_new(flow, first, answers);
    if (r < 0)
        return r;
    r = loop_timer_set(flows->options.loop, &flow->timer, INT64_MAX);
    if (r == 0)
        r = loop_watch(flows->options.loop, &flow->client, client, PUMP_EVENTS);
    if (r < 0) {
        loop_timer_stop(flows->options.loop, &flow->timer);
        setup_free(TAKE_PTR(flow->setup));
        return r;
    }
    flows->free = next_free;
    pump_init(&flow->pump, flows->pool, client, -1);
    flow_enter(flow, FLOW_ACCEPTED);
    *ret = flow;
    return 0;
}

static void close_socket(struct flow *flow, struct loop_watch *watch, bool reset)
{
    static const struct linger at_once = { .l_onoff = 1 };
    int fd = watch->fd;
    if (fd < 0)
        return;
    loop_watch_stop(flow->flows->options.loop, watch);
    if (reset)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

/* What it still says would reset it, and take with it the answer that it was given. */
static void drain_client(struct flow *flow)
{
    char *buffer = pump_pool_buffer(flow->flows->pool);
    (void)shutdown(flow->client.fd, SHUT_WR);
    for (int i = 0; i < DRAINS_MAX && recv(flow->client.fd, buffer, PUMP_BYTES, 0) > 0; i++)
        continue;
}

static void end(struct flow *flow, bool reset)
{
    struct flows *flows = flow->flows;
    flow_bring_back(flow);
    flow_enter(flow, FLOW_ENDED);
    loop_timer_stop(flows->options.loop, &flow->timer);
    setup_free(TAKE_PTR(flow->setup));
    pump_release(&flow->pump);
    close_socket(flow, &flow->client, reset);
    close_socket(flow, &flow->server, reset);
    flow_enter(flow, FLOW_FREE);
    flow->next_free = flows->free;
    flows->free = flow;
    flows_go_on(flows);
}

void flow_break(struct flow *flow)
{
    end(flow, true);
}

/* A client that is owed an answer gets one; any other is reset. */
static void end_with(struct flow *flow, size_t answer)
{
    bool answered = setup_answer(flow, answer);
    if (answered)
        drain_client(flow);
    end(flow, !answered);
}

void flow_deny(struct flow *flow)
{
    end_with(flow, offsetof(struct flow_answers, denied));
}

void flow_refuse(struct flow *flow, enum door_refusal refusal, const char *format, ...)
{
    const struct door_asks *asks = flow->flows->options.asks;
    char detail[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    asks->refused(asks->context, &flow->target, refusal, detail);
    end_with(flow, offsetof(struct flow_answers, failed));
}

/* --- open ----------------------------------------------------------------------------------- */

/* Its timer has been set since it began, or was just due: there is room for it. */
void flow_set_due(struct flow *flow, int64_t after_ms)
{
    (void)!loop_timer_set(flow->flows->options.loop, &flow->timer, clock_passed_ms() + after_ms);
}

static void note_end(struct flow *flow)
{
    if (flow->state != FLOW_OPEN)
        return;
    if (flow->pump.sockets[PUMP_CLIENT].ended)
        flow_enter(flow, FLOW_CLIENT_ENDED);
    else if (flow->pump.sockets[PUMP_SERVER].ended)
        flow_enter(flow, FLOW_SERVER_ENDED);
    else
        return;
    flow_set_due(flow, flow->flows->limits.half_closed_ms);
}

void flow_conclude(struct flow *flow, enum pump_state outcome)
{
    switch (outcome) {
    case PUMP_HAS_MORE:
        flow->busy = true;
        flow_set_due(flow, 0);
        return;
    case PUMP_WAITS:
        note_end(flow);
        if (flow->state == FLOW_OPEN)
            flow_lasts(flow);
        return;
    case PUMP_ENDED:
        end(flow, false);
        return;
    case PUMP_BROKEN:
        end(flow, true);
        return;
    case PUMP_FULL:
        flow_refuse(flow, REFUSED_LIMIT, "more is held for slow readers than the door holds");
        return;
    }
}

static void move(struct flow *flow)
{
    flow_note_active(flow);
    flow_conclude(flow, pump_move(&flow->pump));
}

void flow_open(struct flow *flow)
{
    struct setup *setup = flow->setup;
    struct use *use = setup->permit.use;
    if (pump_put_first(&flow->pump, setup->first) < 0) {
        flow_refuse(flow, REFUSED_LIMIT, "there is no room for its first bytes");
        return;
    }
    (void)setup_answer(flow, offsetof(struct flow_answers, opened));
    if (use) {
        use->connections++;
        flow->pump.counts[PUMP_CLIENT] = &use->sent_bytes;
        flow->pump.counts[PUMP_SERVER] = &use->received_bytes;
    }
    if (setup->leg)
        tls_leg_let_go(TAKE_PTR(setup->leg));
    setup_free(TAKE_PTR(flow->setup));
    flow_enter(flow, FLOW_OPEN);
    flow->opened_ms = clock_passed_ms();
    flow_set_due(flow, flow->flows->limits.idle_ms);
    move(flow);
}

/* --- what is heard -------------------------------------------------------------------------- */

static void hear_client(struct loop_watch *watch, uint32_t events)
{
    struct flow *flow = LOOP_OWNER(watch, struct flow, client);
    pump_hear(&flow->pump, PUMP_CLIENT, events);
    if (flow->carried_by)
        flow_carry(flow);
    else if (flow->state >= FLOW_OPEN)
        move(flow);
    else if (events & (EPOLLERR | EPOLLHUP))
        flow_break(flow);
    else if (flow->state == FLOW_HELLO)
        setup_hear_client(flow);
}

static void hear_server(struct loop_watch *watch, uint32_t events)
{
    struct flow *flow = LOOP_OWNER(watch, struct flow, server);
    if (flow->carried_by) {
        pump_hear(&flow->pump, PUMP_SERVER, events);
        flow_carry(flow);
        return;
    }
    bool failed = flow->state == FLOW_CONNECTING && (events & (EPOLLERR | EPOLLHUP));
    if (!failed) /* another socket may take this one's place */
        pump_hear(&flow->pump, PUMP_SERVER, events);
    if (flow->state >= FLOW_OPEN)
        move(flow);
    else if (flow->state == FLOW_CONNECTING)
        race_hear(&flow->setup->race, events);
    else
        setup_hear_server(flow);
}

static void hear_late(struct loop_timer *timer)
{
    struct flow *flow = LOOP_OWNER(timer, struct flow, timer);
    const struct flow_limits *limits = &flow->flows->limits;
    if (flow->state < FLOW_OPEN) {
        setup_hear_late(flow);
        return;
    }
    int64_t now = clock_passed_ms();
    int64_t quiet_ms = flow->state == FLOW_OPEN ? limits->idle_ms : limits->half_closed_ms;
    int64_t idle_left = __atomic_load_n(&flow->active_ms, __ATOMIC_RELAXED) + quiet_ms - now;
    int64_t total_left = flow->opened_ms + limits->total_ms - now;
    if (total_left <= 0) {
        flow_refuse(flow, REFUSED_LIMIT, "it was open for %lld s", limits->total_ms / 1000LL);
        return;
    }
    if (idle_left <= 0 && !flow->busy) {
        flow_refuse(flow, REFUSED_LIMIT, "nothing was sent for %lld s", quiet_ms / 1000LL);
        return;
    }
    flow_set_due(flow, idle_left < total_left ? idle_left : total_left);
    if (flow->busy) {
        flow->busy = false;
        move(flow);
    }
}

/* --- asked again ------------------------------------------------------------------------------ */

bool flow_is_permitted(struct flow *flow)
{
    const struct door_asks *asks = flow->flows->options.asks;
    struct permit permit = { 0 };
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    struct target as_asked = flow->target;
    struct address_range address;
    uint16_t port;
    asks->connect(asks->context, &as_asked, &permit);
    if (permit.allowed && flow->by_address && as_asked.name[0]) {
        as_asked.name[0] = '\0';
        permit.allowed = false;
        asks->connect(asks->context, &as_asked, &permit);
    }
    if (!permit.allowed || !flow->by_resolution)
        return permit.allowed;
    if (flow->setup)
        return setup_is_permitted(flow);
    return getpeername(flow->server.fd, (struct sockaddr *)&peer, &len) == 0 &&
           flow_read_address(&peer, &address, &port) &&
           asks->address(asks->context, &flow->target, &address);
}
