/*
 * route: by which binding a model's name is answered.
 *
 * The plane makes the routes of a run out of ModelProviderBindings and hands
 * them to the door, which only chooses: local before hosted, then by priority,
 * then along the fallbacks of the first. To choose is pure; whether a route may
 * be used for a call is asked of the sink each time (sink.h).
 */
#ifndef AM_DOORS_MODEL_ROUTE_H
#define AM_DOORS_MODEL_ROUTE_H

#include "base/base.h"
#include "base/str.h"
#include "contract/destination.h"
#include "doors/model/egress.h"
#include "doors/model/protocol.h"
#include "doors/model/provider.h"

#define MODEL_ROUTES_MAX     256  /* of a door */
#define MODEL_NAMES_MAX      1000 /* of a route, as its contract says */
#define MODEL_NAME_BYTES_MAX 200
#define MODEL_FALLBACKS_MAX  16
#define MODEL_CANDIDATES_MAX 16 /* of a call */
#define MODEL_ADDRESSES_MAX  8
#define MODEL_REASON_SIZE    512
#define MODEL_OUTPUT_TOKENS  4096 /* where neither client nor binding says a limit */

struct reference_proxy;

struct model_name {
    struct str name;     /* that a client asks for */
    struct str upstream; /* by which the provider knows it */
};

/* All that it points to outlives the door. */
struct model_route {
    struct str binding_ref;  /* the ModelProviderBinding */
    struct str provider_ref; /* the LocalModelProfile or ExternalModelProviderProfile */
    bool is_hosted;          /* prompts leave this machine */
    enum model_protocol protocol;
    const struct provider_class *provider;
    const struct model_name *models;
    size_t model_count;
    uint64_t priority;               /* among routes of the same kind, the lowest first */
    const struct str *fallback_refs; /* bindings, in order */
    size_t fallback_count;

    struct str base_url;       /* http or https, without credentials, query and fragment */
    struct str credential_ref; /* secret://…, resolved at the moment of use; empty: none */
    /* How it leaves this machine. */
    const struct reference_proxy *proxy;                 /* NULL: directly */
    struct address_range addresses[MODEL_ADDRESSES_MAX]; /* that a layer gives its host */
    size_t address_count;

    enum egress_on_secret on_secret; /* of a hosted route: what is done with one in a prompt */
    bool may_store;                  /* and whether its provider may keep prompts and answers */

    /* ModelProviderBinding's `reservation` and `limits`; 0: not said. */
    uint64_t prompt_tokens, output_tokens, image_tokens, held_context_tokens;
    uint64_t concurrent_calls, calls_per_minute;

    /* Why it cannot be used at all (its base address does not resolve, its profile is local-only
     * and it is hosted), in a sentence; empty: it can. */
    struct str refusal;
};

struct route_candidate {
    size_t route; /* index */
    struct str upstream_model;
    const struct endpoint *place;   /* where its provider is asked: see translation_place */
    char reason[MODEL_REASON_SIZE]; /* why it is tried, and why after those before it */
};

struct route_choice {
    struct route_candidate candidates[MODEL_CANDIDATES_MAX];
    size_t count;
    char refusal[MODEL_REASON_SIZE]; /* where count is 0: why, and what would help */
    enum model_fault fault; /* of that: no route has the name, it may not be used, or its provider
                               cannot be asked for this */
};

/* Pure. The candidates for what is asked at a place, in the order in which they are to be tried. */
void routes_choose(const struct model_route *routes, size_t count, const struct endpoint *endpoint,
                   struct str model, struct route_choice *ret);

#endif
