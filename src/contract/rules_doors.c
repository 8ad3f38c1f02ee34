/*
 * rules_doors: the checks of what the doors may let through, and on whose word.
 *
 * Theory of operation. Profiles of networks, firewalls, meshes, model providers
 * and assistants are policy that people write. The checks ask whether a
 * document keeps to what no document may change (the order of layers, prompts
 * that stay home, evidence without text), and whether it can be followed: each
 * id once, each reference to a document of the right kind. What they say about
 * hosts and address ranges stands in rules_destinations.c.
 */
#include "contract/rules_table.h"

/* --- layers --------------------------------------------------------------------------------- */

static const char *const layers[] = { "enterprise", "workspace", "device",
                                      "user",       "agent",     "model-provider" };

int check_enterprise_first(struct lint *lint, const struct rule *rule,
                           const struct lint_document *document, struct err *err)
{
    const yyjson_val *first = at(document->root, "/precedence/0");
    (void)err;
    if (first && !text_is(first, layers[0]))
        lint_find(lint, rule, document, "/precedence/0",
                  "no layer stands above the enterprise; put enterprise first, or leave precedence "
                  "out");
    return 0;
}

static size_t layer_rank(const yyjson_val *layer)
{
    size_t rank = 0;
    while (rank < ARRAY_LEN(layers) && !text_is(layer, layers[rank]))
        rank++;
    return rank;
}

int check_precedence_order(struct lint *lint, const struct rule *rule,
                           const struct lint_document *document, struct err *err)
{
    const yyjson_val *above = NULL;
    size_t index, count;
    yyjson_val *layer;
    (void)err;
    yyjson_arr_foreach(member(document->root, "precedence"), index, count, layer)
    {
        if (!above && !text_is(layer, layers[0]))
            return 0; /* doors.enterprise-first speaks of that */
        if (above && layer_rank(layer) < layer_rank(above))
            return lint_find(lint, rule, document, pointer_to("/precedence/%zu", index).text,
                             "%.*s stands above %.*s, whatever is written here; the order is "
                             "enterprise, workspace, device, user, agent, model-provider",
                             STR_ARG(text_of(layer)), STR_ARG(text_of(above)));
        above = layer;
    }
    return 0;
}

/* --- ways around ---------------------------------------------------------------------------- */

static void check_mesh(struct lint *lint, const struct rule *rule,
                       const struct lint_document *document, const yyjson_val *way,
                       const char *pointer)
{
    bool is_mesh =
        text_is(member(way, "profileClass"), "mesh") || text_of(member(way, "meshBindingRef")).len;
    if (is_mesh && !text_of(member(way, "firewallBindingRef")).len)
        lint_find(lint, rule, document, pointer,
                  "nothing keeps traffic from going around this mesh; name a "
                  "FirewallBindingProfile in firewallBindingRef");
}

int check_mesh_without_firewall(struct lint *lint, const struct rule *rule,
                                const struct lint_document *document, struct err *err)
{
    size_t index, count;
    yyjson_val *entry;
    (void)err;
    yyjson_arr_foreach(member(document->root, "profiles"), index, count, entry)
    {
        check_mesh(lint, rule, document, entry, pointer_to("/profiles/%zu", index).text);
    }
    check_mesh(lint, rule, document, member(document->root, "endpoint"), "/endpoint");
    return 0;
}

int check_mesh_model_egress(struct lint *lint, const struct rule *rule,
                            const struct lint_document *document, struct err *err)
{
    const char *pointer = "/traffic/externalModelEgressAllowed";
    const yyjson_val *mode = at(document->root, "/traffic/egressMode");
    (void)err;
    if (yyjson_is_true(at(document->root, pointer)) && !text_is(mode, "egress-gateway") &&
        !text_is(mode, "enterprise-managed"))
        lint_find(lint, rule, document, pointer,
                  "prompts would leave the mesh where nobody sees them; set egressMode to "
                  "egress-gateway, or to enterprise-managed where a gateway is kept elsewhere");
    return 0;
}

/* --- what no document switches -------------------------------------------------------------- */

/* Members that have one answer for everyone. Each rule of this kind has its rows here. */
static const struct fixed_switch {
    const char *rule, *pointer;
    const char *refused; /* "true", "false" or a text */
    const char *message;
} fixed_switches[] = {
    { "doors.prompt-egress-default", "/policy/promptEgressDefault", "allow",
      "prompts do not leave by default; say allow-with-policy, and let a layer of policy decide" },
    { "doors.prompt-egress-default", "/policy/allowPromptEgress", "true",
      "prompts do not leave by default; leave this member out, and let a layer of policy decide" },
    { "doors.training-use-default", "/policy/allowTrainingUse", "true",
      "prompts and answers are not given for training; leave this member out" },
    { "doors.handoff-default", "/policy/allowCrossDeviceHandoff", "true",
      "work stays on its device; leave this member out, and grant the handoff that is meant" },
    { "doors.side-effects-default", "/policy/allowSideEffectsWithoutConfirmation", "true",
      "a person confirms what changes something; leave this member out" },
    { "doors.evidence-hash-only", "/evidence/promptHashOnly", "false",
      "evidence keeps the digest and size of a prompt and never its text; leave this member out" },
    { "doors.evidence-hash-only", "/dataBoundary/promptHashOnlyEvidence", "false",
      "evidence keeps the digest and size of a prompt and never its text; leave this member out" },
    { "doors.evidence-hash-only", "/evidence/redactPromptText", "false",
      "records keep no text of a prompt; leave this member out" },
};

int check_fixed_switches(struct lint *lint, const struct rule *rule,
                         const struct lint_document *document, struct err *err)
{
    (void)err;
    for (size_t i = 0; i < ARRAY_LEN(fixed_switches); i++) {
        const struct fixed_switch *fixed = &fixed_switches[i];
        const yyjson_val *value = at(document->root, fixed->pointer);
        const char *text = yyjson_is_bool((yyjson_val *)value)
                               ? yyjson_get_bool((yyjson_val *)value) ? "true" : "false"
                               : yyjson_get_str((yyjson_val *)value);
        if (text && strcmp(fixed->rule, rule->id) == 0 && strcmp(text, fixed->refused) == 0)
            lint_find(lint, rule, document, fixed->pointer, "%s", fixed->message);
    }
    return 0;
}

int check_side_effects_default(struct lint *lint, const struct rule *rule,
                               const struct lint_document *document, struct err *err)
{
    static const char *const effects[] = { "create-office-artifact", "handoff-to-agent-machine",
                                           "create-reminder", "create-note", "share-artifact" };
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(member(document->root, "capabilities"), index, count, item)
    {
        const yyjson_val *operation = member(item, "operation");
        const yyjson_val *decision = member(item, "defaultDecision");
        size_t i = 0;
        while (i < ARRAY_LEN(effects) && !text_is(operation, effects[i]))
            i++;
        if (i == ARRAY_LEN(effects))
            continue;
        if (text_is(decision, "allow-readonly"))
            lint_find(lint, rule, document,
                      pointer_to("/capabilities/%zu/defaultDecision", index).text,
                      "%s does more than read; say ask, allow-with-policy or deny", effects[i]);
        if (yyjson_is_false(member(item, "requiresUserConfirmation")) && !text_is(decision, "deny"))
            lint_find(lint, rule, document,
                      pointer_to("/capabilities/%zu/requiresUserConfirmation", index).text,
                      "%s changes something, and a person confirms it; leave this member out",
                      effects[i]);
    }
    return check_fixed_switches(lint, rule, document, err);
}

/* --- ids and references --------------------------------------------------------------------- */

int check_id_given_twice(struct lint *lint, const struct rule *rule,
                         const struct lint_document *document, struct err *err)
{
    static const struct {
        const char *list, *name;
    } lists[] = { { "/profiles", "profileId" },
                  { "/rules", "ruleId" },
                  { "/capabilities", "capabilityId" } };
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(lists); i++)
        r = find_repeated(lint, rule, document, lists[i].list, lists[i].name, err);
    return r;
}

/* Members that refer to documents, and the types of these; wherever the member stands. */
static const struct reference_kind {
    const char *name, *type, *other_type;
} reference_kinds[] = {
    { "networkAccessProfileRef", "NetworkAccessProfile", NULL },
    { "requiresNetworkProfileRef", "NetworkAccessProfile", NULL },
    { "firewallBindingRef", "FirewallBindingProfile", NULL },
    { "meshBindingRef", "MeshBindingProfile", NULL },
    { "modelProviderRefs", "ExternalModelProviderProfile", "LocalModelProfile" },
    { "fallbackOrder", "ExternalModelProviderProfile", "LocalModelProfile" },
    { "modelRouterBindingRef", "ModelProviderBinding", NULL },
    { "requiresModelRouteBindingRef", "ModelProviderBinding", NULL },
    { "requiresAgentRegistryGrantRef", "ToolGrantRecord", NULL },
};

static int visit_reference(void *context, struct str pointer, const yyjson_val *string,
                           struct err *err)
{
    const struct lint_visit *v = context;
    const struct embedded_schema *schema = catalogue_find_urn(json_str(string));
    struct str name = pointer_member(pointer);
    (void)err;
    for (size_t i = 0; schema && i < ARRAY_LEN(reference_kinds); i++) {
        const struct reference_kind *kind = &reference_kinds[i];
        if (str_equal(name, str_from(kind->name)) && strcmp(schema->type, kind->type) != 0 &&
            !(kind->other_type && strcmp(schema->type, kind->other_type) == 0))
            return lint_find(v->lint, v->rule, v->document, pointer.ptr,
                             "%.*s is of type %s; what belongs here is of type %s%s%s",
                             STR_ARG(json_str(string)), schema->type, kind->type,
                             kind->other_type ? " or " : "",
                             kind->other_type ? kind->other_type : "");
    }
    return 0;
}

int check_reference_of_other_kind(struct lint *lint, const struct rule *rule,
                                  const struct lint_document *document, struct err *err)
{
    struct lint_visit visit = { lint, rule, document };
    return visit_strings(document->root, visit_reference, &visit, err);
}
