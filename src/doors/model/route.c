/*
 * route: see the header.
 *
 * Theory of operation. Whoever answers the name and speaks the client's
 * protocol is ranked: local routes first, then by priority, then in the order
 * given. The first of that ranking leads; behind it come the local ones among its
 * own fallbacks, the other local routes, and then the hosted ones among its
 * fallbacks: a route beyond this machine is never tried because another failed,
 * unless a person wrote it down as that one's fallback.
 *
 * Invariants: a hosted route never stands before a local one; a route that is
 * refused, unsupported or of another protocol is no candidate; each route is at
 * most once among them.
 */
#include "doors/model/route.h"

#include "doors/model/translate/translation.h"

static_assert(MODEL_ROUTES_MAX <= UINT16_MAX, "an index fits");

static const struct model_name *find_name(const struct model_route *route, struct str model)
{
    for (size_t i = 0; i < route->model_count; i++)
        if (str_equal(route->models[i].name, model))
            return &route->models[i];
    return NULL;
}

/* Why a route that answers the name cannot be used at all; empty: it can. */
static struct str obstacle(const struct model_route *route)
{
    return route->refusal.len || !route->provider->unsupported
               ? route->refusal
               : str_from(route->provider->unsupported);
}

static bool can_answer(const struct model_route *route, const struct endpoint *endpoint,
                       struct str model)
{
    return find_name(route, model) && !obstacle(route).len && translation_place(endpoint, route);
}

static bool goes_before(const struct model_route *a, const struct model_route *b)
{
    if (a->is_hosted != b->is_hosted)
        return b->is_hosted;
    return a->priority < b->priority;
}

static bool is_candidate(const struct route_choice *choice, size_t route)
{
    for (size_t i = 0; i < choice->count; i++)
        if (choice->candidates[i].route == route)
            return true;
    return false;
}

static void add(const struct model_route *routes, size_t route, const struct endpoint *endpoint,
                struct str model, struct route_choice *choice, const char *why)
{
    if (choice->count == MODEL_CANDIDATES_MAX || is_candidate(choice, route))
        return;
    struct route_candidate *candidate = &choice->candidates[choice->count++];
    candidate->route = route;
    candidate->upstream_model = find_name(&routes[route], model)->upstream;
    candidate->place = translation_place(endpoint, &routes[route]);
    int len = snprintf(candidate->reason, sizeof(candidate->reason), "%s", why);
    if (candidate->place != endpoint)
        snprintf(candidate->reason + len, sizeof(candidate->reason) - (size_t)len,
                 " What the client asks is translated to %s.", translation_words(candidate->place));
}

/* The first of those that are left in the ranking, or `count`. */
static size_t next_best(const struct model_route *routes, size_t count,
                        const struct endpoint *endpoint, struct str model,
                        const struct route_choice *choice)
{
    size_t best = count;
    for (size_t i = 0; i < count; i++)
        if (can_answer(&routes[i], endpoint, model) && !is_candidate(choice, i) &&
            (best == count || goes_before(&routes[i], &routes[best])))
            best = i;
    return best;
}

/* The first one's fallbacks, of one kind, in the order of its binding. */
static void add_fallbacks(const struct model_route *routes, size_t count,
                          const struct endpoint *endpoint, struct str model, bool hosted,
                          struct route_choice *choice)
{
    const struct model_route *first = &routes[choice->candidates[0].route];
    for (size_t i = 0; i < first->fallback_count && i < MODEL_FALLBACKS_MAX; i++)
        for (size_t j = 0; j < count; j++)
            if (str_equal(routes[j].binding_ref, first->fallback_refs[i]) &&
                routes[j].is_hosted == hosted && can_answer(&routes[j], endpoint, model))
                add(routes, j, endpoint, model, choice,
                    "The first route did not answer, and its binding names this one next.");
}

/* The other local routes that answer the name: to try them lets nothing leave. */
static void add_local(const struct model_route *routes, size_t count,
                      const struct endpoint *endpoint, struct str model,
                      struct route_choice *choice)
{
    for (size_t best; (best = next_best(routes, count, endpoint, model, choice)) < count &&
                      !routes[best].is_hosted && choice->count < MODEL_CANDIDATES_MAX;)
        add(routes, best, endpoint, model, choice, "The local routes before it did not answer.");
}

/* Why there is no candidate: of the first route that answers the name, or that there is none. */
static void explain(const struct model_route *routes, size_t count, const struct endpoint *endpoint,
                    struct str model, struct route_choice *ret)
{
    for (size_t i = 0; i < count; i++) {
        const struct model_route *route = &routes[i];
        if (!find_name(route, model))
            continue;
        struct str why = obstacle(route);
        ret->fault = why.len ? FAULT_DENIED : FAULT_UNSUPPORTED;
        if (why.len)
            snprintf(ret->refusal, sizeof(ret->refusal), "The binding %.*s cannot be used: %.*s.",
                     STR_ARG(route->binding_ref), STR_ARG(why));
        else
            snprintf(ret->refusal, sizeof(ret->refusal),
                     "What is asked at %s cannot be carried over: the provider of this model "
                     "speaks %s (%.*s).",
                     endpoint->path, model_protocol_title(route->protocol),
                     STR_ARG(route->binding_ref));
        return;
    }
    ret->fault = FAULT_NOT_FOUND;
    snprintf(ret->refusal, sizeof(ret->refusal),
             "No route answers the model '%.*s'. `agent-machine model list` shows those that are "
             "there.",
             STR_ARG(model));
}

void routes_choose(const struct model_route *routes, size_t count, const struct endpoint *endpoint,
                   struct str model, struct route_choice *ret)
{
    *ret = (struct route_choice){ 0 };
    if (model.len > MODEL_NAME_BYTES_MAX)
        model.len = MODEL_NAME_BYTES_MAX;
    size_t best = next_best(routes, count, endpoint, model, ret);
    if (best == count) {
        explain(routes, count, endpoint, model, ret);
        return;
    }
    add(routes, best, endpoint, model, ret,
        routes[best].is_hosted ? "No local route answers this model name."
                               : "A local route answers this model name.");
    add_fallbacks(routes, count, endpoint, model, false, ret);
    add_local(routes, count, endpoint, model, ret);
    add_fallbacks(routes, count, endpoint, model, true, ret);
}
