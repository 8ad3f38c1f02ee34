/* model test: whether the models of a profile could answer now, and which servers are here. */
#include "base/json.h"
#include "cmd/model.h"
#include "cmd/own_run.h"
#include "cmd/tell.h"
#include "plane/model_check.h"

#define TEST_SECONDS_MAX 30 /* far more than a look takes */

enum { TEST_MODEL, TEST_PROFILE, TEST_DELEGATION, TEST_REASON, TEST_JSON };

const struct option_row model_test_options[MODEL_TEST_OPTION_COUNT] = {
    [TEST_MODEL] = { "model", 'm', "NAME", "of the bindings that answer this model alone" },
    [TEST_PROFILE] = { "profile", 'p', "NAME", "the machine profile (personal)" },
    [TEST_DELEGATION] = { "delegation", 'd', "ID", "under which delegation" },
    [TEST_REASON] = { "reason", 'r', "TEXT", "why, for the record" },
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

static int tell(const struct invocation *invocation, const struct model_check *check)
{
    size_t usable = print_routes(invocation, &check->routes, check->health);
    for (size_t i = 0; i < check->services.count; i++) {
        if (invocation->values[TEST_JSON])
            print_service_json(&check->services.services[i]);
        else
            print_service(&check->routes, &check->services.services[i]);
    }
    if (!usable && !invocation->values[TEST_JSON])
        puts("no model could answer");
    return usable ? EXIT_OK : EXIT_NEGATIVE;
}

/* It makes no call of a model, and takes a moment. */
static void lower(int64_t ceiling[DIMENSION_COUNT])
{
    static const int64_t most[DIMENSION_COUNT] = { [DIMENSION_WALL_CLOCK_SECONDS] =
                                                       TEST_SECONDS_MAX,
                                                   [DIMENSION_CPU_SECONDS] = TEST_SECONDS_MAX,
                                                   [DIMENSION_AGENT_CONCURRENCY] = 1 };
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        if (ceiling[i] > most[i])
            ceiling[i] = most[i];
}

int run_model_test(const struct invocation *invocation)
{
    static const char *const arguments[] = { "model", "test" };
    const struct own_run_command command = { .arguments = arguments,
                                             .argument_count = ARRAY_LEN(arguments),
                                             .delegation = invocation->values[TEST_DELEGATION],
                                             .reason = invocation->values[TEST_REASON] };
    struct model_check check = { .finds_services = !invocation->values[TEST_MODEL] };
    struct plane_options plug = { 0 };
    struct own_run run = { 0 };
    struct outcome outcome = { 0 };
    struct err err = { 0 };
    model_check_plug(&check, &plug);
    int r = own_run_open(&run, &plug, invocation->values[TEST_PROFILE], &err);
    check.profile = str_from(run.urn);
    lower(run.ceiling);
    if (r == 0)
        r = own_run_submit(&run, &command, &outcome, &err);
    int status = r < 0                  ? tell_error(invocation, &err)
                 : outcome.failure.code ? tell_error(invocation, &outcome.failure)
                                        : tell(invocation, &check);
    model_check_release(&check);
    own_run_release(&run);
    return status;
}
