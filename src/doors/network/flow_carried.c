/*
 * flow_carried: open flows that a second thread relays.
 *
 * Theory of operation. A relay's work is the kernel's, done in the calls of
 * whoever relays: one thread can have no more of it than one processor gives.
 * So flows that have lasted (FLOW_LASTS_AFTER moves; a short connection never
 * gets there) are given to carriers, each to that which has least; the second
 * is started for a flow that finds the first one with something to carry.
 *
 * What is carried is the thread's: its sockets, its pump and `again`. All else
 * of it stays the door's, which ends it, asks anew about it and looks at its
 * time as it does of any other, and takes it back first. When one side has
 * ended, or anything else has happened than that bytes were moved, the thread
 * puts the flow on a list and calls; the door fetches it and goes on with what
 * the pump had said.
 *
 * Invariants: `carried_by` is changed by the door's thread alone, while it is
 * entered; a flow is on the list only while it is carried; bytes are counted,
 * and the moment of the last ones noted, by whichever thread moves them
 * (atomically); flows are not freed before the threads have ended.
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
    flow->outcome = (unsigned char)outcome;
    flow->returns = true;
    flow->next_returned = flow->carried_by->returned;
    flow->carried_by->returned = flow;
    carrier_call(flow->carried_by->carrier);
}

void flow_carry(struct flow *flow)
{
    if (flow->returns)
        return;
    flow_note_active(flow);
    enum pump_state outcome = pump_move(&flow->pump);
    bool ends = flow->pump.sockets[PUMP_CLIENT].ended || flow->pump.sockets[PUMP_SERVER].ended;
    if (outcome == PUMP_HAS_MORE && loop_timer_set(carrier_loop(flow->carried_by->carrier),
                                                   &flow->again, clock_passed_ms()) == 0)
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
    struct flow **at = &flow->carried_by->returned;
    while (*at != flow)
        at = &(*at)->next_returned;
    *at = flow->next_returned;
    flow->returns = false;
}

static int bring_back(struct flow *flow)
{
    struct flow_carrier *by = flow->carried_by;
    struct loop *loop = carrier_loop(by->carrier);
    if (flow->returns)
        forget_returned(flow);
    loop_timer_stop(loop, &flow->again);
    pump_change_pool(&flow->pump, flow->flows->pool);
    flow->carried_by = NULL;
    by->count--;
    return watch_in(flow, loop, flow->flows->options.loop);
}

void flow_bring_back(struct flow *flow)
{
    struct flow_carrier *by = flow->carried_by;
    if (!by)
        return;
    carrier_enter(by->carrier);
    (void)!bring_back(flow); /* it is about to end */
    carrier_leave(by->carrier);
}

/* Until there is none: each may end, and that may end others. */
static void hear_returned(struct loop_watch *watch, uint32_t events)
{
    struct flow_carrier *by = LOOP_OWNER(watch, struct flow_carrier, watch);
    struct flow *flow;
    (void)events;
    carrier_hear(by->carrier);
    do {
        int r = 0;
        carrier_enter(by->carrier);
        flow = by->returned;
        if (flow)
            r = bring_back(flow);
        carrier_leave(by->carrier);
        if (flow && r < 0)
            flow_break(flow);
        else if (flow)
            flow_conclude(flow, (enum pump_state)flow->outcome);
    } while (flow);
}

/* The one that has least to carry, if need be a new one; NULL: none is to be had. */
static struct flow_carrier *find_carrier(struct flows *flows)
{
    struct flow_carrier *least = NULL;
    struct err unsaid;
    for (size_t i = 0; i < FLOW_CARRIERS && !flows->is_alone; i++) {
        struct flow_carrier *by = &flows->carriers[i];
        if (!by->carrier) {
            if (least && !least->count)
                break;
            by->watch = (struct loop_watch){ .fd = -1, .ready = hear_returned };
            if (carrier_new(&by->carrier, &unsaid) < 0 ||
                loop_watch(flows->options.loop, &by->watch, carrier_called(by->carrier), EPOLLIN) <
                    0)
                flows->is_alone = true;
        }
        if (!flows->is_alone && (!least || by->count < least->count))
            least = by;
    }
    return flows->is_alone ? NULL : least;
}

static void hand_over(struct flow *flow, struct flow_carrier *by)
{
    carrier_enter(by->carrier);
    flow->again = (struct loop_timer){ .due = hear_again };
    flow->carried_by = by;
    by->count++;
    pump_change_pool(&flow->pump, carrier_pool(by->carrier));
    int r = watch_in(flow, flow->flows->options.loop, carrier_loop(by->carrier));
    carrier_leave(by->carrier);
    if (r < 0)
        flow_break(flow);
}

void flow_lasts(struct flow *flow)
{
    if (flow->moves >= FLOW_LASTS_AFTER || ++flow->moves < FLOW_LASTS_AFTER)
        return;
    struct flow_carrier *by = find_carrier(flow->flows);
    if (by)
        hand_over(flow, by);
}

void flows_end_carriers(struct flows *flows)
{
    for (size_t i = 0; i < FLOW_CARRIERS; i++) {
        struct flow_carrier *by = &flows->carriers[i];
        if (by->carrier)
            loop_watch_stop(flows->options.loop, &by->watch);
        carrier_free(TAKE_PTR(by->carrier));
    }
}
