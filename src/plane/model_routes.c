/*
 * model_routes: see the header.
 *
 * Theory of operation. Each binding becomes one route, in the order in which
 * they were made; which one answers a call is the door's choice (route.h). What
 * the provider's profile only refers to is resolved here where it says a place,
 * and stays a reference where it stands for a credential: the door resolves that
 * at the moment of use. A hosted place is left by the way that the layers state
 * for its host.
 *
 * Invariant: a binding that cannot be used hides no other one; it is a route
 * with a refusal, so that who asks for its models is told why.
 */
#include "plane/model_routes.h"

#include "base/json.h"
#include "contract/rules.h"
#include "contract/uri.h"
#include "doors/network/routes.h"
#include "plane/gate_layers.h"
#include "plane/work.h"

#define STEP_ROUTES "make the model routes"
#define ARENA_MAX   ((size_t)16 << 20)

static_assert(MODEL_ADDRESSES_MAX == REFERENCES_ADDRESSES_MAX, "a route holds a name's addresses");

struct making {
    struct plane *plane;
    struct str subject;
    const struct references *references;
    struct routes *ways;
    const struct model_bound *bound;
    struct model_routes *routes;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_ROUTES, "there is not enough memory");
}

/* --- where it answers ---------------------------------------------------------------------- */

/* Host and port of an http or https address; false where it has a login, or no host. */
static bool split_url(struct str url, struct str *ret_host, uint16_t *ret_port)
{
    struct uri uri = uri_split(url);
    struct str host = uri.authority;
    bool is_https = str_equal(uri.scheme, STR("https"));
    uint32_t port = is_https ? 443 : 80;
    size_t colon =
        str_starts(host, STR("[")) ? str_index(host, ']', 0) + 1 : str_index(host, ':', 0);
    if ((!is_https && !str_equal(uri.scheme, STR("http"))) || uri.has_query || uri.has_fragment ||
        str_index(host, '@', 0) < host.len)
        return false;
    if (colon < host.len) {
        port = 0;
        for (size_t i = colon + 1; i < host.len; i++) {
            if (host.ptr[i] < '0' || host.ptr[i] > '9' || port > UINT16_MAX)
                return false;
            port = port * 10 + (uint32_t)(host.ptr[i] - '0');
        }
        host.len = colon;
    }
    if (str_starts(host, STR("[")))
        host = host.len > 2 ? str_make(host.ptr + 1, host.len - 2) : STR("");
    *ret_host = host;
    *ret_port = (uint16_t)port;
    return host.len > 0 && host.len <= HOST_NAME_BYTES_MAX && port > 0 && port <= UINT16_MAX;
}

/* The base address, for as long as the routes; what stands for one is resolved. */
static int find_url(const struct making *making, const struct model_provider *facts,
                    struct str *ret, struct err *err)
{
    struct arena *arena = &making->routes->arena;
    struct secret *secret = NULL;
    char local[48];
    struct str url = facts->base_url;
    if (!url.len) {
        snprintf(local, sizeof(local), "http://127.0.0.1:%u", facts->default_port);
        url = str_from(local);
    } else if (secret_is_reference(url)) {
        struct err why = { 0 };
        if (references_secret(making->references, url, &secret, &why) < 0)
            return err_set(err, why.code, STEP_ROUTES, "%.*s, its base address: %s", STR_ARG(url),
                           why.cause);
        url = secret_value(secret);
    } else if (str_starts(url, STR("urn:"))) {
        return err_set(err, ERR_UNSUPPORTED, STEP_ROUTES,
                       "no layer can say what %.*s leads to; let its base address be a URL, or a "
                       "secret:// reference",
                       STR_ARG(url));
    }
    const char *copy = arena_copy(arena, url);
    *ret = str_make(copy, url.len);
    secret_free(secret);
    return copy ? 0 : no_memory(err);
}

/* A name as the network's policy knows it, or an address. */
static int find_target(struct model_origin *origin, struct str host, struct target *ret,
                       struct err *err)
{
    struct host_name name;
    *ret = (struct target){ .port = origin->port };
    if (!address_range_read(host, &ret->address)) {
        int r = host_name_read(host, &name, err);
        if (r <= 0)
            return r < 0
                       ? r
                       : err_set(err, ERR_DOCUMENT, STEP_ROUTES, "%.*s is no host", STR_ARG(host));
        memcpy(ret->name, name.text, sizeof(ret->name));
    }
    target_host(ret, origin->host);
    return 0;
}

/* A plain address of another machine would show a credential to whoever listens. */
static int check_plain(const struct model_provider *facts, struct str url, struct err *err)
{
    int r = str_starts(url, STR("https://")) ? 1 : url_is_loopback(url, err);
    return r == 0 ? err_set(err, ERR_DENIED, STEP_ROUTES,
                            "%.*s answers elsewhere without TLS, which the door does not use",
                            STR_ARG(facts->id))
                  : r;
}

static int place_route(const struct making *making, struct model_route *route,
                       struct model_origin *origin, struct err *err)
{
    const struct model_provider *facts = &origin->facts;
    struct target target;
    struct str host = STR("");
    struct way way = { 0 };
    int r = find_url(making, facts, &route->base_url, err);
    if (r == 0 && !split_url(route->base_url, &host, &origin->port))
        r = err_set(err, ERR_DOCUMENT, STEP_ROUTES, "the base address of %.*s is no plain URL",
                    STR_ARG(facts->id));
    if (r == 0)
        r = check_plain(facts, route->base_url, err);
    if (r >= 0)
        r = find_target(origin, host, &target, err);
    if (r < 0)
        return r;
    if (facts->credential.len && !secret_is_reference(facts->credential))
        return err_set(err, ERR_UNSUPPORTED, STEP_ROUTES,
                       "no layer can say what %.*s leads to; let it be a secret:// reference",
                       STR_ARG(facts->credential));
    route->credential_ref = facts->credential;
    if (!facts->is_hosted)
        return 0;
    routes_find(making->ways, &target, &way);
    if (way.unresolved)
        return err_set(err, ERR_DENIED, STEP_ROUTES,
                       "no layer resolves %.*s, by which %s has to be reached",
                       STR_ARG(way.reference), origin->host);
    route->proxy = way.proxy;
    route->address_count =
        references_addresses(making->references, str_from(target.name), route->addresses);
    return 0;
}

/* --- one route ----------------------------------------------------------------------------- */

static int add_models(const struct making *making, const struct model_origin *origin,
                      struct model_route *route, struct err *err)
{
    yyjson_val *list = member(origin->binding, "models");
    size_t count = yyjson_arr_size(list);
    struct model_name *names = arena_array(&making->routes->arena, struct model_name, count);
    if (!names)
        return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        const yyjson_val *item = yyjson_arr_get(list, i);
        names[i] = (struct model_name){ .name = text_of(member(item, "name")),
                                        .upstream = text_of(member(item, "upstreamModel")) };
    }
    route->models = names;
    route->model_count = count;
    return 0;
}

/* The binding's own order; without one the provider's, so far as those are bound here too. */
static int add_fallbacks(const struct making *making, const struct model_origin *origin,
                         struct model_route *route, struct err *err)
{
    yyjson_val *bindings = member(origin->binding, "fallbackBindingRefs");
    yyjson_val *providers = at(origin->provider.root, "/routing/fallbackOrder");
    if (!providers)
        providers = at(origin->provider.root, "/policy/fallbackProfileRefs");
    yyjson_val *list = bindings ? bindings : providers;
    size_t count = yyjson_arr_size(list);
    struct str *refs = arena_array(&making->routes->arena, struct str, MODEL_FALLBACKS_MAX);
    if (!refs)
        return no_memory(err);
    for (size_t i = 0; i < count && route->fallback_count < MODEL_FALLBACKS_MAX; i++) {
        struct str ref = text_of(yyjson_arr_get(list, i));
        if (!bindings)
            ref = model_bound_find(making->bound, ref);
        const char *copy = ref.len ? arena_copy(&making->routes->arena, ref) : NULL;
        if (ref.len && !copy)
            return no_memory(err);
        if (ref.len)
            refs[route->fallback_count++] = str_make(copy, ref.len);
    }
    route->fallback_refs = refs;
    return 0;
}

static void read_binding(const yyjson_val *binding, struct model_route *route)
{
    const yyjson_val *reservation = member(binding, "reservation");
    const yyjson_val *limits = member(binding, "limits");
    *route = (struct model_route){
        .binding_ref = text_of(member(binding, "id")),
        .provider_ref = text_of(member(binding, "providerRef")),
        .is_hosted = !text_is(member(binding, "route"), "local"),
        .on_secret =
            egress_on_secret_find(text_of(member(member(binding, "promptEgress"), "onSecret"))),
        .provider = &provider_classes[0], /* of a refused route, for whoever looks */
        .priority = count_of(member(binding, "priority")),
        .prompt_tokens = count_of(member(reservation, "promptTokens")),
        .output_tokens = count_of(member(reservation, "outputTokens")),
        .image_tokens = count_of(member(reservation, "imageTokens")),
        .held_context_tokens = count_of(member(reservation, "heldContextTokens")),
        .concurrent_calls = count_of(member(limits, "concurrentCalls")),
        .calls_per_minute = count_of(member(limits, "callsPerMinute")),
    };
}

/* What keeps this route from being used is `why`; the return is for what fails all of them. */
static int read_provider(const struct making *making, struct model_route *route,
                         struct model_origin *origin, struct err *why)
{
    int r = model_document_find(making->plane, making->subject, route->provider_ref,
                                &origin->provider, why);
    if (r == 0)
        r = model_provider_read(origin->provider.root, &origin->facts, why);
    if (r < 0)
        return r;
    const char *obstacle = model_obstacle(&origin->facts, origin->provider.root, origin->binding,
                                          making->routes->profile.root);
    if (obstacle)
        return err_set(why, ERR_DENIED, STEP_ROUTES, "%s", obstacle);
    if (origin->facts.is_hosted && !route->is_hosted)
        return err_set(why, ERR_DENIED, STEP_ROUTES,
                       "it was bound as a local one, and is none now; bind it anew");
    route->provider = origin->facts.class;
    route->protocol = origin->facts.protocol;
    route->is_hosted = origin->facts.is_hosted;
    route->may_store = yyjson_is_true(at(origin->provider.root, "/policy/storePrompts")) &&
                       yyjson_is_true(at(origin->provider.root, "/policy/storeCompletions"));
    return place_route(making, route, origin, why);
}

static int add_route(const struct making *making, struct str binding, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    struct model_routes *routes = making->routes;
    struct model_route *route = &routes->routes[routes->count];
    struct model_origin *origin = &routes->origins[routes->count];
    struct err why = { 0 };
    int64_t revision;
    int r = ledger_get_document(making->plane->ledger, binding, &text, &revision, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &origin->doc, err);
    if (r < 0)
        return r;
    routes->count++;
    origin->binding = yyjson_doc_get_root(origin->doc);
    read_binding(origin->binding, route);
    if (read_provider(making, route, origin, &why) < 0) {
        if (why.code == ERR_MEMORY)
            return no_memory(err);
        const char *copy = arena_copy(&routes->arena, str_from(why.cause));
        if (!copy)
            return no_memory(err);
        route->refusal = str_from(copy);
        origin->host[0] = '\0';
    }
    r = add_models(making, origin, route, err);
    return r < 0 ? r : add_fallbacks(making, origin, route, err);
}

/* --- all of them --------------------------------------------------------------------------- */

static int add_all(const struct making *making, struct err *err)
{
    const struct model_bound *bound = making->bound;
    struct model_routes *routes = making->routes;
    size_t count = yyjson_arr_size(bound->list);
    routes->routes = arena_array(&routes->arena, struct model_route, count);
    routes->origins = arena_array(&routes->arena, struct model_origin, count);
    int r = routes->routes && routes->origins ? 0 : no_memory(err);
    for (size_t i = 0; i < count && r == 0; i++)
        r = add_route(making, text_of(member(yyjson_arr_get(bound->list, i), "bindingRef")), err);
    return r;
}

int model_routes_read(struct plane *plane, struct str subject, struct str profile,
                      struct model_routes *ret, struct err *err)
{
    _cleanup_(cleanup_model_bound) struct model_bound bound = { 0 };
    const struct policy *policy;
    struct model_routes routes = { .arena = { .limit = ARENA_MAX } };
    struct making making = {
        .plane = plane, .subject = subject, .bound = &bound, .routes = &routes
    };
    int r = model_bound_read(plane, profile, &bound, err);
    routes.revision = bound.revision;
    if (r == 0 && yyjson_arr_size(bound.list)) {
        r = gate_layers_policy(plane, subject, &policy, err);
        making.references = gate_layers_references(plane);
        if (r == 0)
            r = routes_new(policy, making.references, &making.ways, err);
        if (r == 0)
            r = model_document_find(plane, subject, profile, &routes.profile, err);
        if (r == 0)
            r = add_all(&making, err);
        routes_free(making.ways);
    }
    if (r < 0)
        model_routes_release(&routes);
    else
        *ret = routes;
    return r;
}

void model_routes_release(struct model_routes *routes)
{
    for (size_t i = 0; i < routes->count; i++) {
        yyjson_doc_free(routes->origins[i].doc);
        model_document_release(&routes->origins[i].provider);
    }
    model_document_release(&routes->profile);
    arena_release(&routes->arena);
    *routes = (struct model_routes){ 0 };
}
