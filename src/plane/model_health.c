/*
 * model_health: see the header.
 *
 * Theory of operation. What documents and layers refuse is known without asking
 * anybody. Of the rest all are asked at once: a server of this machine for the models
 * that it has, a hosted provider for any answer at all, since what it would say of
 * its models wants a credential. A model that is not there and whose fallback is, is a
 * cached fallback.
 *
 * A look at this machine is no action and is not recorded. To go to a hosted provider is
 * one: its permission is the plane's, and durable before (model_check.c).
 */
#include "plane/model_health.h"

#include "contract/rules.h"
#include "doors/model/look.h"
#include "plane/gate_layers.h"
#include "plane/model_record.h"
#include "plane/work.h"

#define STEP_HEALTH "look after models"

static const char *const state_names_of_models[] = {
#define X(state, name) [state] = name,
    MODEL_STATE_TABLE(X)
#undef X
};

const char *model_state_name(enum model_state state)
{
    return state_names_of_models[state];
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_HEALTH, "there is not enough memory");
}

static void set(struct model_health *health, enum model_state state, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void set(struct model_health *health, enum model_state state, const char *format, ...)
{
    va_list arguments;
    health->state = state;
    va_start(arguments, format);
    vsnprintf(health->why, sizeof(health->why), format, arguments);
    va_end(arguments);
}

/* --- what is asked --------------------------------------------------------------------------- */

static enum local_list_form form_of(const struct model_route *route)
{
    const struct local_service *service = local_service_of(str_from(route->provider->name));
    return service ? service->form : LOCAL_LIST_OPENAI;
}

/* The root of its address, whatever version it names. */
static void add_root(struct buf *url, struct str base)
{
    static const char *const ends[] = { "/", "/v1", "/api", "/" };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        while (str_ends(base, str_from(ends[i])))
            base.len -= strlen(ends[i]);
    buf_add_str(url, base);
}

static void destination_of(const struct model_origin *origin, struct policy_destination *ret)
{
    *ret = (struct policy_destination){ .host = str_from(origin->host),
                                        .port = origin->port,
                                        .protocol = STR("https"),
                                        .of_door = true };
}

/* A hosted route that is asked; each address that its name leads to is permitted too. */
struct place {
    struct model_record *record;
    const struct model_route *route;
};

static bool may_connect(void *context, const struct address_range *address)
{
    const struct place *place = context;
    const struct model_call call = { .route = place->route };
    return model_record_address(place->record, &call, address);
}

/* Whether the layers let anybody go to the place of a hosted route. */
static int ask_layers(const struct policy *policy, const struct model_origin *origin,
                      struct model_health *health, struct err *err)
{
    struct policy_destination destination;
    struct verdict verdict;
    destination_of(origin, &destination);
    int r = policy_decide(policy, &destination, &verdict, err);
    if (r == 0 && verdict.answer != ANSWER_ALLOW)
        set(health, MODEL_REFUSED, "%.240s %.240s", verdict.reason, verdict.smallest_change);
    return r;
}

/* Whether the plane lets it be asked now, as it would a call; the verdict is durable by then. */
static int ask_plane(struct model_record *record, const struct model_route *route,
                     struct model_health *health, struct err *err)
{
    const struct model_call call = {
        .number = 1,
        .endpoint = endpoint_first(route->protocol),
        .model = route->model_count ? route->models[0].name : STR(""),
        .route = route,
        .route_reason = "Whether it answers is asked, without a prompt.",
    };
    char reason[MODEL_REASON_SIZE] = "";
    int r = record->sink.permit(record->sink.context, &call, reason, err);
    if (r == 0)
        set(health, MODEL_REFUSED, "%s", reason);
    return r < 0 ? r : 0;
}

static int prepare(const struct model_routes *routes, size_t index, const struct policy *policy,
                   struct model_record *record, struct place *place, struct look *look,
                   struct buf *url, struct model_health *health, struct err *err)
{
    const struct model_route *route = &routes->routes[index];
    *health = (struct model_health){ .state = MODEL_UNAVAILABLE };
    if (route->refusal.len) {
        set(health, MODEL_REFUSED, "%.*s", STR_ARG(route->refusal));
        return 0;
    }
    if (route->is_hosted) {
        int r = record ? ask_plane(record, route, health, err)
                       : ask_layers(policy, &routes->origins[index], health, err);
        if (r < 0 || health->state == MODEL_REFUSED)
            return r;
        if (!record) {
            set(health, MODEL_UNASKED, "`agent-machine model test` asks it");
            return 0;
        }
    }
    add_root(url, route->base_url);
    buf_add_text(url, local_list_path(form_of(route)));
    *place = (struct place){ record, route };
    look->request.url = url->data;
    look->request.proxy = route->proxy;
    look->request.addresses = route->addresses;
    look->request.address_count = route->address_count;
    if (route->is_hosted && !route->proxy) {
        look->address = may_connect;
        look->context = place;
    }
    return url->error ? no_memory(err) : 0;
}

/* --- what it says ---------------------------------------------------------------------------- */

/* The first model that a server of this machine does not have. */
static const struct model_name *find_missing(const struct model_route *route,
                                             const struct local_models *models)
{
    for (size_t i = 0; i < route->model_count; i++)
        if (!local_models_find(models, route->models[i].upstream))
            return &route->models[i];
    return NULL;
}

static void judge(const struct model_routes *routes, size_t index, const struct look *look,
                  struct model_health *health)
{
    const struct model_route *route = &routes->routes[index];
    const struct local_service *service = local_service_of(str_from(route->provider->name));
    struct local_models models = { 0 };
    if (!look->status) {
        struct str launch =
            text_of(at(routes->origins[index].provider.root, "/runtime/launchCommand"));
        set(health, MODEL_UNAVAILABLE, "nothing answers at %.*s: %s%s%.*s",
            STR_ARG(route->base_url), look->cause, launch.len ? "; it is started by: " : "",
            STR_ARG(launch));
        return;
    }
    if (route->is_hosted) {
        set(health, MODEL_ONLINE, "%s", "");
        return;
    }
    if (look->status != 200 ||
        local_models_read(buf_str(&look->body), form_of(route), &models) < 0) {
        set(health, MODEL_UNAVAILABLE, "what answers at %.*s is no server of models (status %u)",
            STR_ARG(route->base_url), look->status);
        return;
    }
    const struct model_name *missing =
        service && service->has_one && models.count ? NULL : find_missing(route, &models);
    if (missing)
        set(health, MODEL_UNAVAILABLE,
            "the server at %.*s answers, and has no %.*s; see `agent-machine model pull`",
            STR_ARG(route->base_url), STR_ARG(missing->upstream));
    else
        set(health, MODEL_LOCAL, "%s", "");
    local_models_release(&models);
}

/* What stands in for those that are not there. */
static void find_fallbacks(const struct model_routes *routes, struct model_health *health)
{
    for (size_t i = 0; i < routes->count; i++) {
        const struct model_route *route = &routes->routes[i];
        for (size_t f = 0; f < route->fallback_count; f++)
            for (size_t j = 0; j < routes->count && health[i].state == MODEL_UNAVAILABLE; j++)
                if (health[j].state == MODEL_LOCAL &&
                    str_equal(routes->routes[j].binding_ref, route->fallback_refs[f])) {
                    char was[256];
                    snprintf(was, sizeof(was), "%.255s", health[i].why);
                    set(&health[i], MODEL_FALLBACK, "%.*s stands in for it; %s",
                        STR_ARG(routes->routes[j].provider_ref), was);
                }
    }
}

int model_health_read(struct plane *plane, const struct model_routes *routes,
                      struct model_record *record, struct model_health *ret, struct err *err)
{
    size_t count = routes->count, asked = 0;
    _cleanup_(cleanup_free) struct look *looks = calloc(count + 1, sizeof(*looks));
    _cleanup_(cleanup_free) struct buf *urls = calloc(count + 1, sizeof(*urls));
    _cleanup_(cleanup_free) struct place *places = calloc(count + 1, sizeof(*places));
    _cleanup_(cleanup_free) size_t *of = calloc(count + 1, sizeof(*of));
    const struct policy *policy = NULL;
    if (!looks || !urls || !places || !of)
        return no_memory(err);
    int r = count && !record ? gate_layers_policy(plane, STR(""), &policy, err) : 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        urls[i] = BUF_INIT;
        r = prepare(routes, i, policy, record, &places[i], &looks[asked], &urls[i], &ret[i], err);
        if (r == 0 && looks[asked].request.url)
            of[asked++] = i;
    }
    if (r == 0 && asked)
        r = looks_take(looks, asked, gate_layers_references(plane), err);
    for (size_t i = 0; i < asked; i++) {
        if (r == 0)
            judge(routes, of[i], &looks[i], &ret[of[i]]);
        look_release(&looks[i]);
    }
    for (size_t i = 0; i < count; i++)
        buf_release(&urls[i]);
    if (r == 0)
        find_fallbacks(routes, ret);
    return r;
}

/* --- servers --------------------------------------------------------------------------------- */

int model_services_read(struct model_services *ret, struct err *err)
{
    struct look looks[16] = { 0 };
    char urls[16][64];
    assert(local_service_count <= ARRAY_LEN(looks));
    struct model_services found = { .services =
                                        calloc(local_service_count, sizeof(*found.services)) };
    if (!found.services)
        return no_memory(err);
    for (size_t i = 0; i < local_service_count; i++) {
        snprintf(urls[i], sizeof(urls[i]), "http://127.0.0.1:%u%s", local_services[i].port,
                 local_list_path(local_services[i].form));
        looks[i].request.url = urls[i];
    }
    int r = looks_take(looks, local_service_count, NULL, err);
    for (size_t i = 0; i < local_service_count; i++) {
        struct model_service_found *service = &found.services[found.count];
        if (r == 0 && looks[i].status == 200 &&
            local_models_read(buf_str(&looks[i].body), local_services[i].form, &service->models) ==
                0) {
            service->of = &local_services[i];
            found.count++;
        }
        look_release(&looks[i]);
    }
    if (r < 0)
        model_services_release(&found);
    else
        *ret = found;
    return r;
}

void model_services_release(struct model_services *services)
{
    for (size_t i = 0; i < services->count; i++)
        local_models_release(&services->services[i].models);
    free(services->services);
    *services = (struct model_services){ 0 };
}
