/* flow_parts: what flow.c and flow_setup.c have of a flow; nobody else includes it. */
#ifndef AM_DOORS_NETWORK_FLOW_PARTS_H
#define AM_DOORS_NETWORK_FLOW_PARTS_H

#include <sys/socket.h>

#include "base/clock.h"
#include "doors/network/carrier.h"
#include "doors/network/flow.h"
#include "doors/network/proxy_rounds.h"
#include "doors/network/pump.h"
#include "doors/network/race.h"
#include "doors/network/tls_leg.h"
#include "doors/network/upstream_proxy.h"

/* What a flow needs until it is open, and no longer. */
struct setup {
    struct flow *flow;
    struct permit permit;
    struct outside_query *query;
    struct race race;
    struct upstream_proxy proxy;
    struct proxy_rounds *rounds;        /* with a proxy that answers with a challenge */
    struct tls_leg *leg;                /* to a proxy behind TLS */
    const struct flow_answers *answers; /* the client is still owed one of them */
    struct str first;                   /* for the server; the setup's */
};

struct flow {
    struct flows *flows;
    struct flow *next_free;
    struct setup *setup;
    struct loop_watch client, server;
    struct loop_timer timer;
    int64_t opened_ms, active_ms;
    struct pump pump;
    struct flow_carrier *carried_by; /* NULL: the door's own thread relays it */
    struct loop_timer again;         /* the carrier's: it has more to move */
    struct flow *next_returned;      /* on the carrier's list */
    bool returns;                    /* it is on that list, with what the pump had said: */
    unsigned char outcome;           /* enum pump_state */
    uint16_t moves;                  /* up to FLOW_LASTS_AFTER */
    unsigned char state;             /* enum flow_state; flow_enter alone changes it */
    bool busy : 1;          /* it has more to move, as soon as others have had their turn */
    bool by_address : 1;    /* an address was dialled; the name, if any, is the hello's */
    bool by_resolution : 1; /* the name was resolved here, and the address asked about */
    struct target target;
};

struct flow_listener {
    struct loop_watch watch; /* while connections are accepted */
    int fd;
    bool is_for_any; /* address: what arrives has the one that was dialled as its own */
    struct flows *flows;
};

/* A thread that relays, what it has to say, and how many flows are its own. */
struct flow_carrier {
    struct carrier *carrier; /* NULL until it is needed */
    struct loop_watch watch;
    struct flow *returned;
    size_t count;
};
#define FLOW_CARRIERS 2

#define FLOW_SLAB 64
struct flows {
    struct flows_options options;
    struct flow_limits limits;
    struct pump_pool *pool;
    struct tls_legs *legs; /* NULL until one is needed */
    struct flow *slabs[FLOWS_MAX / FLOW_SLAB], *free;
    size_t slab_count, counts[FLOW_STATE_COUNT];
    struct flow_listener listeners[FLOW_LISTENERS_MAX];
    size_t listener_count;
    struct flow_carrier carriers[FLOW_CARRIERS];
    bool is_alone; /* none is to be had */
    bool paused;   /* nothing is accepted until there is room, or are descriptors */
    struct loop_timer retry;
};

/* --- flows.c ------------------------------------------------------------------------------- */

/* Sees to it that there is a free one. 0 or -errno. */
int flows_make_free(struct flows *flows) MUST_CHECK;
/* A flow has ended: accepting goes on, if it rested for that. */
void flows_go_on(struct flows *flows);
/* One address and a port; IPv4-mapped is IPv4. False for other families. */
bool flow_read_address(const struct sockaddr_storage *from, struct address_range *ret,
                       uint16_t *ret_port) MUST_CHECK;

/* --- flow.c -------------------------------------------------------------------------------- */

/* A flow for a client, which is the flow's from then on. 0, or -errno: it stays the caller's. */
int flow_take(struct flows *flows, int client, struct str first, const struct flow_answers *answers,
              struct flow **ret) MUST_CHECK;
/* Whether what it was permitted for is permitted still. */
bool flow_is_permitted(struct flow *flow);

void flow_enter(struct flow *flow, enum flow_state state);
/* When its time in this state is over. */
void flow_set_due(struct flow *flow, int64_t after_ms);
/* The server is connected: from here on bytes are relayed. */
void flow_open(struct flow *flow);

/* Each of these ends the flow, which is nobody's any more when they return. */
/* The door said no, and has it on record. */
void flow_deny(struct flow *flow);
/* Something else forbids it: the door is told. */
void flow_refuse(struct flow *flow, enum door_refusal refusal, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* A side is gone: the other learns it in the same way. */
void flow_break(struct flow *flow);

/* What the pump has said of an open flow is acted on: it waits, goes on, or ends. */
void flow_conclude(struct flow *flow, enum pump_state outcome);

/* --- flow_carried.c ------------------------------------------------------------------------ */

#define FLOW_LASTS_AFTER 256 /* moves */

static inline void flow_note_active(struct flow *flow)
{
    __atomic_store_n(&flow->active_ms, clock_passed_ms(), __ATOMIC_RELAXED);
}

/* It has moved once more; it may be the carrier's when this returns. */
void flow_lasts(struct flow *flow);
/* In a carrier's thread: moves what there is to move. */
void flow_carry(struct flow *flow);
/* It is the door's again, whoever relayed it. */
void flow_bring_back(struct flow *flow);
/* Nothing is carried any more. */
void flows_end_carriers(struct flows *flows);

/* --- flow_setup.c -------------------------------------------------------------------------- */

/* With the bytes that are to go to the server first, which are copied. 0 or -ENOMEM. */
int setup_new(struct flow *flow, struct str first, const struct flow_answers *answers) MUST_CHECK;
/* Ends whatever it waits for. NULL is nothing. */
void setup_free(struct setup *setup);

/* Asks, and takes the first step. */
void setup_begin(struct flow *flow);
void setup_hear_client(struct flow *flow);
void setup_hear_server(struct flow *flow);
void setup_hear_late(struct flow *flow);
/* Says one of the answers, if one is owed; no other is said after it. False: none is owed. */
bool setup_answer(struct flow *flow, size_t which);

/* Whether the addresses that it is connecting to are still permitted. */
bool setup_is_permitted(struct flow *flow);

#endif
