/* mesh_plan: which objects stand in a plan, what is noted, and what never gets out. */
#include "authority/verdict_test.h"
#include "contract/yaml.h"
#include "doors/network/mesh_plan.h"

#define ID "urn:srcos:mesh-binding-profile:t"
#define PROFILE(traffic, identity)                                                                 \
    "{'id':'" ID "','type':'MeshBindingProfile','traffic':{" traffic "},'identity':{" identity "}" \
    "}"
#define WORKLOAD                                                                                   \
    "'serviceAccountRef':'urn:srcos:service-account:compass/runner',"                              \
    "'spiffeIdRef':'spiffe://northwind.example.com/ns/compass/sa/runner',"                         \
    "'workloadSelector':'app=agent,team=compass'"

struct meshed {
    struct fixture documents;
    struct mesh_plan *plan;
    struct buf text;
    struct err err;
};

static void meshed_release(struct meshed *meshed)
{
    mesh_plan_free(meshed->plan);
    buf_release(&meshed->text);
    fixture_release(&meshed->documents);
}

static int meshed_open(struct meshed *meshed, const char *text, enum mesh_target target)
{
    struct mesh_scope scope = { STR(""), STR("") };
    *meshed = (struct meshed){ .text = BUF_INIT };
    fixture_init(&meshed->documents);
    yyjson_doc *doc = fixture_read(&meshed->documents, text);
    int r = mesh_plan_new(&scope, yyjson_doc_get_root(doc), &meshed->plan, &meshed->err);
    return r < 0 ? r : mesh_plan_render(meshed->plan, target, &meshed->text, &meshed->err);
}

#define MESHED(name, text, target)                                                                 \
    _cleanup_(meshed_release) struct meshed name;                                                  \
    CHECK_INT(meshed_open(&name, text, target), 0)

static bool has(const struct meshed *meshed, const char *text)
{
    return strstr(meshed->text.data, text) != NULL;
}

static bool notes(const struct meshed *meshed, enum firewall_effect effect, const char *rule)
{
    const struct firewall_notes *all = mesh_plan_notes(meshed->plan);
    for (size_t i = 0; i < all->count; i++) {
        if (all->of[i].effect == effect && str_equal(all->of[i].rule, str_from(rule)))
            return true;
    }
    return false;
}

static const char through_gateway[] =
    PROFILE("'egressMode':'egress-gateway','ingressMode':'mesh-internal',"
            "'allowedHosts':['api.example.com','.example.net','svc.billing.svc.cluster.local',"
            "'*.model-router.mesh','bad.example.org'],'deniedHosts':['bad.example.org']",
            WORKLOAD);

TEST(an_egress_gateway_has_all_that_it_needs)
{
    static const char *const parts[] = {
        "kind: ServiceEntry",
        "kind: Sidecar",
        "kind: Gateway",
        "kind: DestinationRule",
        "kind: VirtualService",
        "kind: AuthorizationPolicy",
        "kind: PeerAuthentication",
        "kind: NetworkPolicy",
        "mode: REGISTRY_ONLY",
        "sni: \"api.example.com\"",
        "principals: [\"northwind.example.com/ns/compass/sa/runner\"]",
        "            - \"api.example.com\"\n",
        "\"kubernetes.io/metadata.name\": \"billing\"",
        "\"istio\": \"egressgateway\"",
    };
    MESHED(m, through_gateway, MESH_ISTIO);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!has(&m, parts[i]))
            test_fail(__FILE__, __LINE__, "%s is not in:\n%s", parts[i], m.text.data);
    }
    CHECK(!has(&m, "hosts: [\"bad.example.org\"]"));
    CHECK(notes(&m, FIREWALL_ELSEWHERE, "bad.example.org"));
    CHECK(notes(&m, FIREWALL_LEFT_OUT, ".example.net")); /* of a pattern the name alone remains */
    CHECK(has(&m, "hosts: [\"example.net\"]"));
    CHECK(!notes(&m, FIREWALL_WARNING, MESH_WARNING_BYPASSED));
    CHECK(!has(&m, "0.0.0.0/0"));
}

TEST(where_proxies_connect_directly_the_way_around_has_a_name)
{
    static const char *const modes[] = { "service-entry-allowlist", "direct-allowlist", "ambient" };
    char text[1024];
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        snprintf(text, sizeof(text),
                 PROFILE("'egressMode':'%s','allowedHosts':['api.example.com']", WORKLOAD),
                 modes[i]);
        MESHED(m, text, MESH_ISTIO);
        CHECK(notes(&m, FIREWALL_WARNING, MESH_WARNING_BYPASSED));
        CHECK(has(&m, "# warning: mesh-can-be-bypassed: "));
        CHECK(has(&m, "kind: NetworkPolicy"));
    }
    MESHED(managed, PROFILE("'egressMode':'enterprise-managed'", WORKLOAD), MESH_ISTIO);
    CHECK(notes(&managed, FIREWALL_WARNING, MESH_WARNING_BYPASSED));
}

TEST(what_is_denied_leaves_nothing_open)
{
    MESHED(m,
           PROFILE("'egressMode':'deny','ingressMode':'deny','allowedHosts':['api.example.com']",
                   WORKLOAD),
           MESH_ISTIO);
    CHECK(has(&m, "- \"~/*\""));
    CHECK(has(&m, "rules: [] # nobody"));
    CHECK(has(&m, "  ingress: []\n"));
    CHECK(!has(&m, "kind: ServiceEntry"));
    CHECK(!has(&m, "api.example.com"));
}

TEST(a_pattern_with_a_denied_host_in_it_goes_as_a_whole)
{
    MESHED(m,
           PROFILE("'allowedHosts':['.example.com','x.example.com'],'deniedHosts':"
                   "['*.example.com']",
                   WORKLOAD),
           MESH_ISTIO);
    CHECK(notes(&m, FIREWALL_STRICTER, ".example.com"));
    CHECK(has(&m, "hosts: [\"x.example.com\"]")); /* the more specific */
    CHECK(!has(&m, "\"*.example.com\""));
}

TEST(model_providers_are_left_out_unless_prompts_may_leave)
{
    MESHED(closed, PROFILE("'allowedHosts':['api.openai.com','.googleapis.com']", WORKLOAD),
           MESH_ISTIO);
    CHECK(notes(&closed, FIREWALL_LEFT_OUT, "api.openai.com"));
    CHECK(notes(&closed, FIREWALL_LEFT_OUT, ".googleapis.com"));
    CHECK(!has(&closed, "hosts: [\"api.openai.com\"]"));
    MESHED(open,
           PROFILE("'externalModelEgressAllowed':true,'allowedHosts':['api.openai.com']", WORKLOAD),
           MESH_ISTIO);
    CHECK(has(&open, "hosts: [\"api.openai.com\"]"));
}

TEST(admiral_is_told_what_the_workload_depends_on)
{
    MESHED(m, through_gateway, MESH_ADMIRAL);
    CHECK(has(&m, "kind: Dependency"));
    CHECK(has(&m, "source: \"runner\""));
    CHECK(has(&m, "    - \"model-router\"\n"));
    CHECK(!has(&m, "hosts: [\"*.model-router.mesh\"]")); /* Admiral makes that entry */
    CHECK(has(&m, "kind: NetworkPolicy"));
}

TEST(without_a_mesh_what_needs_one_is_noted)
{
    MESHED(m, through_gateway, MESH_KUBERNETES);
    CHECK(notes(&m, FIREWALL_LEFT_OUT, "api.example.com"));
    CHECK(notes(&m, FIREWALL_NOT_HELD, "mtlsRequired"));
    CHECK(!has(&m, "istio"));
    CHECK(has(&m, "\"kubernetes.io/metadata.name\": \"billing\""));
}

TEST(without_an_identity_the_gateway_cannot_hold_it)
{
    MESHED(m, PROFILE("'egressMode':'egress-gateway','allowedHosts':['api.example.com']", ""),
           MESH_ISTIO);
    CHECK(notes(&m, FIREWALL_NOT_HELD, "identity"));
    CHECK(has(&m, "podSelector: {}"));
}

TEST(a_profile_that_makes_no_sense_is_refused)
{
    static const char *const wrong[] = {
        PROFILE("", "'workloadSelector':'app=x y'"),
        PROFILE("", "'workloadSelector':'app=\\\"x'"),
        PROFILE("", "'workloadSelector':'a'"),
        PROFILE("'allowedHosts':['10.0.0.1']", ""),
        "{'id':'" ID "','type':'FirewallBindingProfile'}",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        _cleanup_(meshed_release) struct meshed m;
        CHECK_INT(meshed_open(&m, wrong[i], MESH_ISTIO), -EBADMSG);
    }
}

/* --- what authors write stays what it is ---------------------------------------------------- */

static size_t count_lines(const struct buf *text)
{
    size_t lines = 0;
    for (size_t i = 0; i < text->len; i++)
        lines += text->data[i] == '\n';
    return lines;
}

TEST(hostile_references_and_ids_add_nothing)
{
    static const char *const hostile[] = {
        "x\\n---\\nkind: Pod",  "\\\"]}", "a: b", "${x}", "\\u2028x", "../..", "-", "%22",
        "x/ns/kube-system\\nx",
    };
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        for (int target = 0; target < MESH_TARGET_COUNT; target++) {
            struct buf json = BUF_INIT;
            buf_addf(
                &json,
                "{'id':'urn:srcos:mesh-binding-profile:%s','type':'MeshBindingProfile',"
                "'traffic':{'egressMode':'egress-gateway','allowedHosts':['api.example.com']},"
                "'identity':{'serviceAccountRef':'%s/%s','spiffeIdRef':'spiffe://%s/ns/%s/sa/%s'"
                "}}",
                hostile[i], hostile[i], hostile[i], hostile[i], hostile[i], hostile[i]);
            MESHED(m, json.data, (enum mesh_target)target);
            size_t notes_and_head = mesh_plan_notes(m.plan)->count + 2;
            MESHED(plain,
                   PROFILE("'egressMode':'egress-gateway','allowedHosts':['api.example.com']", ""),
                   (enum mesh_target)target);
            size_t plain_lines = count_lines(&plain.text) - mesh_plan_notes(plain.plan)->count - 2;
            if (count_lines(&m.text) - notes_and_head != plain_lines)
                test_fail(__FILE__, __LINE__, "%s changes the objects:\n%s", hostile[i],
                          m.text.data);
            for (size_t c = 0; c < m.text.len; c++)
                CHECK(m.text.data[c] == '\n' || (m.text.data[c] >= ' ' && m.text.data[c] < 0x7f));
            buf_release(&json);
        }
    }
}
