/*
 * flow_carried: open flows that a second thread relays.
 *
 * Theory of operation. A relay's work is the kernel's, done in the calls of
 * whoever relays: one thread can have no more of it than one processor gives.
 * So flows that have lasted (FLOW_LASTS_AFTER moves; a short connection never
 * gets there) are shared out between the door's own thread and a carrier,
 * which is started for the first of them that has company.
 *
 * What is carried is the thread's: its sockets, its pump and `again`. All else
 * of it stays the door's, which ends it, asks anew about it and looks at its
 * time as it does of any other, and takes it back first. When one side has
 * ended, or anything else has happened than that bytes were moved, the thread
 * puts the flow on a list and calls; the door fetches it and goes on with what
 * the pump had said.
 *
 * Invariants: `carrier` is changed by the door's thread alone, while it is
 * entered; a flow is on the list only while it is carried; bytes are counted,
 * and the moment of the last ones noted, by whichever thread moves them
 * (atomically).
 */
#include "base/clock.h"
#include "doors/network/flow_parts.h"

static int watch_in(struct flow *flow, struct loop *from, struct loop *to)
{
    struct loop_watch *const watches[] = { &flow->client, &flow->server };
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(watches); i++) {
        int fd = watches[i]->fd;
        loop_watch_stop(from, watches[i]);
        int each = loop_watch(to, watches[i], fd, PUMP_EVENTS);
        watches[i]->fd = fd; /* it is the flow's, watched or not */
        r = r < 0 ? r : each;
    }
    return r;
}

/* --- the thread's --------------------------------------------------------------------------- */

static void give_back(struct flow *flow, enum pump_state outcome)
{
    struct flows *flows = flow->flows;
    flow->outcome = (unsigned char)outcome;
    flow->returns = true;
    flow->next_returned = flows->returned;
    flows->returned = flow;
    carrier_call(flow->carrier);
}

void flow_carry(struct flow *flow)
{
    if (flow->returns)
        return;
    flow_note_active(flow);
    enum pump_state outcome = pump_move(&flow->pump);
    bool ends = flow->pump.sockets[PUMP_CLIENT].ended || flow->pump.sockets[PUMP_SERVER].ended;
    if (outcome == PUMP_HAS_MORE &&
        loop_timer_set(carrier_loop(flow->carrier), &flow->again, clock_passed_ms()) == 0)
        return;
    if (outcome != PUMP_WAITS || ends)
        give_back(flow, outcome);
}

static void hear_again(struct loop_timer *timer)
{
    flow_carry(LOOP_OWNER(timer, struct flow, again));
}

/* --- the door's ----------------------------------------------------------------------------- */

static void forget_returned(struct flow *flow)
{
    struct flow **at = &flow->flows->returned;
    while (*at != flow)
        at = &(*at)->next_returned;
    *at = flow->next_returned;
    flow->returns = false;
}

static int bring_back(struct flow *flow)
{
    struct carrier *carrier = flow->carrier;
    struct flows *flows = flow->flows;
    if (flow->returns)
        forget_returned(flow);
    loop_timer_stop(carrier_loop(carrier), &flow->again);
    pump_change_pool(&flow->pump, flows->pool);
    flow->carrier = NULL;
    flows->lasting[true]--;
    flows->lasting[false]++;
    return watch_in(flow, carrier_loop(carrier), flows->options.loop);
}

void flow_bring_back(struct flow *flow)
{
    struct carrier *carrier = flow->carrier;
    if (!carrier)
        return;
    carrier_enter(carrier);
    (void)!bring_back(flow); /* it is about to end */
    carrier_leave(carrier);
}

/* Until there is none: each may end, and that may end others. */
static void hear_returned(struct loop_watch *watch, uint32_t events)
{
    struct flows *flows = LOOP_OWNER(watch, struct flows, returns);
    struct flow *flow;
    (void)events;
    carrier_hear(flows->carrier);
    do {
        int r = 0;
        carrier_enter(flows->carrier);
        flow = flows->returned;
        if (flow)
            r = bring_back(flow);
        carrier_leave(flows->carrier);
        if (flow && r < 0)
            flow_break(flow);
        else if (flow)
            flow_conclude(flow, (enum pump_state)flow->outcome);
    } while (flow);
}

static bool have_carrier(struct flows *flows)
{
    struct err unsaid;
    if (flows->carrier || flows->is_alone)
        return !flows->is_alone;
    flows->returns = (struct loop_watch){ .fd = -1, .ready = hear_returned };
    flows->is_alone = carrier_new(&flows->carrier, &unsaid) < 0 ||
                      loop_watch(flows->options.loop, &flows->returns,
                                 carrier_called(flows->carrier), EPOLLIN) < 0;
    return !flows->is_alone;
}

static void hand_over(struct flow *flow)
{
    struct flows *flows = flow->flows;
    struct carrier *carrier = flows->carrier;
    carrier_enter(carrier);
    flow->again = (struct loop_timer){ .due = hear_again };
    flow->carrier = carrier;
    flows->lasting[false]--;
    flows->lasting[true]++;
    pump_change_pool(&flow->pump, carrier_pool(carrier));
    int r = watch_in(flow, flows->options.loop, carrier_loop(carrier));
    carrier_leave(carrier);
    if (r < 0)
        flow_break(flow);
}

void flow_lasts(struct flow *flow)
{
    struct flows *flows = flow->flows;
    if (flow->moves >= FLOW_LASTS_AFTER || ++flow->moves < FLOW_LASTS_AFTER)
        return;
    flows->lasting[false]++;
    if (flows->lasting[false] > flows->lasting[true] + 1 && have_carrier(flows))
        hand_over(flow);
}

void flows_end_carrier(struct flows *flows)
{
    if (!flows->carrier)
        return;
    loop_watch_stop(flows->options.loop, &flows->returns);
    carrier_free(TAKE_PTR(flows->carrier));
}
