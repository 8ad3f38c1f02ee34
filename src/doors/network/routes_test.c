/* routes: which entry's way is taken, what leaves it out, and what cannot be gone. */
#include "doors/network/routes.h"

#include "authority/verdict_test.h"

#define WAY(id, class, priority, rest, more)                                                       \
    "{'profileId':'" id "','profileClass':'" class "','priority':" priority                        \
                                                   ",'defaultEgress':'" rest "'" more "}"
#define LISTS(hosts) ",'allowDomains':[" hosts "]"
#define BY(name)     ",'proxyRef':'urn:srcos:proxy:" name "'"
#define CARRIED(name, hosts)                                                                       \
    NETWORK("allow-with-policy", WAY(name, "proxy", "10", "deny", LISTS(hosts) BY(name)))
#define PROXY(name, url) "'urn:srcos:proxy:" name "':{'url':'" url "'}"
#define MESH_URN         "urn:srcos:mesh-binding-profile:t"

struct stage {
    struct fixture fixture;
    struct references *references;
    struct routes *routes;
    struct verdict verdict;
    struct permit permit;
};

static void begin(struct stage *stage)
{
    *stage = (struct stage){ 0 };
    fixture_init(&stage->fixture);
    CHECK_INT(references_new(&stage->references, NULL), 0);
}

static void add(struct stage *stage, enum layer layer, const char *name, const char *text)
{
    fixture_add(&stage->fixture, layer, name, text);
}

static void refer(struct stage *stage, enum layer layer, const char *text)
{
    struct err err = { 0 };
    yyjson_doc *doc = fixture_read(&stage->fixture, text);
    if (references_add(stage->references, layer, "references.yaml", yyjson_doc_get_root(doc),
                       &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
}

static void compile(struct stage *stage)
{
    struct err err = { 0 };
    fixture_build(&stage->fixture);
    if (routes_new(stage->fixture.policy, stage->references, &stage->routes, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
}

static void end(struct stage *stage)
{
    routes_free(stage->routes);
    references_free(stage->references);
    fixture_release(&stage->fixture);
}

/* Where a connection leads that the layers allow: "direct", "denied" or the proxy's host. */
static const char *way_of(struct stage *stage, const char *host, uint16_t port)
{
    struct target target = { .port = port };
    if (!address_range_read(str_from(host), &target.address))
        snprintf(target.name, sizeof(target.name), "%s", host);
    stage->verdict = (struct verdict){ .answer = ANSWER_ALLOW };
    stage->permit = (struct permit){ 0 };
    routes_apply(stage->routes, &target, &stage->verdict, &stage->permit);
    if (stage->verdict.answer == ANSWER_DENY)
        return "denied";
    return stage->permit.route.kind == ROUTE_DIRECT ? "direct" : stage->permit.route.host;
}

TEST(without_an_entry_that_states_a_way_it_is_direct)
{
    struct stage stage;
    begin(&stage);
    add(&stage, LAYER_USER, "u.json",
        NETWORK("deny", WAY("a", "user-firewall", "1", "allow-any", "")));
    compile(&stage);
    CHECK_TEXT(way_of(&stage, "a.test", 443), "direct");
    CHECK_TEXT(way_of(&stage, "192.0.2.1", 443), "direct");
    routes_free(stage.routes);
    stage.routes = NULL;
    CHECK_TEXT(way_of(&stage, "a.test", 443), "direct");
    end(&stage);
}

TEST(two_companies_each_have_their_own_proxy)
{
    struct stage stage;
    begin(&stage);
    add(&stage, LAYER_ENTERPRISE, "north.json", CARRIED("north", "'.north.test','shared.test'"));
    add(&stage, LAYER_ENTERPRISE, "east.json",
        NETWORK("allow-with-policy",
                WAY("east", "proxy", "20", "deny",
                    LISTS("'.east.test','shared.test'") ",'denyDomains':['open.east.test']" BY(
                        "east"))));
    refer(&stage, LAYER_ENTERPRISE,
          "{'proxies':{" PROXY("north", "http://p.north.test:3128") "," PROXY(
              "east", "socks5h://p.east.test:1080") "}}");
    compile(&stage);
    CHECK_TEXT(way_of(&stage, "git.north.test", 443), "p.north.test");
    CHECK_INT(stage.permit.route.kind, ROUTE_HTTP_PROXY);
    CHECK_INT(stage.permit.route.port, 3128);
    CHECK_TEXT(way_of(&stage, "git.east.test", 22), "p.east.test");
    CHECK_INT(stage.permit.route.kind, ROUTE_SOCKS5);
    CHECK_TEXT(way_of(&stage, "shared.test", 443), "p.north.test"); /* the lower number first */
    CHECK_TEXT(way_of(&stage, "open.east.test", 443), "direct");
    CHECK_TEXT(way_of(&stage, "elsewhere.test", 443), "direct");
    end(&stage);
}

TEST(no_lower_layer_leads_around_a_higher_ones_proxy_and_priority_orders_within_one)
{
    struct stage stage;
    begin(&stage);
    add(&stage, LAYER_USER, "u.json",
        NETWORK("allow-with-policy", WAY("vpn", "vpn", "0", "deny", LISTS("'a.test'")) "," WAY(
                                         "u", "proxy", "1", "deny", LISTS("'*'") BY("user"))));
    add(&stage, LAYER_ENTERPRISE, "e.json",
        NETWORK("allow-with-policy",
                WAY("late", "proxy", "12", "deny", LISTS("'b.test','c.test'") BY("late")) "," WAY(
                    "vpn", "vpn", "5", "deny",
                    LISTS("'c.test'")) "," WAY("e", "proxy", "10", "deny",
                                               LISTS("'a.test','b.test'") BY(
                                                   "corp")) "," WAY("same", "proxy", "10", "deny",
                                                                    LISTS("'b.test'") BY("late"))));
    refer(&stage, LAYER_USER,
          "{'proxies':{" PROXY("user", "http://u.test:1") "," PROXY(
              "corp", "http://e.test:1") "," PROXY("late", "http://l.test:1") "}}");
    compile(&stage);
    CHECK_TEXT(way_of(&stage, "a.test", 443), "e.test");
    CHECK_TEXT(way_of(&stage, "b.test", 443), "e.test");
    CHECK_TEXT(way_of(&stage, "c.test", 443), "direct"); /* the VPN is the host's own network */
    CHECK_TEXT(way_of(&stage, "d.test", 443), "u.test");
    end(&stage);
}

TEST(a_firewall_entry_takes_the_rest_where_it_lets_the_rest_through)
{
    static const struct {
        const char *class, *rest, *lists, *way;
    } cases[] = {
        { "corporate-firewall", "allow-any", "", "p.test" },
        { "corporate-firewall", "allow-with-prompt", "", "p.test" },
        { "corporate-firewall", "allow-listed", "", "direct" },
        { "corporate-firewall", "allow-listed", LISTS("'*'"), "direct" },
        { "corporate-firewall", "allow-any", ",'denyDomains':['.rest.test']", "direct" },
        { "proxy", "allow-any", "", "direct" },
        { "proxy", "deny", LISTS("'*'"), "p.test" },
        { "zero-trust", "deny", LISTS("'*'") ",'denyDomains':['x.rest.test']", "direct" },
        { "mesh", "deny", LISTS("'*.test'"), "p.test" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stage stage;
        char text[1024];
        begin(&stage);
        snprintf(text, sizeof(text),
                 NETWORK("allow-with-policy", WAY("e", "%s", "1", "%s", "%s" BY("p"))),
                 cases[i].class, cases[i].rest, cases[i].lists);
        add(&stage, LAYER_ENTERPRISE, "e.json", text);
        refer(&stage, LAYER_ENTERPRISE, "{'proxies':{" PROXY("p", "https://p.test:1") "}}");
        compile(&stage);
        if (strcmp(way_of(&stage, "x.rest.test", 443), cases[i].way) != 0)
            test_fail(__FILE__, __LINE__, "%s %s %s: %s", cases[i].class, cases[i].rest,
                      cases[i].lists, way_of(&stage, "x.rest.test", 443));
        end(&stage);
    }
}

TEST(a_range_takes_addresses_that_are_dialled)
{
    struct stage stage;
    begin(&stage);
    add(&stage, LAYER_ENTERPRISE, "e.json",
        NETWORK(
            "allow-with-policy",
            WAY("e", "proxy", "1", "deny",
                ",'allowCidrs':['10.0.0.0/8','fd00::/8'],'denyCidrs':['10.9.0.0/16']" BY("p"))));
    refer(
        &stage, LAYER_USER,
        "{'proxies':{'urn:srcos:proxy:p':{'url':'http://p.test:1','noProxy':['10.1.0.0/16:80']}}}");
    compile(&stage);
    CHECK_TEXT(way_of(&stage, "10.1.2.3", 443), "p.test");
    CHECK_TEXT(way_of(&stage, "10.1.2.3", 80), "direct");
    CHECK_TEXT(way_of(&stage, "10.9.2.3", 443), "direct");
    CHECK_TEXT(way_of(&stage, "fd12::3", 443), "p.test");
    CHECK_TEXT(way_of(&stage, "192.0.2.1", 443), "direct");
    end(&stage);
}

TEST(a_reference_that_no_layer_resolves_denies_and_says_where_to_write_it)
{
    struct stage stage;
    begin(&stage);
    add(&stage, LAYER_ENTERPRISE, "/etc/agent-machine/enterprise/e.json",
        CARRIED("north", "'a.test'"));
    add(&stage, LAYER_USER, "urn:srcos:network-access-profile:a/b", CARRIED("own", "'b.test'"));
    compile(&stage);
    CHECK_TEXT(way_of(&stage, "a.test", 443), "denied");
    CHECK_STR(stage.verdict.rule, STR("built-in.unresolved-reference"));
    CHECK_TEXT(stage.verdict.pointer, "/profiles/0/proxyRef");
    CHECK_TEXT(stage.verdict.document, "/etc/agent-machine/enterprise/e.json");
    CHECK(strstr(stage.verdict.reason, "urn:srcos:proxy:north") != NULL);
    CHECK(strstr(stage.verdict.smallest_change, "/etc/agent-machine/enterprise/references.yaml"));
    CHECK(stage.verdict.built_in);
    CHECK_TEXT(way_of(&stage, "b.test", 0), "denied");
    CHECK(strstr(stage.verdict.smallest_change, "the user's references.yaml"));
    CHECK_TEXT(way_of(&stage, "c.test", 443), "direct");
    end(&stage);
}

TEST(a_denial_stays_what_it_is)
{
    struct stage stage;
    struct target target = { .name = "a.test", .port = 443 };
    begin(&stage);
    add(&stage, LAYER_ENTERPRISE, "e.json", CARRIED("north", "'a.test'"));
    refer(&stage, LAYER_ENTERPRISE, "{'names':{'a.test':'10.0.0.1'}}");
    compile(&stage);
    struct verdict verdict = { .answer = ANSWER_DENY, .rule = STR("theirs") };
    routes_apply(stage.routes, &target, &verdict, &stage.permit);
    CHECK_STR(verdict.rule, STR("theirs"));
    CHECK_INT(stage.permit.fixed_count, 0);
    end(&stage);
}

TEST(where_nothing_leaves_this_machine_answers_alone)
{
    static const struct {
        const char *host, *way;
    } cases[] = {
        { "here.test", "direct" },    { "both.test", "denied" },   { "there.test", "denied" },
        { "nobody.test", "denied" },  { "127.0.0.2", "direct" },   { "::1", "direct" },
        { "198.51.100.1", "denied" }, { "2001:db8::1", "denied" }, { "proxied.test", "denied" },
    };
    struct stage stage;
    begin(&stage);
    add(&stage, LAYER_ENTERPRISE, "e.json", CARRIED("north", "'proxied.test'"));
    refer(&stage, LAYER_ENTERPRISE,
          "{'names':{'here.test':['127.0.0.1','::1'],'both.test':['127.0.0.1','198.51.100.1'],"
          "'there.test':'198.51.100.1'},'proxies':{'urn:srcos:proxy:north':{'url':"
          "'http://127.0.0.1:3128'}}}");
    compile(&stage);
    routes_keep_here(stage.routes);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_TEXT(way_of(&stage, cases[i].host, 443), cases[i].way);
        bool denied = strcmp(cases[i].way, "denied") == 0;
        CHECK_STR(stage.verdict.rule, denied ? STR("built-in.nothing-leaves") : STR(""));
        CHECK_INT(stage.permit.fixed_count, strcmp(cases[i].host, "here.test") == 0 ? 2 : 0);
    }
    end(&stage);
}

TEST(a_mesh_is_gone_by_as_its_binding_says)
{
    static const struct {
        const char *mode, *proxies, *listed, *of_entry;
    } cases[] = {
        { "direct-allowlist", "", "direct", "direct" },
        { "ambient", "", "direct", "direct" },
        { "egress-gateway", "", "denied", "denied" },
        { "egress-gateway", "'" MESH_URN "':{'url':'http://gateway.test:15443'}", "gateway.test",
          "gateway.test" },
        { "egress-gateway", "'" MESH_URN "':{'direct':true}", "direct", "direct" },
        { "ambient", "'" MESH_URN "':{'url':'http://gateway.test:15443'}", "gateway.test",
          "gateway.test" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stage stage;
        char mesh[1024], proxies[256];
        begin(&stage);
        snprintf(mesh, sizeof(mesh),
                 MESH("'egressMode':'%s','allowedHosts':['.mesh.test'],"
                      "'deniedHosts':['admin.mesh.test']"),
                 cases[i].mode);
        add(&stage, LAYER_ENTERPRISE, "mesh.json", mesh);
        add(&stage, LAYER_ENTERPRISE, "e.json",
            NETWORK("allow-with-policy",
                    WAY("e", "mesh", "1", "deny",
                        LISTS("'by-entry.test'") ",'meshBindingRef':'" MESH_URN "'")));
        snprintf(proxies, sizeof(proxies), "{'proxies':{%s}}", cases[i].proxies);
        refer(&stage, LAYER_ENTERPRISE, proxies);
        compile(&stage);
        if (strcmp(way_of(&stage, "a.mesh.test", 443), cases[i].listed) != 0 ||
            strcmp(way_of(&stage, "by-entry.test", 443), cases[i].of_entry) != 0)
            test_fail(__FILE__, __LINE__, "%s %s", cases[i].mode, cases[i].proxies);
        CHECK_TEXT(way_of(&stage, "admin.mesh.test", 443), "direct");
        end(&stage);
    }
}

TEST(a_mesh_of_which_nothing_is_known_carries_nothing)
{
    struct stage stage;
    begin(&stage);
    add(&stage, LAYER_USER, "/u/e.json",
        NETWORK("allow-with-policy", WAY("e", "mesh", "1", "deny",
                                         LISTS("'a.test'") ",'meshBindingRef':'" MESH_URN "'")));
    compile(&stage);
    CHECK_TEXT(way_of(&stage, "a.test", 443), "denied");
    CHECK_TEXT(stage.verdict.pointer, "/profiles/0/meshBindingRef");
    end(&stage);
}

TEST(a_name_has_the_addresses_that_a_layer_gives_it)
{
    struct stage stage;
    char text[ADDRESS_RANGE_TEXT_SIZE];
    begin(&stage);
    add(&stage, LAYER_ENTERPRISE, "e.json", CARRIED("north", "'.test'"));
    refer(&stage, LAYER_ENTERPRISE,
          "{'names':{'a.test':['10.1.2.3','fd12::3'],'here.test':['127.0.0.1','::1']},"
          "'proxies':{" PROXY("north", "http://p.north.test:3128") "}}");
    compile(&stage);
    CHECK_TEXT(way_of(&stage, "a.test", 443), "p.north.test");
    CHECK_INT(stage.permit.fixed_count, 2);
    address_range_text(&stage.permit.fixed[1], text);
    CHECK_TEXT(text, "fd12::3/128");
    CHECK_TEXT(way_of(&stage, "here.test", 443), "direct"); /* no proxy leads to this machine */
    CHECK_INT(stage.permit.fixed_count, 2);
    CHECK_TEXT(way_of(&stage, "b.test", 443), "p.north.test");
    CHECK_INT(stage.permit.fixed_count, 0);
    end(&stage);
}

TEST(what_a_proxy_is_shown_is_resolved_when_it_is_said_and_stands_in_no_route)
{
    struct stage stage;
    struct secret *shown = NULL;
    struct err err = { 0 };
    begin(&stage);
    add(&stage, LAYER_USER, "u.json", CARRIED("p", "'a.test'"));
    refer(&stage, LAYER_USER,
          "{'proxies':{'urn:srcos:proxy:p':{'url':'http://p.test:1',"
          "'authorizationRef':'secret://corp/p'}},"
          "'secrets':{'secret://corp/p':{'env':'AM_TEST_ROUTE'}}}");
    compile(&stage);
    CHECK_TEXT(way_of(&stage, "a.test", 443), "p.test");
    CHECK(!stage.permit.route.authorization);
    setenv("AM_TEST_ROUTE", "me:secret", 1);
    CHECK_INT(routes_authorize(stage.routes, &stage.permit.route, &shown, &err), 0);
    CHECK(shown && strcmp(secret_value(shown).ptr, "Basic bWU6c2VjcmV0") == 0);
    secret_free(shown);
    unsetenv("AM_TEST_ROUTE");
    CHECK_INT(routes_authorize(stage.routes, &stage.permit.route, &shown, &err), -ENOENT);
    CHECK(strstr(err.where, "secret://corp/p") != NULL);
    CHECK_TEXT(way_of(&stage, "b.test", 443), "direct");
    CHECK_INT(routes_authorize(stage.routes, &stage.permit.route, &shown, &err), 0);
    CHECK(!shown);
    end(&stage);
}
