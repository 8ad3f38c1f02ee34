/* model: which model providers are bound to a profile, and how a model's name is answered. */
#include "cmd/model.h"

#include "base/json.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "doors/model/protocol.h"
#include "plane/model_health.h"
#include "plane/model_presets.h"
#include "plane/model_routes.h"
#include "plane/profile.h"

void model_profile(const char *given, char ret[PLANE_URN_MAX])
{
    op_urn("agent-machine-profile", given ? given : PROFILE_PERSONAL, ret);
}

int model_submit(const struct invocation *invocation, struct plane *plane,
                 const struct submission *submission, const struct plane_asks *asks, bool json)
{
    _cleanup_(buf_release) struct buf command = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    char record[PLANE_URN_MAX];
    struct outcome outcome;
    struct err err = { 0 };
    int r = plane_write_submit(submission, &command, &err);
    if (r == 0)
        r = plane_submit(plane, buf_str(&command), asks, &outcome, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    if (outcome.failure.code && !json)
        return tell_error(invocation, &outcome.failure);
    snprintf(record, sizeof(record), "urn:srcos:model-provider-binding:%.*s",
             STR_ARG(urn_local(str_from(outcome.operation))));
    if (json)
        op_print_outcome(&outcome, record);
    else
        puts(record);
    return err_exit_status(outcome.failure.code);
}

/* --- unbind -------------------------------------------------------------------------------- */

enum { UNBIND_PROFILE, UNBIND_REASON, UNBIND_DELEGATION, UNBIND_JSON };

static const struct option_row unbind_options[] = {
    [UNBIND_PROFILE] = { "profile", 'p', "NAME", "the machine profile (personal)" },
    [UNBIND_REASON] = { "reason", 'r', "TEXT", "why, for the record" },
    [UNBIND_DELEGATION] = { "delegation", 'd', "ID", "under which delegation" },
    [UNBIND_JSON] = { "json", 'j', NULL, "print the outcome as a JSON object" },
};

/* By the provider, the binding, or the part of either's URN behind its type. */
static bool is_meant(const yyjson_val *item, const char *name)
{
    const struct model_preset *preset = model_preset_find(name);
    struct str given = str_from(preset ? preset->urn : name);
    struct str refs[] = { text_of(member(item, "providerRef")),
                          text_of(member(item, "bindingRef")) };
    for (size_t i = 0; i < ARRAY_LEN(refs); i++)
        if (str_equal(refs[i], given) || str_equal(urn_local(refs[i]), given))
            return true;
    return false;
}

static int write_unbind(struct plane *plane, const char *profile, const char *name,
                        struct buf *json, struct err *err)
{
    _cleanup_(cleanup_model_bound) struct model_bound bound = { 0 };
    const yyjson_val *found = NULL;
    int r = model_bound_read(plane, str_from(profile), &bound, err);
    for (size_t i = 0; i < yyjson_arr_size(bound.list) && !found; i++) {
        const yyjson_val *item = yyjson_arr_get(bound.list, i);
        found = is_meant(item, name) ? item : NULL;
    }
    if (r == 0 && !found)
        r = err_set(err, ERR_NOT_FOUND, "find a binding",
                    "%s is not bound to %s; see `agent-machine model list`", name, profile);
    if (r < 0)
        return r;
    buf_add_text(json, "{\"action\":\"unbind\",\"agentMachineProfileRef\":");
    json_add_string(json, str_from(profile));
    json_add_name(json, "providerRef");
    json_add_string(json, text_of(member(found, "providerRef")));
    buf_add_char(json, '}');
    return 0;
}

static int run_unbind(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    const char *reason = invocation->values[UNBIND_REASON];
    char profile[PLANE_URN_MAX], delegation[PLANE_URN_MAX] = "";
    struct err err = { 0 };
    model_profile(invocation->values[UNBIND_PROFILE], profile);
    int r = op_open(LEDGER_WRITE, &plane, &err);
    if (r == 0)
        r = write_unbind(plane, profile, invocation->operands[0], &json, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    if (invocation->values[UNBIND_DELEGATION])
        op_urn("delegation", invocation->values[UNBIND_DELEGATION], delegation);
    struct submission submission = { .type = OPERATION_MODEL_PROVIDER_BIND,
                                     .workspace = STR(PROFILE_WORKSPACE),
                                     .parameters = buf_str(&json),
                                     .delegation = str_from(delegation),
                                     .reason = str_from(reason ? reason : "") };
    return model_submit(invocation, plane, &submission, NULL, invocation->values[UNBIND_JSON]);
}

/* --- list ---------------------------------------------------------------------------------- */

enum { LIST_PROFILE, LIST_JSON };

static const struct option_row list_options[] = {
    [LIST_PROFILE] = { "profile", 'p', "NAME", "the machine profile (personal)" },
    [LIST_JSON] = { "json", 'j', NULL, "print the bindings, each on a line" },
};

static void print_binding(const struct model_routes *routes, size_t index,
                          const struct model_health *health)
{
    const struct model_route *route = &routes->routes[index];
    _cleanup_(buf_release) struct buf models = BUF_INIT;
    for (size_t i = 0; i < route->model_count; i++)
        buf_addf(&models, "%s%.*s", i ? ", " : "", STR_ARG(route->models[i].name));
    op_print_wrapped("", 0, route->binding_ref);
    op_print_wrapped("  of", 10, route->provider_ref);
    op_print_wrapped("  models", 10, buf_str(&models));
    op_print_wrapped("  prompts", 10,
                     route->is_hosted ? STR("leave this machine, where the layers allow it")
                                      : STR("stay on this machine"));
    if (route->base_url.len && !route->refusal.len)
        op_print_wrapped("  at", 10, route->base_url);
    buf_reset(&models);
    buf_addf(&models, "%s%s%s", model_state_name(health->state), health->why[0] ? ": " : "",
             health->why);
    op_print_wrapped("  state", 10, buf_str(&models));
}

static void print_binding_json(const struct model_origin *origin)
{
    struct buf line = BUF_INIT;
    json_add_value(&line, origin->binding, 0);
    puts(line.data);
    buf_release(&line);
}

int model_open_routes(const char *given, struct plane **ret_plane, struct model_routes *ret,
                      struct err *err)
{
    char profile[PLANE_URN_MAX];
    model_profile(given, profile);
    int r = op_open(LEDGER_READ, ret_plane, err);
    return r < 0 ? r : model_routes_read(*ret_plane, STR(""), str_from(profile), ret, err);
}

static int run_list(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(model_routes_release) struct model_routes routes = { 0 };
    bool json = invocation->values[LIST_JSON];
    struct err err = { 0 };
    if (model_open_routes(invocation->values[LIST_PROFILE], &plane, &routes, &err) < 0)
        return tell_error(invocation, &err);
    _cleanup_(cleanup_free) struct model_health *health = calloc(routes.count + 1, sizeof(*health));
    int r = health ? 0 : err_set(&err, ERR_MEMORY, "list models", "there is not enough memory");
    if (r == 0 && !json)
        r = model_health_read(plane, &routes, NULL, health, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    for (size_t i = 0; i < routes.count; i++) {
        if (json)
            print_binding_json(&routes.origins[i]);
        else
            print_binding(&routes, i, &health[i]);
    }
    if (!routes.count && !json)
        puts("no model is bound; see `agent-machine model bind`");
    return EXIT_OK;
}

/* --- route --------------------------------------------------------------------------------- */

enum { ROUTE_MODEL, ROUTE_PROTOCOL, ROUTE_PROFILE, ROUTE_JSON };

static const struct option_row route_options[] = {
    [ROUTE_MODEL] = { "model", 'm', "NAME", "the model that a client asks for" },
    [ROUTE_PROTOCOL] = { "protocol", 0, "NAME",
                         "what the client speaks: openai (the default), anthropic or ollama" },
    [ROUTE_PROFILE] = { "profile", 'p', "NAME", "the machine profile (personal)" },
    [ROUTE_JSON] = { "json", 'j', NULL, "print the choice as a JSON object" },
};

static bool read_protocol(const char *name, enum model_protocol *ret)
{
    *ret = MODEL_OPENAI;
    for (size_t i = 0; i < MODEL_PROTOCOL_COUNT && name; i++) {
        *ret = (enum model_protocol)i;
        if (strcmp(model_protocol_name(*ret), name) == 0)
            return true;
    }
    return !name;
}

static void print_choice(const struct model_routes *routes, const struct route_choice *choice)
{
    for (size_t i = 0; i < choice->count; i++) {
        const struct route_candidate *candidate = &choice->candidates[i];
        const struct model_route *route = &routes->routes[candidate->route];
        char number[32];
        snprintf(number, sizeof(number), "%zu.", i + 1);
        op_print_wrapped(number, 4, route->binding_ref);
        op_print_wrapped("    of", 13, route->provider_ref);
        op_print_wrapped("    as", 13, candidate->upstream_model);
        op_print_wrapped("    prompts", 13,
                         route->is_hosted ? STR("leave this machine, where the layers allow it")
                                          : STR("stay on this machine"));
        op_print_wrapped("    why", 13, str_from(candidate->reason));
    }
    if (!choice->count)
        op_print_wrapped("", 0, str_from(choice->refusal));
}

static void print_choice_json(const struct model_routes *routes, const struct route_choice *choice)
{
    struct buf line = BUF_INIT;
    buf_add_text(&line, "{\"routes\":[");
    for (size_t i = 0; i < choice->count; i++) {
        const struct route_candidate *candidate = &choice->candidates[i];
        const struct model_route *route = &routes->routes[candidate->route];
        buf_addf(&line, "%s{\"route\":\"%s\"", i ? "," : "", route->is_hosted ? "hosted" : "local");
        json_add_name(&line, "modelProviderBindingRef");
        json_add_string(&line, route->binding_ref);
        json_add_name(&line, "providerRef");
        json_add_string(&line, route->provider_ref);
        json_add_name(&line, "upstreamModel");
        json_add_string(&line, candidate->upstream_model);
        json_add_name(&line, "reason");
        json_add_string(&line, str_from(candidate->reason));
        buf_add_char(&line, '}');
    }
    buf_add_char(&line, ']');
    if (!choice->count) {
        json_add_name(&line, "refusal");
        json_add_string(&line, str_from(choice->refusal));
    }
    buf_add_char(&line, '}');
    puts(line.data);
    buf_release(&line);
}

static int run_route(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(model_routes_release) struct model_routes routes = { 0 };
    const char *model = invocation->values[ROUTE_MODEL];
    struct route_choice choice;
    enum model_protocol protocol;
    struct err err = { 0 };
    if (!model)
        return tell_usage(invocation->path, "--model is missing: which model a client asks for");
    if (!read_protocol(invocation->values[ROUTE_PROTOCOL], &protocol))
        return tell_usage(invocation->path, "--protocol takes openai, anthropic or ollama");
    if (model_open_routes(invocation->values[ROUTE_PROFILE], &plane, &routes, &err) < 0)
        return tell_error(invocation, &err);
    routes_choose(routes.routes, routes.count, endpoint_first(protocol), str_from(model), &choice);
    if (invocation->values[ROUTE_JSON])
        print_choice_json(&routes, &choice);
    else
        print_choice(&routes, &choice);
    return choice.count ? EXIT_OK : EXIT_NEGATIVE;
}

/* --- what is no verb of this machine --------------------------------------------------------- */

static int refuse(const struct invocation *invocation, const char *why)
{
    struct err err;
    err_set(&err, ERR_DENIED, "change a model", "%s", why);
    return tell_error(invocation, &err);
}

static int run_promote(const struct invocation *invocation)
{
    return refuse(invocation, MODEL_NO_PROMOTION);
}

static int run_retire(const struct invocation *invocation)
{
    return refuse(invocation, MODEL_NO_LIFECYCLE);
}

static int run_tune(const struct invocation *invocation)
{
    return refuse(invocation, MODEL_NO_TUNING);
}

#define REFUSED                                                                                    \
    .operands = "MODEL", .operands_min = 1, .operands_max = 1,                                     \
    .description = "Always refused: a machine carries references to models and has no authority "  \
                   "over them. It says what would be needed."

/* --- the table ----------------------------------------------------------------------------- */

static const struct verb verbs[] = {
    {
        .name = "bind",
        .operands = "FILE|PRESET|PROVIDER",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Bind a model provider to a profile",
        .description =
            "Binds a provider to a machine profile, as a route of the Model Door, and prints the "
            "record. A provider is a LocalModelProfile or an ExternalModelProviderProfile: a file, "
            "which is stored with the binding; a preset, llama3.2:1b or llama3.2:3b, which Ollama "
            "serves; or one that a layer or the ledger has.\n\n"
            "Prompts leave this machine only for a provider that is bound with --egress "
            "allow-with-policy and the consent that its profile asks for, and only where the "
            "layers of policy let them. Nothing is downloaded.",
        .options = model_bind_options,
        .option_count = MODEL_BIND_OPTION_COUNT,
        .run = run_model_bind,
    },
    {
        .name = "unbind",
        .operands = "PROVIDER|BINDING",
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Undo a binding",
        .description = "Undoes a binding, and prints the record that says so. Runs that go on have "
                       "that route no longer; prompts that have left are not taken back.",
        .options = unbind_options,
        .option_count = ARRAY_LEN(unbind_options),
        .run = run_unbind,
    },
    {
        .name = "list",
        .summary = "List what is bound to a profile",
        .description =
            "Prints the bindings of a profile: which models they answer, whether prompts leave "
            "this machine, and how each stands: local (a server of this machine has the model), "
            "cached fallback (what stands in for it is here), unavailable, or refused by policy, "
            "with the reason. Hosted providers are not asked.",
        .options = list_options,
        .option_count = ARRAY_LEN(list_options),
        .run = run_list,
    },
    {
        .name = "route",
        .summary = "Explain by which binding a model is answered",
        .description = "Prints the bindings that would be tried for a model's name, in their "
                       "order, each with its reason: local ones first, and hosted ones after "
                       "another only where that one's binding names them. Nothing is asked of any "
                       "provider. With no route the exit status is 1.",
        .options = route_options,
        .option_count = ARRAY_LEN(route_options),
        .run = run_route,
    },
    {
        .name = "serve",
        .summary = "Offer the models of a profile outside a run",
        .description =
            "Stands on loopback or at a Unix socket until it is ended (SIGTERM, `stop`), or its "
            "time is over, and answers clients of OpenAI (with /v1 behind the address), Anthropic "
            "and Ollama by the routes of a machine profile. It is an operation as a run is: "
            "delegated, gated, recorded, and within a budget, by default the profile's.\n\n"
            "Clients have to show the token that is printed once, or stands in a file. Each call "
            "that no budget covers is refused in the client's own protocol. At the end it says "
            "what left this machine.\n\n"
            "The exit status is 0 where a signal asked it to end, 78 where its time was over, and "
            "130 "
            "where it was stopped, or what it runs under was taken back.",
        .options = model_serve_options,
        .option_count = MODEL_SERVE_OPTION_COUNT,
        .run = run_model_serve,
    },
    {
        .name = "pull",
        .operands = "PRESET|FILE|PROVIDER",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Fetch the weights of a local model",
        .description =
            "Has Ollama fetch the model of a LocalModelProfile, after saying its size and licence, "
            "and shows how far it is. It is an operation: the model's profile, the layers' rules "
            "about the model, and their verdict on the registry's host have to let it. Nothing "
            "else in this program ever fetches a model.\n\n"
            "What was fetched is verified by its digests, and where --digest pins the model's, "
            "held against that. One that was ended goes on where it was when it is typed again.",
        .options = model_pull_options,
        .option_count = MODEL_PULL_OPTION_COUNT,
        .run = run_model_pull,
    },
    {
        .name = "test",
        .summary = "Ask whether models could answer, and find servers of this machine",
        .description =
            "Asks the servers of this machine which models they have, and hosted providers, where "
            "they may be used, whether they answer at all: without a prompt and without a "
            "credential. It is an operation: who is asked is delegated, gated and on record. Then "
            "lists the servers of models that are found at their usual "
            "ports on loopback (Ollama, llama.cpp, LM Studio and others). Where no binding could "
            "answer the exit status is 1.",
        .options = model_test_options,
        .option_count = MODEL_TEST_OPTION_COUNT,
        .run = run_model_test,
    },
    {
        .name = "usage",
        .summary = "Show what calls of models have used",
        .description = "Adds up the calls that the ledger's events have, by model and binding. "
                       "Of prompts and answers only digests and sizes are recorded.",
        .options = model_usage_options,
        .option_count = MODEL_USAGE_OPTION_COUNT,
        .run = run_model_usage,
    },
    { .name = "promote",
      .summary = "Refused: models are not promoted here",
      REFUSED,
      .run = run_promote },
    { .name = "retire",
      .summary = "Refused: a model's lifecycle is its owner's",
      REFUSED,
      .run = run_retire },
    { .name = "tune", .summary = "Refused: models are not tuned here", REFUSED, .run = run_tune },
};

const struct verb verb_model = {
    .name = "model",
    .summary = "Bind model providers to profiles, serve them, see routes and use",
    .description = "Models are reached through the Model Door alone, by routes: each is a provider "
                   "that was bound to the machine profile of the run.",
    .verbs = verbs,
    .verb_count = ARRAY_LEN(verbs),
};
