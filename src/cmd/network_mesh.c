/* network mesh: a profile for a service mesh, with the firewall half of it. */
#include "cmd/network.h"
#include "cmd/tell.h"
#include "doors/network/mesh_plan.h"

enum { PLAN_TARGET, PLAN_NAMESPACE, PLAN_GATEWAYS, PLAN_JSON };

static const struct option_row plan_options[] = {
    [PLAN_TARGET] = { "target", 't', "WORD", "istio, admiral or kubernetes" },
    [PLAN_NAMESPACE] = { "namespace", 'n', "NAME", "of the workload (as its identity says)" },
    [PLAN_GATEWAYS] = { "gateways", 'g', "NAME", "the gateways' namespace (istio-system)" },
    [PLAN_JSON] = { "json", 'j', NULL, "print a JSON object that has the text in it" },
};

static struct str text_or_empty(const char *text)
{
    return text ? str_from(text) : STR("");
}

static int run_plan(const struct invocation *invocation)
{
    const char *const *values = invocation->values;
    const char *word = values[PLAN_TARGET];
    struct mesh_scope scope = { text_or_empty(values[PLAN_NAMESPACE]),
                                text_or_empty(values[PLAN_GATEWAYS]) };
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    struct network_documents documents = { 0 };
    struct mesh_plan *plan = NULL;
    struct err err = { 0 };
    int target = word ? vocabulary_index(mesh_target_names, MESH_TARGET_COUNT, str_from(word)) : -1;
    int r = target < 0 ? err_set(&err, ERR_USAGE, "plan a mesh",
                                 "say for what with --target: istio, admiral or kubernetes")
                       : 0;
    if (r == 0)
        r = network_documents_open(invocation, "mesh-binding-profile", &documents, &err);
    if (r == 0)
        r = mesh_plan_new(&scope, documents.roots[0], &plan, &err);
    if (r == 0)
        r = mesh_plan_render(plan, (enum mesh_target)target, &text, &err);
    if (r == 0) {
        struct network_text shown = { word, mesh_target_format((enum mesh_target)target),
                                      buf_str(&text), mesh_plan_notes(plan) };
        r = network_tell_plan(&shown, values[PLAN_JSON], &err);
    }
    mesh_plan_free(plan);
    network_documents_close(&documents);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

const struct verb network_mesh_verbs[NETWORK_MESH_VERB_COUNT] = {
    {
        .name = "plan",
        .operands = "PROFILE",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Print a profile as objects of a mesh",
        .description =
            "Renders a MeshBindingProfile, a file or the name of one in the layers: for Istio the "
            "entries, gateways, routes and policies that carry what it allows; for Admiral also "
            "what the workload depends on in other clusters.\n\n"
            "A mesh alone does not keep traffic from going around it: a NetworkPolicy, which is "
            "all that the target kubernetes has, stands in every plan. Where it cannot close the "
            "way around, the warning mesh-can-be-bypassed says so. What is not in the text as the "
            "profile means it is printed on standard error and stands in it as a comment.",
        .options = plan_options,
        .option_count = ARRAY_LEN(plan_options),
        .run = run_plan,
    },
};
