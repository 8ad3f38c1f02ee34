/*
 * model_ruling: see the header.
 *
 * Theory of operation. Who answers, in this order: the documents of the route
 * itself (model_obstacle), the delegation that a command names, the gate of
 * model providers, and for a hosted route the layers' verdict on the place where
 * prompts would go, asked as a door that asks for itself. The first that denies
 * decides; a layer that asks decides where nobody denies; else the binding does,
 * which is the user's word. Each layer's strictest answer goes into the record.
 */
#include "plane/model_ruling.h"

#include "base/clock.h"
#include "base/json.h"
#include "contract/rules.h"
#include "plane/decision.h"
#include "plane/gate_layers.h"

#define STEP_RULING "decide about a model route"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_RULING, "there is not enough memory");
}

/* --- who says what ------------------------------------------------------------------------- */

static void set(struct model_answer *ret, enum answer answer, struct str rule, struct str document,
                const char *pointer)
{
    ret->answer = answer;
    snprintf(ret->rule, sizeof(ret->rule), "%.*s", STR_ARG(rule));
    snprintf(ret->document, sizeof(ret->document), "%.*s", STR_ARG(document));
    snprintf(ret->pointer, sizeof(ret->pointer), "%s", pointer);
}

static void keep(struct model_ruling *ruling, enum layer layer, enum answer answer, struct str rule,
                 struct str document, const char *pointer)
{
    if (answer > ruling->layers[layer].answer)
        set(&ruling->layers[layer], answer, rule.len ? rule : STR("default"), document, pointer);
}

/* What decides unless something stricter has. */
static void decide(struct model_ruling *ruling, enum answer answer, const char *reason,
                   const char *change)
{
    ruling->answer = answer;
    snprintf(ruling->reason, sizeof(ruling->reason), "%s", reason);
    snprintf(ruling->change, sizeof(ruling->change), "%s", change);
}

static void deny_built_in(struct model_ruling *ruling, const char *rule, struct str document,
                          const char *reason, const char *change)
{
    if (ruling->answer == ANSWER_DENY)
        return;
    decide(ruling, ANSWER_DENY, reason, change);
    ruling->built_in = true;
    set(&ruling->decided, ANSWER_DENY, str_from(rule), document, "");
}

static void begin(struct model_ruling *ruling, const struct model_route *route)
{
    *ruling = (struct model_ruling){ .layer = LAYER_USER };
    keep(ruling, LAYER_USER, ANSWER_ALLOW, STR("model-bound"), route->binding_ref, "/models");
    ruling->decided = ruling->layers[LAYER_USER];
    decide(ruling, ANSWER_ALLOW,
           route->is_hosted ? "The model is bound to the profile, its terms are accepted, and the "
                              "layers let prompts go to this provider."
                            : "The model is bound to the profile, and prompts stay on this "
                              "machine.",
           "Unbind the provider: agent-machine model unbind");
}

/* A delegation that the command names gives providers one by one. */
static int ask_delegation(struct work *work, const struct model_route *route,
                          struct model_ruling *ruling, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct str id = text_of(member(work_command(work), "delegationRef"));
    if (!id.len)
        return 0;
    int r = delegation_get(work_plane(work)->ledger, id, &doc, err);
    if (r == 0 &&
        !array_has(at(yyjson_doc_get_root(doc), "/scope/modelProviderRefs"), route->provider_ref))
        deny_built_in(ruling, "not-delegated", id,
                      "The delegation under which this runs does not give the model provider.",
                      "Name it in a delegation: agent-machine delegation issue --provider");
    return r;
}

static void make_question(const struct work *work, const struct model_routes *routes, size_t route,
                          struct gate_question *ret)
{
    *ret = (struct gate_question){
        .gate = GATE_MODEL_PROVIDER_USE,
        .kind = "model-provider",
        .name = routes->routes[route].provider_ref,
        .pointer = "/scope/modelProviderRefs",
        .subject = work_text(work, WORK_OPERATION, "subjectRef"),
        .workspace = work_text(work, WORK_OPERATION, "workspaceRef"),
        .profile = text_of(member(routes->origins[route].binding, "agentMachineProfileRef")),
    };
}

static int ask_gate(struct work *work, const struct model_routes *routes, size_t route,
                    struct model_ruling *ruling, struct err *err)
{
    const struct plane_options *options = &work_plane(work)->options;
    struct gate_question question;
    struct gate_answer answer = { 0 };
    make_question(work, routes, route, &question);
    int r = options->gate(options->gate_context, &question, &answer, err);
    if (r < 0 || answer.answer == ANSWER_NOTHING)
        return r;
    if (!answer.built_in)
        keep(ruling, answer.layer, answer.answer, str_from(answer.rule), str_from(answer.document),
             answer.pointer);
    if (answer.answer <= ruling->answer)
        return 0;
    decide(ruling, answer.answer, answer.reason, answer.smallest_change);
    ruling->built_in = answer.built_in;
    ruling->layer = answer.layer;
    set(&ruling->decided, answer.answer, str_from(answer.rule), str_from(answer.document),
        answer.pointer);
    return 0;
}

/* `address` NULL: about the place by its name; else about an address that the name led to. */
static int ask_place(struct work *work, const struct model_origin *origin,
                     const struct address_range *address, struct verdict *ret, struct err *err)
{
    const struct policy *policy;
    struct policy_destination destination = { .host = str_from(origin->host),
                                              .port = origin->port,
                                              .protocol = STR("https"),
                                              .of_door = true };
    int r = gate_layers_policy(work_plane(work), work_text(work, WORK_OPERATION, "subjectRef"),
                               &policy, err);
    if (r < 0)
        return r;
    return address ? policy_decide_address(policy, &destination, address, ret, err)
                   : policy_decide(policy, &destination, ret, err);
}

static int ask_network(struct work *work, const struct model_origin *origin,
                       struct model_ruling *ruling, struct err *err)
{
    struct verdict verdict;
    int r = ask_place(work, origin, NULL, &verdict, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < LAYER_COUNT; i++) {
        const struct layer_answer *answer = &verdict.layers[i];
        if (answer->document)
            keep(ruling, (enum layer)i, answer->answer, answer->rule, answer->document_id,
                 answer->pointer);
    }
    if (verdict.answer <= ruling->answer)
        return 0;
    decide(ruling, verdict.answer, verdict.reason, verdict.smallest_change);
    ruling->built_in = verdict.built_in;
    ruling->layer = verdict.layer;
    set(&ruling->decided, verdict.answer, verdict.rule, verdict.document_id, verdict.pointer);
    return 0;
}

int model_ruling_find(struct work *work, const struct model_routes *routes, size_t route,
                      struct model_ruling *ruling, struct err *err)
{
    const struct model_origin *origin = &routes->origins[route];
    const struct model_route *of = &routes->routes[route];
    if (ruling->is_known)
        return 0;
    begin(ruling, of);
    if (of->refusal.len)
        deny_built_in(ruling, "model-route", of->binding_ref, of->refusal.ptr,
                      "Change the binding: agent-machine model unbind, then model bind");
    int r = ask_delegation(work, of, ruling, err);
    if (r == 0)
        r = ask_gate(work, routes, route, ruling, err);
    if (r == 0 && of->is_hosted && origin->host[0])
        r = ask_network(work, origin, ruling, err);
    ruling->is_known = r == 0;
    return r;
}

bool model_ruling_address(struct work *work, const struct model_origin *origin,
                          const struct model_ruling *ruling, const struct address_range *address)
{
    struct verdict verdict;
    if (ask_place(work, origin, address, &verdict, NULL) < 0)
        return false;
    return verdict.answer == ANSWER_ALLOW ||
           (verdict.answer == ANSWER_ASK && ruling->answer == ANSWER_ASK);
}

/* --- a person ------------------------------------------------------------------------------ */

struct asked_person {
    struct gate_question gate;
    struct gate_answer answer;
    struct card_question card;
};

static void make_card(const struct work *work, const struct model_routes *routes, size_t route,
                      const struct model_ruling *ruling, struct asked_person *ret)
{
    make_question(work, routes, route, &ret->gate);
    ret->answer = (struct gate_answer){ .answer = ANSWER_ASK, .layer = ruling->layer };
    snprintf(ret->answer.reason, sizeof(ret->answer.reason), "%s", ruling->reason);
    ret->card = (struct card_question){ &ret->gate, &ret->answer, ret->gate.profile };
}

int model_ruling_consult(struct work *work, const struct model_routes *routes,
                         const struct model_ruling *ruling, struct model_verdict *verdict,
                         struct card_found *card, struct err *err)
{
    struct asked_person person;
    make_card(work, routes, verdict->route, ruling, &person);
    int r = card_consult(work, &person.card, card, err);
    if (r == 0 && card->says == CARD_SAYS_ALLOW)
        verdict->answer = ANSWER_ALLOW;
    else if (r == 0 && card->says == CARD_SAYS_DENY)
        verdict->answer = ANSWER_DENY;
    return r;
}

/* --- the record ---------------------------------------------------------------------------- */

static void add_answer(struct buf *json, const struct model_answer *answer)
{
    json_add_text(json, "ruleId", answer->rule[0] ? str_from(answer->rule) : STR("default"));
    if (answer->document[0])
        json_add_text(json, "documentRef", str_from(answer->document));
    if (answer->pointer[0])
        json_add_text(json, "pointer", str_from(answer->pointer));
}

static void add_answers(struct buf *json, const struct model_ruling *ruling)
{
    static const char *const words[ANSWER_COUNT] = {
        [ANSWER_ALLOW] = "allow", [ANSWER_ASK] = "ask", [ANSWER_DENY] = "deny"
    };
    const char *separator = "";
    json_add_name(json, "answers");
    buf_add_char(json, '[');
    for (size_t i = 0; i < LAYER_COUNT; i++) {
        if (ruling->layers[i].answer == ANSWER_NOTHING)
            continue;
        buf_addf(json, "%s{\"layer\":\"%s\",\"answer\":\"%s\"", separator, layer_names[i],
                 words[ruling->layers[i].answer]);
        add_answer(json, &ruling->layers[i]);
        buf_add_char(json, '}');
        separator = ",";
    }
    buf_add_char(json, ']');
}

#define UNBOUND_REASON "The binding was undone while the run went on."
#define UNBOUND_CHANGE "Bind the provider again: agent-machine model bind"

static void add_decided(struct buf *json, const struct model_route *route,
                        const struct model_ruling *ruling, const struct model_verdict *verdict)
{
    struct model_answer unbound;
    bool built_in = ruling->built_in || verdict->is_unbound;
    const char *change = verdict->is_unbound ? UNBOUND_CHANGE : ruling->change;
    set(&unbound, ANSWER_DENY, STR("model-unbound"), route->binding_ref, "");
    json_add_name(json, "decidedBy");
    buf_addf(json, "{\"layer\":\"%s\"", built_in ? "built-in" : layer_names[ruling->layer]);
    add_answer(json, verdict->is_unbound ? &unbound : &ruling->decided);
    buf_add_text(json, "},\"smallestChange\":{\"summary\":");
    json_add_string(json, str_from(*change ? change : "Change the rule that decided."));
    buf_add_char(json, '}');
    json_add_text(json, "reason", str_from(verdict->is_unbound ? UNBOUND_REASON : ruling->reason));
}

static int write_decision(struct buf *json, const struct work *work,
                          const struct model_routes *routes, const struct model_ruling *ruling,
                          const struct model_verdict *verdict, const struct card_found *card,
                          struct err *err)
{
    char now[CLOCK_TEXT_SIZE], policy[DIGEST_TEXT_SIZE];
    int r = gate_layers_digest(work_plane(work), policy, err);
    if (r < 0)
        return r;
    clock_text(clock_now_ms(), now);
    buf_addf(json, "{\"id\":\"%s\",\"type\":\"PolicyDecision\",\"specVersion\":\"1.0.0\"",
             verdict->decision);
    buf_addf(json, ",\"gate\":\"%s\",\"verdict\":\"%s\"", gate_names[GATE_MODEL_PROVIDER_USE],
             answer_names[verdict->answer]);
    json_add_text(json, "subjectRef", work_text(work, WORK_OPERATION, "subjectRef"));
    json_add_text(json, "operationRef", work_operation(work));
    json_add_text(json, "taskRef", work_text(work, WORK_TASK, "id"));
    buf_add_text(json, ",\"resource\":{\"kind\":\"model\"");
    json_add_text(json, "name", str_from(verdict->model));
    buf_add_char(json, '}');
    add_decided(json, &routes->routes[verdict->route], ruling, verdict);
    add_answers(json, ruling);
    if (card->card[0])
        json_add_text(json, "decisionCardRef", str_from(card->card));
    json_add_text(json, "policyDigest", str_from(policy));
    json_add_text(json, "decidedAt", str_from(now));
    buf_add_char(json, '}');
    return json->error ? no_memory(err) : 0;
}

int model_ruling_write(struct work *work, const struct model_routes *routes,
                       const struct model_ruling *ruling, struct model_verdict *verdict,
                       bool is_here, struct card_found *card, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    struct asked_person person;
    char local[40];
    bool asks = verdict->answer == ANSWER_ASK;
    bool is_new = asks && (card->says == CARD_SAYS_ASK ||
                           (card->says == CARD_SAYS_QUEUED && !card->own && is_here));
    int r = urn_fresh(local, err);
    if (r < 0)
        return r;
    urn_make("policy-decision", str_from(local), verdict->decision);
    make_card(work, routes, verdict->route, ruling, &person);
    if (is_new)
        r = card_name(card, err);
    if (r == 0)
        r = write_decision(&json, work, routes, ruling, verdict, card, err);
    if (r == 0)
        r = decision_bind(work, verdict->decision, buf_str(&json), GATE_MODEL_PROVIDER_USE,
                          answer_names[verdict->answer], err);
    if (r == 0 && is_new)
        r = card_ask(work, &person.card, str_from(verdict->decision), card, err);
    return r == 0 && card->says == CARD_SAYS_ALLOW && card->card[0]
               ? card_put_use(work, str_from(card->card), err)
               : r;
}

void model_ruling_explain(const struct model_ruling *ruling, const struct model_verdict *verdict,
                          char ret[MODEL_REASON_SIZE])
{
    const char *reason = verdict->is_unbound ? UNBOUND_REASON : ruling->reason;
    const char *change = verdict->is_unbound ? UNBOUND_CHANGE : ruling->change;
    if (verdict->answer == ANSWER_ASK)
        change = "A person has been asked: agent-machine op decide";
    snprintf(ret, MODEL_REASON_SIZE, "%.300s %.200s", reason, change);
}
