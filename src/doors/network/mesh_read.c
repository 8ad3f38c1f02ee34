/*
 * mesh_read: from a MeshBindingProfile to what a plan is made of.
 *
 * Theory of operation. The profile lists hosts that the mesh carries traffic
 * to, and hosts that it does not; the more specific decides, and of two equally
 * specific ones the denial. A mesh has only the first list. So a host that is
 * denied is taken away; a pattern with a denied host in it goes altogether,
 * because no mesh takes one name out of others. Hosts of model providers are
 * denied unless the profile lets prompts leave.
 *
 * What the profile refers to (service account, SPIFFE ID) is read for the names
 * in it and must be a name as Kubernetes has them: nothing else gets into a
 * text.
 */
#include "contract/model_hosts.h"
#include "contract/rules.h"
#include "doors/network/mesh_objects.h"

#define STEP           "plan a mesh"
#define SPIFFE_PREFIX  "spiffe://"
#define CLUSTER_SUFFIX ".svc.cluster.local"

static const char *const egress_names[MESH_EGRESS_COUNT] = {
#define X(mode, name) [mode] = name,
    MESH_EGRESS_TABLE(X)
#undef X
};
static const char *const ingress_names[MESH_INGRESS_COUNT] = {
#define X(mode, name) [mode] = name,
    MESH_INGRESS_TABLE(X)
#undef X
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

/* --- hosts --------------------------------------------------------------------------------- */

/* The label before the last `count` ones; empty where there is none. */
static struct str label_before(struct str name, struct str suffix)
{
    if (!str_ends(name, suffix))
        return STR("");
    size_t end = name.len - suffix.len, start = end;
    while (start && name.ptr[start - 1] != '.')
        start--;
    return str_make(name.ptr + start, end - start);
}

static void find_place(struct mesh_host *host)
{
    static const struct {
        const char *suffix;
        enum mesh_place place;
    } rows[] = { { CLUSTER_SUFFIX, MESH_CLUSTER },
                 { ".mesh", MESH_GLOBAL },
                 { ".global", MESH_GLOBAL } };
    host->place = MESH_EXTERNAL;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str part = label_before(host->name, str_from(rows[i].suffix));
        if (!part.len)
            continue;
        host->place = rows[i].place;
        host->part = part;
        return;
    }
}

/* 1; 0 where it names everything. */
static int read_host(struct mesh_plan *plan, struct str text, struct mesh_host *ret,
                     struct err *err)
{
    char path[DESTINATION_PATH_SIZE];
    struct host_name name;
    struct str rest = text;
    int r = destination_read(text, path, &ret->destination, err);
    bool is_name = r == 1 && ret->destination.path.len && path[0] != '/';
    if (r == 1 && !ret->destination.path.len)
        return 0;
    (void)destination_form_take(&rest);
    if (r >= 0)
        r = is_name ? host_name_read(rest, &name, err) : 0;
    if (r == 0)
        r = err_set(err, ERR_DOCUMENT, STEP, "`%.*s` is no host name", STR_ARG(text));
    if (r < 0)
        return r;
    const char *kept = arena_copy(&plan->arena, ret->destination.path);
    const char *kept_name = arena_copy(&plan->arena, str_from(name.text));
    if (!kept || !kept_name)
        return no_memory(err);
    ret->text = text;
    ret->destination.path.ptr = kept;
    ret->name = str_from(kept_name);
    find_place(ret);
    return 1;
}

static int read_list(struct mesh_plan *plan, const yyjson_val *list, struct mesh_host **ret,
                     size_t *ret_count, struct err *err)
{
    size_t index, count = yyjson_arr_size((yyjson_val *)list), kept = 0;
    struct mesh_host *hosts = arena_array(&plan->arena, struct mesh_host, count + 1);
    yyjson_val *item;
    if (!hosts)
        return no_memory(err);
    if (count > MESH_HOSTS_MAX)
        return err_set(err, ERR_LIMIT, STEP, "a mesh has at most %d hosts", MESH_HOSTS_MAX);
    for (index = 0; index < count; index++) {
        item = yyjson_arr_get((yyjson_val *)list, index);
        int r = read_host(plan, text_of(item), &hosts[kept], err);
        if (r < 0)
            return r;
        if (r == 0)
            mesh_note(plan, FIREWALL_LEFT_OUT, text_of(item),
                      "a mesh carries what it has entries for, and there is none for every host");
        kept += (size_t)r;
    }
    *ret = hosts;
    *ret_count = kept;
    return 0;
}

/* Below zero where `a` is the more specific. */
static int specificity(const struct mesh_host *a, const struct mesh_host *b)
{
    size_t a_len = a->destination.path.len, b_len = b->destination.path.len;
    bool a_alone = a->destination.form == DESTINATION_ITSELF;
    bool b_alone = b->destination.form == DESTINATION_ITSELF;
    return a_len != b_len ? (a_len > b_len ? -1 : 1) : (int)b_alone - (int)a_alone;
}

/* Whether a host that is allowed stays, with what is denied. */
static bool stays(struct mesh_plan *plan, const struct mesh_host *host,
                  const struct mesh_host *denied, size_t denied_count)
{
    struct host_name name;
    for (size_t i = 0; i < denied_count; i++) {
        bool covers = destination_covers(&denied[i].destination, &host->destination);
        if (covers && specificity(&denied[i], host) <= 0) {
            mesh_note(plan, FIREWALL_ELSEWHERE, host->text, "it is denied, and has no entry");
            return false;
        }
        if (!covers && destination_covers(&host->destination, &denied[i].destination)) {
            mesh_note(plan, FIREWALL_STRICTER, host->text,
                      "%.*s within it is denied and cannot be taken out: nothing of it is allowed; "
                      "list what is meant host by host",
                      STR_ARG(denied[i].name));
            return false;
        }
    }
    snprintf(name.text, sizeof(name.text), "%.*s", STR_ARG(host->name));
    bool is_model = (host->destination.form != DESTINATION_BELOW && model_host_find(&name)) ||
                    (host->destination.form != DESTINATION_ITSELF && model_host_find_below(&name));
    if (is_model && !plan->models)
        mesh_note(plan, FIREWALL_LEFT_OUT, host->text,
                  "model providers answer there, and externalModelEgressAllowed is false");
    return !is_model || plan->models;
}

static int compare_hosts(const void *a, const void *b)
{
    const struct mesh_host *left = a, *right = b;
    size_t shorter = left->destination.path.len < right->destination.path.len
                         ? left->destination.path.len
                         : right->destination.path.len;
    int order = memcmp(left->destination.path.ptr, right->destination.path.ptr, shorter);
    if (order)
        return order;
    if (left->destination.path.len != right->destination.path.len)
        return left->destination.path.len < right->destination.path.len ? -1 : 1;
    return (int)left->destination.form - (int)right->destination.form;
}

static int read_hosts(struct mesh_plan *plan, const yyjson_val *traffic, struct err *err)
{
    struct mesh_host *allowed, *denied;
    size_t allowed_count = 0, denied_count = 0;
    int r = read_list(plan, member(traffic, "allowedHosts"), &allowed, &allowed_count, err);
    if (r == 0)
        r = read_list(plan, member(traffic, "deniedHosts"), &denied, &denied_count, err);
    if (r < 0)
        return r;
    plan->hosts = allowed;
    for (size_t i = 0; i < allowed_count; i++) {
        if (stays(plan, &allowed[i], denied, denied_count))
            plan->hosts[plan->host_count++] = allowed[i];
    }
    qsort(plan->hosts, plan->host_count, sizeof(*plan->hosts), compare_hosts);
    return 0;
}

/* --- identity ------------------------------------------------------------------------------ */

static struct str take_segment(struct str *path)
{
    size_t slash = str_index(*path, '/', 0);
    struct str segment = str_make(path->ptr, slash);
    *path = str_from_offset(*path, slash + 1);
    return segment;
}

/* "urn:…:NAMESPACE/ACCOUNT", or the account alone; false where it is none. */
static bool read_account(struct mesh_plan *plan, struct str text)
{
    struct str namespace = STR("");
    size_t start = str_starts(text, STR("urn:")) ? text.len : 0;
    while (start && text.ptr[start - 1] != ':')
        start--;
    text = str_from_offset(text, start);
    if (str_index(text, '/', 0) < text.len)
    namespace = take_segment(&text);
    if (!kubernetes_name_is(text) || (namespace.len && !kubernetes_name_is(namespace)))
        return false;
    plan->account = text;
    if (!plan->scope.namespace.len)
        plan->scope.namespace = namespace;
    return true;
}

/* "spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT", as Istio has them. 1; 0 where it is none. */
static int read_spiffe(struct mesh_plan *plan, struct str text, struct err *err)
{
    struct host_name domain;
    struct str rest = str_from_offset(text, strlen(SPIFFE_PREFIX));
    struct str trust = take_segment(&rest), ns = take_segment(&rest);
    struct str namespace = take_segment(&rest), sa = take_segment(&rest);
    if (!str_starts(text, STR(SPIFFE_PREFIX)) || !str_equal(ns, STR("ns")) ||
        !str_equal(sa, STR("sa")) || !kubernetes_name_is(namespace) || !kubernetes_name_is(rest) ||
        host_name_read(trust, &domain, NULL) != 1)
        return 0;
    const char *copy = arena_copy(&plan->arena, str_from(domain.text));
    if (!copy)
        return no_memory(err);
    plan->trust_domain = str_from(copy);
    plan->principal_namespace = namespace;
    plan->principal_account = rest;
    if (!plan->account.len)
        plan->account = rest;
    if (!plan->scope.namespace.len)
        plan->scope.namespace = namespace;
    return 1;
}

static int read_identity(struct mesh_plan *plan, const yyjson_val *identity, struct err *err)
{
    struct str account = text_of(member(identity, "serviceAccountRef"));
    struct str spiffe = text_of(member(identity, "spiffeIdRef"));
    struct str selector = text_of(member(identity, "workloadSelector"));
    if (account.len && !read_account(plan, account))
        mesh_note(plan, FIREWALL_LEFT_OUT, STR("serviceAccountRef"),
                  "it is no service account of Kubernetes, NAMESPACE/NAME");
    int r = spiffe.len ? read_spiffe(plan, spiffe, err) : 1;
    if (r == 0)
        mesh_note(plan, FIREWALL_LEFT_OUT, STR("spiffeIdRef"),
                  "it is not as Istio has them, spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT");
    if (r >= 0 && selector.len && labels_read(selector, &plan->labels, NULL) < 0)
        r = err_set(err, ERR_DOCUMENT, STEP,
                    "workloadSelector `%.*s` is no list of labels such as app=x,team=y",
                    STR_ARG(selector));
    return r < 0 ? r : 0;
}

int mesh_read(struct mesh_plan *plan, const yyjson_val *root, struct err *err)
{
    const yyjson_val *traffic = member(root, "traffic");
    if (!text_is(member(root, "type"), "MeshBindingProfile"))
        return err_set(err, ERR_DOCUMENT, STEP, "a mesh is planned of a MeshBindingProfile");
    int egress =
        vocabulary_index(egress_names, MESH_EGRESS_COUNT, text_of(member(traffic, "egressMode")));
    int ingress = vocabulary_index(ingress_names, MESH_INGRESS_COUNT,
                                   text_of(member(traffic, "ingressMode")));
    plan->id = text_of(member(root, "id"));
    plan->egress = egress < 0 ? MESH_EGRESS_ENTRIES : (enum mesh_egress)egress;
    plan->ingress = ingress < 0 ? MESH_INGRESS_DENY : (enum mesh_ingress)ingress;
    plan->mtls = !yyjson_is_false(member(traffic, "mtlsRequired"));
    plan->models = yyjson_is_true(member(traffic, "externalModelEgressAllowed"));
    int r = firewall_name(plan->id, '-', plan->name, err);
    if (r == 0)
        r = read_identity(plan, member(root, "identity"), err);
    return r < 0 || plan->egress == MESH_EGRESS_DENY ? r : read_hosts(plan, traffic, err);
}
