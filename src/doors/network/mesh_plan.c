/*
 * mesh_plan: a profile in, objects of a mesh out.
 *
 * Theory of operation. The profile is read once (mesh_read.c). A target is a
 * list of parts that append YAML documents: what the mesh itself takes, and
 * always the firewall half. What a part cannot say it notes, and the notes go
 * in front as comments.
 *
 * Invariants as in firewall_plan.c: the same profile gives the same bytes; no
 * byte of it reaches a text but as a name that was read, or through
 * firewall_add_safe.
 */
#include "doors/network/mesh_objects.h"

#define STEP         "plan a mesh"
#define ID_SHOWN_MAX 100

const char *const mesh_target_names[MESH_TARGET_COUNT] = {
#define X(target, name) [target] = name,
    MESH_TARGET_TABLE(X)
#undef X
};

static const char *const formats[MESH_TARGET_COUNT] = {
    [MESH_ISTIO] = "objects of Istio, YAML, for kubectl apply",
    [MESH_ADMIRAL] = "objects of Admiral and Istio, YAML, for kubectl apply",
    [MESH_KUBERNETES] = "Kubernetes NetworkPolicy, YAML, for kubectl apply",
};

const char *mesh_target_format(enum mesh_target target)
{
    return formats[target];
}

int mesh_plan_new(const struct mesh_scope *scope, const yyjson_val *root, struct mesh_plan **ret,
                  struct err *err)
{
    const struct str names[] = { scope->namespace, scope->gateway_namespace };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (names[i].len && !kubernetes_name_is(names[i]))
            return err_set(err, ERR_USAGE, STEP, "`%.*s` is no namespace", STR_ARG(names[i]));
    }
    struct mesh_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    plan->scope = *scope;
    if (!plan->scope.gateway_namespace.len)
        plan->scope.gateway_namespace = STR(MESH_GATEWAY_NAMESPACE);
    int r = mesh_read(plan, root, err);
    if (r < 0) {
        mesh_plan_free(plan);
        return r;
    }
    firewall_notes_keep(&plan->notes);
    *ret = plan;
    return 0;
}

void mesh_plan_free(struct mesh_plan *plan)
{
    if (!plan)
        return;
    firewall_notes_release(&plan->notes);
    arena_release(&plan->arena);
    free(plan);
}

const struct firewall_notes *mesh_plan_notes(const struct mesh_plan *plan)
{
    return &plan->notes;
}

void mesh_note(struct mesh_plan *plan, enum firewall_effect effect, struct str host,
               const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    firewall_notes_addv(&plan->notes, effect, host, plan->id, format, arguments);
    va_end(arguments);
}

/* --- what objects have in common ----------------------------------------------------------- */

void mesh_begin(const struct mesh_plan *plan, struct buf *ret, const char *api, const char *kind,
                const char *suffix, size_t number, bool in_gateway_namespace)
{
    struct str namespace =
        in_gateway_namespace ? plan->scope.gateway_namespace : plan->scope.namespace;
    buf_addf(ret, "---\napiVersion: %s\nkind: %s\nmetadata:\n  name: \"agent-machine-%s%s", api,
             kind, plan->name, suffix);
    if (number)
        buf_addf(ret, "-%zu", number);
    buf_add_text(ret, "\"\n");
    if (namespace.len)
        buf_addf(ret, "  namespace: \"%.*s\"\n", STR_ARG(namespace));
    buf_add_text(ret, "spec:\n");
}

void mesh_add_selector(const struct mesh_plan *plan, struct buf *ret, const char *member)
{
    if (!plan->labels.count)
        return;
    buf_add_text(ret, member);
    labels_add(ret, &plan->labels, 6);
}

bool mesh_add_principal(const struct mesh_plan *plan, struct buf *ret)
{
    if (plan->trust_domain.len)
        buf_addf(ret, "%.*s/ns/%.*s/sa/%.*s", STR_ARG(plan->trust_domain),
                 STR_ARG(plan->principal_namespace), STR_ARG(plan->principal_account));
    return plan->trust_domain.len;
}

size_t mesh_count(const struct mesh_plan *plan, enum mesh_place place)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->host_count; i++)
        count += plan->hosts[i].place == place;
    return count;
}

/* --- the text ------------------------------------------------------------------------------ */

static void add_target(struct mesh_plan *plan, enum mesh_target target, struct buf *ret)
{
    switch (target) {
    case MESH_ISTIO:
        mesh_add_istio(plan, false, ret);
        mesh_add_network_policy(plan, true, ret);
        return;
    case MESH_ADMIRAL:
        mesh_add_dependency(plan, ret);
        mesh_add_istio(plan, true, ret);
        mesh_add_network_policy(plan, true, ret);
        return;
    case MESH_KUBERNETES:
        mesh_add_network_policy(plan, false, ret);
        return;
    case MESH_TARGET_COUNT:
        return;
    }
}

int mesh_plan_render(struct mesh_plan *plan, enum mesh_target target, struct buf *ret,
                     struct err *err)
{
    _cleanup_(buf_release) struct buf body = BUF_INIT_LIMIT(MESH_TEXT_MAX);
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(MESH_TEXT_MAX);
    firewall_notes_forget(&plan->notes);
    add_target(plan, target, &body);
    buf_addf(&text, "# agent-machine: %s\n# of ", formats[target]);
    firewall_add_safe(&text, plan->id, ID_SHOWN_MAX);
    buf_add_char(&text, '\n');
    for (size_t i = 0; i < plan->notes.count; i++)
        buf_addf(&text, "# %s\n", plan->notes.of[i].text);
    buf_add_str(&text, buf_str(&body));
    int r = plan->notes.error ? plan->notes.error : body.error ? body.error : text.error;
    if (r == 0)
        r = buf_add_str(ret, buf_str(&text));
    if (r == 0)
        return 0;
    return r == -ENOMEM ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory")
                        : err_set(err, ERR_LIMIT, STEP, "the text or its notes grow too large");
}
