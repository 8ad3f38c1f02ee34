/* model test: whether the models of a profile could answer now, and which servers are here. */
#include "base/json.h"
#include "cmd/model.h"
#include "cmd/tell.h"
#include "plane/model_health.h"

enum { TEST_MODEL, TEST_PROFILE, TEST_JSON };

const struct option_row model_test_options[MODEL_TEST_OPTION_COUNT] = {
    [TEST_MODEL] = { "model", 'm', "NAME", "of the bindings that answer this model alone" },
    [TEST_PROFILE] = { "profile", 'p', "NAME", "the machine profile (personal)" },
    [TEST_JSON] = { "json", 'j', NULL, "print each binding and each server as a line of JSON" },
};

static bool answers(const struct model_route *route, const char *model)
{
    for (size_t i = 0; i < route->model_count && model; i++)
        if (str_equal(route->models[i].name, str_from(model)))
            return true;
    return !model;
}

static bool is_bound(const struct model_routes *routes, const char *upstream)
{
    for (size_t i = 0; i < routes->count; i++)
        for (size_t j = 0; j < routes->routes[i].model_count && !routes->routes[i].is_hosted; j++)
            if (str_equal(routes->routes[i].models[j].upstream, str_from(upstream)))
                return true;
    return false;
}

/* --- for people ---------------------------------------------------------------------------- */

static void print_route(const struct model_route *route, const struct model_health *health)
{
    struct buf line = BUF_INIT;
    op_print_wrapped("", 0, route->binding_ref);
    buf_addf(&line, "%s%s%s", model_state_name(health->state), health->why[0] ? ": " : "",
             health->why);
    op_print_wrapped("  state", 9, buf_str(&line));
    buf_release(&line);
}

static void print_service(const struct model_routes *routes,
                          const struct model_service_found *service)
{
    struct buf line = BUF_INIT;
    buf_addf(&line, "%s at http://127.0.0.1:%u", service->of->name, service->of->port);
    op_print_wrapped("", 0, buf_str(&line));
    for (size_t i = 0; i < service->models.count; i++) {
        const struct local_model *model = &service->models.models[i];
        buf_reset(&line);
        buf_addf(&line, "%s%s", model->name,
                 is_bound(routes, model->name) ? ", which is bound" : ", which is not bound");
        op_print_wrapped("  has", 9, buf_str(&line));
    }
    buf_release(&line);
}

/* --- for programs -------------------------------------------------------------------------- */

static void print_route_json(const struct model_route *route, const struct model_health *health)
{
    struct buf line = BUF_INIT;
    buf_add_text(&line, "{\"modelProviderBindingRef\":");
    json_add_string(&line, route->binding_ref);
    json_add_name(&line, "providerRef");
    json_add_string(&line, route->provider_ref);
    buf_addf(&line, ",\"route\":\"%s\",\"state\":\"%s\"", route->is_hosted ? "hosted" : "local",
             model_state_name(health->state));
    if (health->why[0]) {
        json_add_name(&line, "reason");
        json_add_string(&line, str_from(health->why));
    }
    printf("%s}\n", line.data);
    buf_release(&line);
}

static void print_service_json(const struct model_service_found *service)
{
    struct buf line = BUF_INIT;
    buf_addf(&line, "{\"service\":\"%s\",\"runtime\":\"%s\",\"endpoint\":\"http://127.0.0.1:%u\"",
             service->of->name, service->of->kind, service->of->port);
    buf_add_text(&line, ",\"models\":[");
    for (size_t i = 0; i < service->models.count; i++) {
        const struct local_model *model = &service->models.models[i];
        buf_add_text(&line, i ? ",{\"name\":" : "{\"name\":");
        json_add_string(&line, str_from(model->name));
        if (model->size_bytes)
            buf_addf(&line, ",\"sizeBytes\":%llu", (unsigned long long)model->size_bytes);
        if (model->digest[0])
            buf_addf(&line, ",\"digest\":\"%s\"", model->digest);
        buf_add_char(&line, '}');
    }
    printf("%s]}\n", line.data);
    buf_release(&line);
}

/* --- the verb ------------------------------------------------------------------------------ */

/* How many of them could answer. */
static size_t print_routes(const struct invocation *invocation, const struct model_routes *routes,
                           const struct model_health *health)
{
    size_t usable = 0;
    for (size_t i = 0; i < routes->count; i++) {
        const struct model_route *route = &routes->routes[i];
        if (!answers(route, invocation->values[TEST_MODEL]))
            continue;
        usable += health[i].state == MODEL_LOCAL || health[i].state == MODEL_ONLINE ||
                  health[i].state == MODEL_FALLBACK;
        if (invocation->values[TEST_JSON])
            print_route_json(route, &health[i]);
        else
            print_route(route, &health[i]);
    }
    return usable;
}

static int tell(const struct invocation *invocation, struct plane *plane,
                const struct model_routes *routes)
{
    _cleanup_(cleanup_free) struct model_health *health =
        calloc(routes->count + 1, sizeof(*health));
    _cleanup_(model_services_release) struct model_services services = { 0 };
    struct err err = { 0 };
    int r = health ? model_health_read(plane, routes, true, health, &err)
                   : err_set(&err, ERR_MEMORY, "test models", "there is not enough memory");
    if (r == 0 && !invocation->values[TEST_MODEL])
        r = model_services_read(&services, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    size_t usable = print_routes(invocation, routes, health);
    for (size_t i = 0; i < services.count; i++) {
        if (invocation->values[TEST_JSON])
            print_service_json(&services.services[i]);
        else
            print_service(routes, &services.services[i]);
    }
    if (!usable && !invocation->values[TEST_JSON])
        puts("no model could answer");
    return usable ? EXIT_OK : EXIT_NEGATIVE;
}

int run_model_test(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(model_routes_release) struct model_routes routes = { 0 };
    struct err err = { 0 };
    if (model_open_routes(invocation->values[TEST_PROFILE], &plane, &routes, &err) < 0)
        return tell_error(invocation, &err);
    return tell(invocation, plane, &routes);
}
