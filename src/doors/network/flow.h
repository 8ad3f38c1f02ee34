/*
 * flow: a connection from inside, from the first packet to the last byte.
 *
 * Connections arrive at listeners that were made inside, or are adopted from a
 * proxy that a client spoke to. Each is asked about, checked, connected and
 * relayed; what is refused is reset.
 */
#ifndef AM_DOORS_NETWORK_FLOW_H
#define AM_DOORS_NETWORK_FLOW_H

#include "authority/references.h"
#include "base/base.h"
#include "base/err.h"
#include "base/loop.h"
#include "doors/network/outside.h"
#include "doors/network/target.h"

#define FLOWS_MAX           4096 /* at a time; what comes meanwhile waits in the listeners' queues */
#define FLOW_LISTENERS_MAX  128
#define FLOW_ASKED_MS       600000             /* a person is asked */
#define FLOW_HELLO_MS       10000              /* for a client to say whom it wants to talk to */
#define FLOW_CONNECT_MS     30000              /* to resolve, to connect, and for a proxy's word */
#define FLOW_IDLE_MS        (2 * 3600 * 1000)  /* without a byte either way */
#define FLOW_HALF_CLOSED_MS (15 * 60 * 1000)   /* the same, where one side has ended */
#define FLOW_TOTAL_MS       INT64_C(604800000) /* from the connection on: a week */
#define FLOW_BYTES_IDLE     576                /* what an open flow takes here while it is idle */

/*        state             what it waits for */
#define FLOW_STATE_TABLE(X)                                                                        \
    X(FLOW_FREE, "free")                                                                           \
    X(FLOW_ACCEPTED, "accepted") /* nothing: it is being asked about */                            \
    X(FLOW_ASKED, "asked")       /* the person who is being asked */                               \
    X(FLOW_HELLO, "hello")       /* the client, to name the server */                              \
    X(FLOW_RESOLVING, "resolving")                                                                 \
    X(FLOW_CONNECTING, "connecting")                                                               \
    X(FLOW_PROXY, "proxy") /* a corporate proxy's word */                                          \
    X(FLOW_OPEN, "open")                                                                           \
    X(FLOW_CLIENT_ENDED, "client-ended") /* the server */                                          \
    X(FLOW_SERVER_ENDED, "server-ended") /* the client */                                          \
    X(FLOW_ENDED, "ended")

enum flow_state {
#define X(state, name) state,
    FLOW_STATE_TABLE(X)
#undef X
        FLOW_STATE_COUNT
};

struct flow_limits {
    int64_t asked_ms, hello_ms, connect_ms, idle_ms, half_closed_ms, total_ms;
    size_t flows;
};
extern const struct flow_limits flow_limits_default;

struct flows;

struct flows_options {
    /* All of them outlive the flows. */
    struct loop *loop;
    struct outside *outside;
    const struct door_asks *asks;
    void *context;
    /* What an address stands for that a client dialled; false where it stands for nothing. */
    bool (*target_of)(void *context, const struct address_range *address, uint16_t port,
                      struct target *ret);
    const struct flow_limits *limits; /* NULL: the default ones */
    /* Whose authorities a proxy behind TLS is trusted by, beside the host's; may be NULL. */
    const struct references *references;
};

int flows_new(const struct flows_options *options, struct flows **ret, struct err *err) MUST_CHECK;
/* Resets what is open. NULL is nothing. */
void flows_free(struct flows *flows);

/* Takes connections from a listener (non-blocking), which stays open and the caller's. */
int flows_accept_from(struct flows *flows, int listener, struct err *err) MUST_CHECK;

/* Whoever it accepts gets small messages at once, and without the pace of a longer way. */
void flows_prepare_listener(int listener);

/* What a client is told that asked for the connection in words; static texts. */
struct flow_answers {
    struct str opened, denied, failed;
};

/*
 * Takes over a client (a non-blocking socket). `target` has a name, or an address that target_of
 * is asked about. `first` goes to the server before what the client sends from now on. The answer
 * that fits is given; `answers` NULL gives none and resets. The client is the flows' from then on.
 */
void flows_adopt(struct flows *flows, int client, const struct target *target, struct str first,
                 const struct flow_answers *answers);

/* A person has answered: those that waited for that ask again. */
void flows_go_on_asked(struct flows *flows);
/* Asks about every flow anew, and resets those that are not permitted any more. */
void flows_ask_again(struct flows *flows);

const struct flow_limits *flows_limits(const struct flows *flows);
/* Whether there is room for one more. */
bool flows_has_room(const struct flows *flows);
/* How many are in a state. */
size_t flows_count(const struct flows *flows, enum flow_state state);
const char *flow_state_name(enum flow_state state);

#endif
