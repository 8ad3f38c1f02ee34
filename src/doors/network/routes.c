/*
 * routes: see the header.
 *
 * Theory of operation. The documents that the policy was made of are read once
 * more, for the ways that they state and for which hosts. Each way has its own
 * small index of the entry's lists, in which the most specific match decides and
 * a denial comes before an allow that says the same. The ways are sorted by who
 * goes first, so that a look-up ends at the first that answers.
 *
 * Invariants: no way is ever looked for where the layers deny, and none makes
 * out of a denial anything else; what a way needs and nothing resolves is a
 * denial. Nothing of a secret is in routes, permits or verdicts.
 *
 * Limits: those of policies; an entry whose text is no host (the policy has
 * refused it) states no way.
 */
#include "doors/network/routes.h"

#include "base/arena.h"
#include "contract/destination_index.h"
#include "contract/rules.h"

#define STEP_ROUTES     "compile the routes"
#define RULE_UNRESOLVED "built-in.unresolved-reference"
#define RULE_KEEPS_HERE "built-in.nothing-leaves"
#define PRIORITY_LAST   UINT64_MAX /* of a mesh binding, which states none */

static_assert(PERMIT_FIXED_MAX == REFERENCES_ADDRESSES_MAX, "a permit holds a name's addresses");

/* Of a row in a way's index; the lower one comes first where rows say the same. */
enum row_value { ROW_DENIES, ROW_ALLOWS };

struct stated_way {
    uint64_t priority;
    enum layer layer;
    uint32_t order; /* in which it was read */
    const char *document;
    struct str entry, reference;
    const struct reference_proxy *proxy;
    const char *member; /* of the entry, that has the reference; "" where none has */
    uint32_t index;     /* of the entry; of a mesh binding of no meaning */
    bool of_mesh, unresolved;
    bool of_firewall; /* what it does not list has a default, which `*` restates */
    bool takes_rest;  /* and the default lets it through */
    struct destination_index hosts;
};

struct routes {
    const struct policy *policy;
    const struct references *references;
    struct arena arena;
    struct stated_way *ways;
    size_t count, capacity;
    bool keeps_here;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_ROUTES, "there is not enough memory");
}

/* --- reading entries ------------------------------------------------------------------------- */

static struct stated_way *add_way(struct routes *routes)
{
    if (routes->count == routes->capacity) {
        size_t larger = routes->capacity ? routes->capacity * 2 : 16;
        struct stated_way *ways = realloc(routes->ways, larger * sizeof(*ways));
        if (!ways)
            return NULL;
        routes->ways = ways;
        routes->capacity = larger;
    }
    struct stated_way *way = &routes->ways[routes->count];
    *way = (struct stated_way){ .order = (uint32_t)routes->count++ };
    return way;
}

static int add_hosts(struct routes *routes, struct stated_way *way, const yyjson_val *list,
                     enum row_value value, struct err *err)
{
    yyjson_arr_iter iterator;
    yyjson_arr_iter_init((yyjson_val *)list, &iterator);
    for (const yyjson_val *item; (item = yyjson_arr_iter_next(&iterator));) {
        char path[DESTINATION_PATH_SIZE];
        struct destination destination;
        int r = destination_read(text_of(item), path, &destination, err);
        if (r < 0)
            return r;
        if (r == 0 || (!destination.path.len && way->of_firewall))
            continue;
        destination.path.ptr = arena_copy(&routes->arena, destination.path);
        if (!destination.path.ptr || destination_index_add(&way->hosts, &destination, value) < 0)
            return no_memory(err);
    }
    return 0;
}

/* A mesh binding among the policy's documents. */
struct search {
    struct str id;
    const yyjson_val *found;
};

static int look_at(void *context, enum layer layer, const char *name, const yyjson_val *root,
                   struct err *err)
{
    struct search *search = context;
    (void)layer;
    (void)name;
    (void)err;
    if (!search->found && text_is(member(root, "type"), "MeshBindingProfile") &&
        str_equal(text_of(member(root, "id")), search->id))
        search->found = root;
    return 0;
}

static bool has_gateway(const yyjson_val *mesh)
{
    return text_is(at(mesh, "/traffic/egressMode"), "egress-gateway");
}

/* Whether what refers to a mesh can go by the host's own network. */
static bool mesh_is_open(const struct routes *routes, struct str id)
{
    struct search search = { .id = id };
    return policy_each_document(routes->policy, look_at, &search, NULL) == 0 && search.found &&
           !has_gateway(search.found);
}

static void resolve(const struct routes *routes, struct stated_way *way)
{
    way->proxy = way->reference.len ? references_proxy(routes->references, way->reference) : NULL;
    way->unresolved = way->reference.len && !way->proxy;
    if (way->proxy && way->proxy->kind == PROXY_DIRECT)
        way->proxy = NULL;
}

static bool is_firewall(const yyjson_val *class)
{
    return text_is(class, "user-firewall") || text_is(class, "corporate-firewall") ||
           text_is(class, "offline");
}

static int read_entry(struct routes *routes, enum layer layer, const char *name,
                      const yyjson_val *entry, uint32_t index, struct err *err)
{
    const yyjson_val *class = member(entry, "profileClass"), *rest = member(entry, "defaultEgress");
    struct str proxy = text_of(member(entry, "proxyRef"));
    struct str mesh = text_of(member(entry, "meshBindingRef"));
    bool is_user = text_is(class, "user-firewall");
    if (!proxy.len && !mesh.len && is_firewall(class))
        return 0;
    struct stated_way *way = add_way(routes);
    if (!way)
        return no_memory(err);
    way->priority = count_of(member(entry, "priority"));
    way->layer = is_user && layer < LAYER_USER ? LAYER_USER : layer;
    way->document = name;
    way->index = index;
    way->entry = text_of(member(entry, "profileId"));
    way->reference = proxy.len ? proxy : mesh;
    way->member = proxy.len ? "proxyRef" : mesh.len ? "meshBindingRef" : "";
    way->of_firewall = is_firewall(class);
    way->takes_rest =
        way->of_firewall && (text_is(rest, "allow-any") || text_is(rest, "allow-with-prompt"));
    resolve(routes, way);
    if (way->unresolved && !proxy.len)
        way->unresolved = !mesh_is_open(routes, mesh);
    int r = add_hosts(routes, way, member(entry, "allowDomains"), ROW_ALLOWS, err);
    if (r == 0)
        r = add_hosts(routes, way, member(entry, "allowCidrs"), ROW_ALLOWS, err);
    if (r == 0)
        r = add_hosts(routes, way, member(entry, "denyDomains"), ROW_DENIES, err);
    return r < 0 ? r : add_hosts(routes, way, member(entry, "denyCidrs"), ROW_DENIES, err);
}

/* Its own hosts, where they leave by a gateway or a layer says where it is. */
static int read_mesh(struct routes *routes, enum layer layer, const char *name,
                     const yyjson_val *root, struct err *err)
{
    struct str id = text_of(member(root, "id"));
    if (!has_gateway(root) && !references_proxy(routes->references, id))
        return 0;
    struct stated_way *way = add_way(routes);
    if (!way)
        return no_memory(err);
    way->priority = PRIORITY_LAST;
    way->layer = layer;
    way->document = name;
    way->of_mesh = true;
    way->entry = text_of(member(root, "name"));
    way->reference = id;
    way->member = "";
    resolve(routes, way);
    int r = add_hosts(routes, way, at(root, "/traffic/allowedHosts"), ROW_ALLOWS, err);
    return r < 0 ? r : add_hosts(routes, way, at(root, "/traffic/deniedHosts"), ROW_DENIES, err);
}

static int read_document(void *context, enum layer layer, const char *name, const yyjson_val *root,
                         struct err *err)
{
    struct routes *routes = context;
    const yyjson_val *type = member(root, "type");
    yyjson_arr_iter iterator;
    uint32_t index = 0;
    int r = 0;
    if (text_is(type, "MeshBindingProfile"))
        return read_mesh(routes, layer, name, root, err);
    if (!text_is(type, "NetworkAccessProfile"))
        return 0;
    yyjson_arr_iter_init(member(root, "profiles"), &iterator);
    for (const yyjson_val *entry; r == 0 && (entry = yyjson_arr_iter_next(&iterator)); index++)
        r = read_entry(routes, layer, name, entry, index, err);
    return r;
}

/* --- compiling ------------------------------------------------------------------------------- */

static int compare_ways(const void *a, const void *b)
{
    const struct stated_way *left = a, *right = b;
    if (left->layer != right->layer)
        return (int)left->layer - (int)right->layer;
    if (left->priority != right->priority)
        return left->priority < right->priority ? -1 : 1;
    return left->order < right->order ? -1 : left->order > right->order;
}

int routes_new(const struct policy *policy, const struct references *references,
               struct routes **ret, struct err *err)
{
    struct routes *routes = calloc(1, sizeof(*routes));
    if (!routes)
        return no_memory(err);
    routes->policy = policy;
    routes->references = references;
    int r = policy_each_document(policy, read_document, routes, err);
    if (r < 0) {
        routes_free(routes);
        return r;
    }
    for (size_t i = 0; i < routes->count; i++)
        destination_index_sort(&routes->ways[i].hosts);
    if (routes->count)
        qsort(routes->ways, routes->count, sizeof(*routes->ways), compare_ways);
    *ret = routes;
    return 0;
}

void routes_keep_here(struct routes *routes)
{
    routes->keeps_here = true;
}

void routes_free(struct routes *routes)
{
    if (!routes)
        return;
    for (size_t i = 0; i < routes->count; i++)
        destination_index_release(&routes->ways[i].hosts);
    free(routes->ways);
    arena_release(&routes->arena);
    free(routes);
}

/* --- finding --------------------------------------------------------------------------------- */

static bool answers(const struct stated_way *way, const struct destination *host)
{
    struct destination_walk walk;
    uint32_t value;
    destination_walk_begin(&walk, &way->hosts, host);
    return destination_walk_next(&walk, &value) ? value == ROW_ALLOWS : way->takes_rest;
}

/* Whether a name lies on this machine, by what the layers say of it. */
static bool is_here(const struct routes *routes, struct str name)
{
    struct address_range addresses[REFERENCES_ADDRESSES_MAX];
    char text[ADDRESS_RANGE_TEXT_SIZE], path[DESTINATION_PATH_SIZE];
    struct destination at;
    size_t count = references_addresses(routes->references, name, addresses);
    for (size_t i = 0; i < count; i++) {
        address_range_text(&addresses[i], text);
        if (destination_read(str_from(text), path, &at, NULL) <= 0 || !destination_is_loopback(&at))
            return false;
    }
    return count > 0;
}

static void fill(const struct stated_way *way, struct way *ret)
{
    *ret = (struct way){ .proxy = way->proxy,
                         .entry = way->entry,
                         .reference = way->reference,
                         .document = way->document,
                         .unresolved = way->unresolved };
    if (way->of_mesh)
        snprintf(ret->pointer, sizeof(ret->pointer), "/traffic/egressMode");
    else
        snprintf(ret->pointer, sizeof(ret->pointer), "/profiles/%u%s%s", way->index,
                 way->member[0] ? "/" : "", way->member);
}

void routes_find(const struct routes *routes, const struct target *target, struct way *ret)
{
    char text[TARGET_HOST_SIZE], path[DESTINATION_PATH_SIZE];
    struct destination at;
    *ret = (struct way){ 0 };
    target_host(target, text);
    struct str host = str_from(text);
    if (!routes || destination_read(host, path, &at, NULL) <= 0)
        return;
    for (size_t i = 0; i < routes->count; i++) {
        if (!answers(&routes->ways[i], &at))
            continue;
        fill(&routes->ways[i], ret);
        break;
    }
    if (ret->proxy &&
        (reference_proxy_leaves_out(ret->proxy, host, target->port) || is_here(routes, host))) {
        ret->proxy = NULL;
        ret->left_out = true;
    }
}

/* --- what the door asks ---------------------------------------------------------------------- */

/* A text as a C string, cut where it is long. */
struct shown {
    char text[VERDICT_TEXT_SIZE / 3];
};

static struct shown show(struct str text)
{
    struct shown shown;
    size_t len = text.len < sizeof(shown.text) ? text.len : sizeof(shown.text) - 1;
    memcpy(shown.text, text.ptr, len);
    shown.text[len] = '\0';
    return shown;
}

/* The folder of a document, where its references stand; of what lies in none, the user's. */
static struct shown place_of(const char *document)
{
    bool is_urn = str_starts(str_from(document), STR("urn:"));
    const char *slash = is_urn ? NULL : strrchr(document, '/');
    return slash ? show(str_make(document, (size_t)(slash - document) + 1))
                 : show(STR("the user's "));
}

static void deny(const struct way *way, struct verdict *verdict)
{
    struct shown reference = show(way->reference);
    verdict->answer = ANSWER_DENY;
    verdict->built_in = true;
    verdict->rule = STR(RULE_UNRESOLVED);
    verdict->document = way->document;
    verdict->document_id = STR("");
    memcpy(verdict->pointer, way->pointer, sizeof(verdict->pointer));
    snprintf(verdict->reason, sizeof(verdict->reason),
             "%s has it go by %s, and no layer's references say what that leads to",
             show(way->entry).text, reference.text);
    snprintf(verdict->smallest_change, sizeof(verdict->smallest_change),
             "write in %sreferences.yaml, below `proxies`: \"%s\": { url: \"http://HOST:PORT\" }",
             place_of(way->document).text, reference.text);
}

static bool is_own(const struct address_range *address)
{
    static const unsigned char ipv6[16] = { [15] = 1 };
    return address->is_ipv6 ? memcmp(address->address, ipv6, sizeof(ipv6)) == 0
                            : address->address[0] == 127;
}

/* Asked of nobody outside, and connected to nothing there: no name server, no proxy. */
static bool stays_here(const struct target *target, const struct permit *permit)
{
    if (permit->route.kind != ROUTE_DIRECT)
        return false;
    if (!target->name[0])
        return is_own(&target->address);
    for (size_t i = 0; i < permit->fixed_count; i++)
        if (!is_own(&permit->fixed[i]))
            return false;
    return permit->fixed_count > 0;
}

static void keep_here(struct verdict *verdict)
{
    *verdict = (struct verdict){ .answer = ANSWER_DENY,
                                 .built_in = true,
                                 .rule = STR(RULE_KEEPS_HERE),
                                 .document_id = STR("") };
    snprintf(verdict->reason, sizeof(verdict->reason),
             "Nothing leaves this machine under a profile of the kind airgapped-local-only");
    snprintf(verdict->smallest_change, sizeof(verdict->smallest_change),
             "run with another profile: -p NAME, of `agent-machine profile list`");
}

void routes_apply(const struct routes *routes, const struct target *target, struct verdict *verdict,
                  struct permit *permit)
{
    static const enum route_kind kinds[] = {
        [PROXY_DIRECT] = ROUTE_DIRECT,
        [PROXY_HTTP] = ROUTE_HTTP_PROXY,
        [PROXY_HTTPS] = ROUTE_HTTPS_PROXY,
        [PROXY_SOCKS5] = ROUTE_SOCKS5,
    };
    struct way way;
    if (!routes || verdict->answer == ANSWER_DENY)
        return;
    routes_find(routes, target, &way);
    if (way.unresolved) {
        deny(&way, verdict);
        return;
    }
    permit->route = (struct route){ .proxy = way.proxy };
    if (way.proxy) {
        permit->route.kind = kinds[way.proxy->kind];
        permit->route.port = way.proxy->port;
        memcpy(permit->route.host, way.proxy->host, sizeof(permit->route.host));
    }
    permit->fixed_count =
        target->name[0]
            ? references_addresses(routes->references, str_from(target->name), permit->fixed)
            : 0;
    if (!routes->keeps_here || stays_here(target, permit))
        return;
    *permit = (struct permit){ 0 };
    keep_here(verdict);
}

int routes_authorize(const struct routes *routes, const struct route *route, struct secret **ret,
                     struct err *err)
{
    if (!route->proxy) {
        *ret = NULL;
        return 0;
    }
    return references_authorize(routes->references, route->proxy, ret, err);
}
