/* verdict: each sentence on policy layers and on matching, as a table. */
#include "authority/verdict_test.h"

#include "base/file.h"

struct expected {
    const char *host;
    uint16_t port;
    const char *answer;
};

static void check_table(struct fixture *f, const struct expected *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *answer = fixture_ask(f, rows[i].host, rows[i].port);
        if (strcmp(answer, rows[i].answer) != 0)
            test_fail(__FILE__, __LINE__, "%s:%u is %s, expected %s (%s)", rows[i].host,
                      rows[i].port, answer, rows[i].answer, f->verdict.reason);
    }
}

#define CHECK_TABLE(fixture, ...)                                                                  \
    do {                                                                                           \
        const struct expected rows_[] = { __VA_ARGS__ };                                           \
        check_table((fixture), rows_, ARRAY_LEN(rows_));                                           \
    } while (0)

/* One document of the user's and nothing else. */
static void build_user(struct fixture *f, const char *text)
{
    fixture_init(f);
    fixture_add(f, LAYER_USER, "user.json", text);
    fixture_build(f);
}

/* --- matching ------------------------------------------------------------------------------- */

TEST(forms_of_names_cover_what_they_say)
{
    struct fixture f;
    build_user(&f, NETWORK("deny", ENTRY("e", "user-firewall", "deny",
                                         ",'allowDomains':['itself.test','*.below.test',"
                                         "'.both.test']")));
    CHECK_TABLE(&f, { "itself.test", 443, "allow" }, { "a.itself.test", 443, "deny" },
                { "below.test", 443, "deny" }, { "a.below.test", 443, "allow" },
                { "a.b.c.below.test", 443, "allow" }, { "both.test", 443, "allow" },
                { "a.b.both.test", 443, "allow" }, { "xboth.test", 443, "deny" },
                { "test", 443, "deny" });
    fixture_release(&f);
}

TEST(names_are_compared_folded_and_as_idna)
{
    struct fixture f;
    build_user(&f, NETWORK("deny", ENTRY("e", "user-firewall", "deny",
                                         ",'allowDomains':['Example.COM.','bücher.test',"
                                         "'xn--mnchen-3ya.test']")));
    CHECK_TABLE(&f, { "EXAMPLE.com", 443, "allow" }, { "example.com.", 443, "allow" },
                { "BÜCHER.test", 443, "allow" }, { "xn--bcher-kva.test", 443, "allow" },
                { "münchen.test", 443, "allow" }, { "example.com..", 443, "deny" },
                { "", 443, "deny" }, { "a b.test", 443, "deny" }, { "example.com:80", 443, "deny" },
                { "example.com/x", 443, "deny" }, { "fe80::1%eth0", 443, "deny" });
    CHECK_STR(f.verdict.rule, STR("built-in.no-host"));
    fixture_release(&f);
}

TEST(a_host_with_a_zero_byte_or_beyond_the_limit_is_not_decided_by_its_beginning)
{
    struct fixture f;
    char longest[POLICY_HOST_MAX + 2];
    build_user(&f, NETWORK("deny", ENTRY("e", "user-firewall", "allow-any", "")));
    CHECK_TEXT(
        fixture_decide(&f, (struct policy_destination){ .host = STR("a.test\0b"), .port = 443 }),
        "deny");
    memset(longest, 'a', sizeof(longest));
    CHECK_TEXT(
        fixture_decide(&f, (struct policy_destination){ .host = str_make(longest, sizeof(longest)),
                                                        .port = 443 }),
        "error");
    fixture_release(&f);
}

TEST(the_longest_range_decides)
{
    struct fixture f;
    build_user(&f,
               NETWORK("deny", ENTRY("e", "user-firewall", "deny",
                                     ",'allowCidrs':['10.0.0.0/8','10.1.2.0/24','2001:db8::/32',"
                                     "'8.8.8.8'],'denyCidrs':['10.1.0.0/16',"
                                     "'2001:db8:1::/48','10.1.2.3']")));
    CHECK_TABLE(&f, { "10.9.9.9", 80, "allow" }, { "10.1.9.9", 80, "deny" },
                { "10.1.2.9", 80, "allow" }, { "10.1.2.3", 80, "deny" }, { "8.8.8.8", 53, "allow" },
                { "8.8.8.9", 53, "deny" }, { "2001:db8::1", 80, "allow" },
                { "2001:db8:1::1", 80, "deny" }, { "[2001:db8::1]", 80, "allow" },
                { "2001:db9::1", 80, "deny" });
    fixture_release(&f);
}

TEST(odd_spellings_and_mapped_addresses_are_the_address)
{
    struct fixture f;
    build_user(&f, NETWORK("deny", ENTRY("e", "user-firewall", "allow-any",
                                         ",'denyDomains':['0x08080808','.1.1.1.1'],"
                                         "'denyCidrs':['9.9.9.0/24','::ffff:7.7.7.7']")));
    CHECK_TABLE(
        &f, { "8.8.8.8", 80, "deny" }, { "134744072", 80, "deny" }, { "0x08.8.8.8", 80, "deny" },
        { "010.8.8.8", 80, "deny" }, { "8.8.2056", 80, "deny" }, { "::ffff:8.8.8.8", 80, "deny" },
        { "8.8.8.8.", 80, "deny" }, { "1.1.1.1", 80, "deny" }, { "1.1.1.2", 80, "allow" },
        { "9.9.9.1", 80, "deny" }, { "::ffff:909:901", 80, "deny" }, { "0x09090901", 80, "deny" },
        { "7.7.7.7", 80, "deny" }, { "7.7.7.8", 80, "allow" }, { "2130706433", 80, "deny" },
        { "0x7f.1", 80, "deny" }, { "１２７.0.0.1", 80, "deny" });
    CHECK_STR(f.verdict.rule, STR("built-in.special-addresses"));
    fixture_release(&f);
}

TEST(special_addresses_are_denied_unless_a_rule_names_them)
{
    static const char *const addresses[] = {
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.1.1",
        "169.254.169.254",
        "168.63.129.16",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:0a01:0203::1",
    };
    struct fixture f;
    build_user(&f, NETWORK("deny", ENTRY("e", "user-firewall", "allow-any", "")));
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        CHECK_TEXT(fixture_ask(&f, addresses[i], 80), "deny");
        CHECK_STR(f.verdict.rule, STR("built-in.special-addresses"));
        CHECK(f.verdict.built_in);
        CHECK_TEXT(fixture_ask_address(&f, "name.test", 80, addresses[i]), "deny");
        CHECK_STR(f.verdict.rule, STR("built-in.special-addresses"));
    }
    CHECK_TABLE(&f, { "172.32.0.1", 80, "allow" }, { "198.18.0.5", 80, "allow" },
                { "64:ff9b::808:808", 80, "allow" }, { "2001:db8::1", 80, "allow" });
    CHECK_TEXT(fixture_ask_address(&f, "name.test", 80, "8.8.8.8"), "allow");
    fixture_release(&f);
}

TEST(what_names_a_special_range_is_no_wider_than_it)
{
    struct fixture f;
    build_user(&f, NETWORK("deny", ENTRY("e", "user-firewall", "allow-any",
                                         ",'allowCidrs':['0.0.0.0/0','8.0.0.0/5','192.168.0.0/16',"
                                         "'169.254.0.0/16','127.0.0.1','fd00::/8',"
                                         "'64:ff9b::a02:300/120']")));
    CHECK_TABLE(&f, { "10.1.2.3", 80, "deny" }, { "192.168.9.9", 80, "allow" },
                { "169.254.3.3", 80, "allow" }, { "169.254.169.254", 80, "deny" },
                { "127.0.0.1", 80, "allow" }, { "127.0.0.2", 80, "deny" },
                { "fd01::1", 80, "allow" }, { "fd00:ec2::254", 80, "deny" },
                { "64:ff9b::a02:304", 80, "allow" }, { "64:ff9b::a02:404", 80, "deny" });
    CHECK_TEXT(fixture_ask_address(&f, "nas.test", 80, "192.168.9.9"), "allow");
    CHECK_TEXT(fixture_ask_address(&f, "nas.test", 80, "10.1.2.3"), "deny");
    CHECK_TEXT(f.verdict.smallest_change, "--allow 10.1.2.3:80");
    fixture_release(&f);
}

TEST(ranges_narrow_what_a_name_resolves_to)
{
    struct fixture f;
    fixture_init(&f);
    fixture_add(&f, LAYER_ENTERPRISE, "e.json",
                NETWORK("allow-with-policy", ENTRY("e", "proxy", "allow-listed",
                                                   ",'allowDomains':['db.test'],"
                                                   "'allowCidrs':['10.20.0.0/16'],"
                                                   "'denyCidrs':['10.20.255.0/24','0.0.0.0/0',"
                                                   "'6.6.0.0/16']")));
    fixture_add(&f, LAYER_USER, "u.json",
                NETWORK("deny", ENTRY("u", "user-firewall", "allow-any", "")));
    fixture_build(&f);
    CHECK_TEXT(fixture_ask_address(&f, "db.test", 80, "10.20.1.1"), "allow");
    CHECK_TEXT(fixture_ask_address(&f, "db.test", 80, "10.20.255.1"), "deny");
    CHECK_TEXT(f.verdict.pointer, "/profiles/0/denyCidrs/0");
    CHECK_TEXT(fixture_ask_address(&f, "db.test", 80, "10.30.0.1"), "deny");
    CHECK_TEXT(fixture_ask_address(&f, "db.test", 80, "6.6.6.6"), "deny");
    /* The name is listed, and so is more specific than all addresses; another name is not. */
    CHECK_TEXT(fixture_ask_address(&f, "db.test", 80, "8.8.8.8"), "allow");
    CHECK_TEXT(fixture_ask_address(&f, "other.test", 80, "8.8.8.8"), "deny");
    fixture_release(&f);
}

TEST(a_range_that_is_allowed_does_not_allow_a_name)
{
    struct fixture f;
    build_user(&f, NETWORK("allow-with-policy",
                           ENTRY("e", "vpn", "deny", ",'allowCidrs':['10.0.0.0/8']")));
    CHECK_TEXT(fixture_ask(&f, "db.test", 80), "deny");
    CHECK_TEXT(fixture_ask_address(&f, "db.test", 80, "10.0.0.1"), "deny");
    CHECK_STR(f.verdict.rule, STR("built-in.no-layer-allows"));
    fixture_release(&f);
}

TEST(ports_and_protocols_belong_to_the_rule)
{
    struct fixture f;
    build_user(
        &f,
        FIREWALL(
            "enforce", "",
            RULE("web", "allow", "web.test", ",'ports':[8443,443],'protocols':['https']") "," RULE("git", "allow", "git.test", ",'ports':[22],'protocols':['tcp']") "," RULE(
                "dns", "allow", "dns.test",
                ",'protocols':['udp']") "," RULE("plain", "deny", "mixed.test",
                                                 ",'protocols':['http']") "," RULE("rest", "allow",
                                                                                   ".mixed.test",
                                                                                   "") "," RULE("pi"
                                                                                                "n"
                                                                                                "g",
                                                                                                "de"
                                                                                                "n"
                                                                                                "y",
                                                                                                "*",
                                                                                                ",'"
                                                                                                "pr"
                                                                                                "ot"
                                                                                                "oc"
                                                                                                "ol"
                                                                                                "s'"
                                                                                                ":["
                                                                                                "'i"
                                                                                                "cm"
                                                                                                "p'"
                                                                                                ",'"
                                                                                                "ot"
                                                                                                "he"
                                                                                                "r'"
                                                                                                "]")));
    CHECK_TABLE(&f, { "web.test", 443, "allow" }, { "web.test", 8443, "allow" },
                { "web.test", 80, "deny" }, { "git.test", 22, "allow" },
                { "git.test", 443, "deny" }, { "dns.test", 53, "deny" },
                { "mixed.test", 443, "allow" }, { "mixed.test", 80, "deny" },
                { "mixed.test", 8080, "deny" });
    static const struct {
        const char *host, *protocol, *answer;
    } rows[] = {
        { "web.test", "https", "allow" },   { "web.test", "tcp", "allow" },
        { "web.test", "http", "deny" },     { "web.test", "udp", "deny" },
        { "dns.test", "udp", "allow" },     { "mixed.test", "http", "deny" },
        { "mixed.test", "https", "allow" }, { "mixed.test", "icmp", "allow" },
        { "x.test", "sctp", "deny" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_TEXT(fixture_decide(
                       &f, (struct policy_destination){ .host = str_from(rows[i].host),
                                                        .port = 443,
                                                        .protocol = str_from(rows[i].protocol) }),
                   rows[i].answer);
    fixture_ask(&f, "web.test", 443);
    CHECK(f.verdict.tls);
    fixture_ask(&f, "git.test", 22);
    CHECK(!f.verdict.tls);
    fixture_release(&f);
}

TEST(without_a_port_the_question_is_whether_there_may_be_one)
{
    struct fixture f;
    build_user(
        &f,
        FIREWALL(
            "enforce", "",
            RULE("git", "allow", "git.test", ",'ports':[22]") "," RULE("no", "deny", "*", ",'ports':[25]") "," RULE(
                "db", "ask", "db.test",
                ",'ports':[5432]") "," RULE("bad", "deny", "bad.test",
                                            "") "," RULE("bad22", "allow", ".bad.test",
                                                         ",'ports':[22]") "," RULE("all", "allow",
                                                                                   ".all.test",
                                                                                   "") "," RULE("ma"
                                                                                                "i"
                                                                                                "l",
                                                                                                "de"
                                                                                                "n"
                                                                                                "y",
                                                                                                "m."
                                                                                                "al"
                                                                                                "l."
                                                                                                "te"
                                                                                                "s"
                                                                                                "t",
                                                                                                ",'"
                                                                                                "po"
                                                                                                "rt"
                                                                                                "s'"
                                                                                                ":["
                                                                                                "25"
                                                                                                "]")));
    CHECK_TABLE(&f, { "git.test", 0, "allow" }, { "db.test", 0, "ask" }, { "bad.test", 0, "deny" },
                { "m.all.test", 0, "allow" }, { "m.all.test", 25, "deny" },
                { "other.test", 0, "deny" }, { "git.test", 23, "deny" });
    fixture_ask(&f, "git.test", 0);
    CHECK(f.verdict.some_ports);
    fixture_ask(&f, "git.test", 22);
    CHECK(!f.verdict.some_ports);
    fixture_release(&f);
}

TEST(a_range_that_is_allowed_adds_no_answer_where_the_layer_has_none)
{
    struct fixture f;
    fixture_init(&f);
    fixture_add(&f, LAYER_ENTERPRISE, "e.json",
                FIREWALL("enforce", ",'conflictPolicy':'deny-on-conflict'",
                         RULE("r", "allow", "10.0.0.0/8", "")));
    fixture_add(&f, LAYER_USER, "u.json",
                NETWORK("deny", ENTRY("u", "user-firewall", "allow-with-prompt", "")));
    fixture_build(&f);
    CHECK_TEXT(fixture_ask(&f, "db.test", 443), "ask");
    CHECK_TEXT(fixture_ask_address(&f, "db.test", 443, "10.1.2.3"), "ask");
    fixture_release(&f);
}

/* --- inside a layer ------------------------------------------------------------------------- */

TEST(the_most_specific_match_wins_and_deny_wins_ties)
{
    struct fixture f;
    build_user(
        &f,
        NETWORK(
            "deny",
            ENTRY(
                "a", "user-firewall", "allow-any",
                ",'allowDomains':['tie.test','x.deep.test','.tie2.test'],"
                "'denyDomains':['.deep.test','y.x.deep.test']") "," ENTRY("b", "user-firewall",
                                                                          "allow-any",
                                                                          ",'denyDomains':['tie."
                                                                          "test','*.tie2.test']")));
    CHECK_TABLE(&f, { "tie.test", 443, "deny" }, { "deep.test", 443, "deny" },
                { "x.deep.test", 443, "allow" }, { "y.x.deep.test", 443, "deny" },
                { "z.deep.test", 443, "deny" }, { "tie2.test", 443, "allow" },
                { "a.tie2.test", 443, "deny" }, { "other.test", 443, "allow" });
    fixture_release(&f);
}

TEST(the_four_defaults_answer_for_what_is_not_listed)
{
    static const struct {
        const char *text, *name, *address;
    } rows[] = {
        { NETWORK("ask", ENTRY("e", "user-firewall", "deny", "")), "deny", "deny" },
        { NETWORK("ask", ENTRY("e", "user-firewall", "allow-listed", "")), "deny", "deny" },
        { NETWORK("deny", ENTRY("e", "user-firewall", "allow-with-prompt", "")), "ask", "ask" },
        { NETWORK("deny", ENTRY("e", "user-firewall", "allow-any", "")), "allow", "allow" },
        { NETWORK("ask", ENTRY("e", "corporate-firewall", "allow-any", "")), "allow", "allow" },
        { NETWORK("ask", ENTRY("e", "offline", "deny", "")), "deny", "deny" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        build_user(&f, rows[i].text);
        CHECK_TEXT(fixture_ask(&f, "any.test", 443), rows[i].name);
        CHECK_TEXT(fixture_ask(&f, "8.8.8.8", 443), rows[i].address);
        CHECK_TEXT(f.verdict.pointer, "/profiles/0/defaultEgress");
        fixture_release(&f);
    }
}

TEST(a_star_restates_the_default_and_does_not_change_it)
{
    struct fixture f;
    build_user(&f, NETWORK("deny", ENTRY("e", "user-firewall", "allow-listed",
                                         ",'allowDomains':['a.test'],'denyDomains':['*']")));
    CHECK_TABLE(&f, { "a.test", 443, "allow" }, { "b.test", 443, "deny" });
    fixture_release(&f);
    build_user(&f, NETWORK("deny", ENTRY("e", "user-firewall", "deny", ",'allowDomains':['*']")));
    CHECK_TABLE(&f, { "a.test", 443, "deny" });
    fixture_release(&f);
    build_user(&f,
               NETWORK("deny", ENTRY("e", "user-firewall", "allow-any", ",'denyDomains':['*']")));
    CHECK_TABLE(&f, { "a.test", 443, "allow" });
    fixture_release(&f);
}

TEST(proxies_meshes_vpns_and_zero_trust_answer_for_what_they_list)
{
    static const char *const texts[] = {
        NETWORK("ask",
                ENTRY("e", "proxy", "deny", ",'allowDomains':['l.test'],'denyDomains':['n.test']")),
        NETWORK("ask",
                ENTRY("e", "mesh", "deny", ",'allowDomains':['l.test'],'denyDomains':['n.test']")),
        NETWORK("ask",
                ENTRY("e", "vpn", "deny", ",'allowDomains':['l.test'],'denyDomains':['n.test']")),
        NETWORK("ask", ENTRY("e", "zero-trust", "allow-any",
                             ",'allowDomains':['l.test'],'denyDomains':['n.test','*']")),
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct fixture f;
        build_user(&f, texts[i]);
        CHECK_TABLE(&f, { "l.test", 443, "allow" }, { "n.test", 443, "deny" },
                    { "other.test", 443, "ask" });
        CHECK_TEXT(f.verdict.pointer, "/defaultDecision");
        fixture_release(&f);
    }
}

TEST(the_three_default_decisions_answer_where_no_entry_does)
{
    static const struct {
        const char *text, *answer;
        enum answer layer;
    } rows[] = {
        { NETWORK("deny", ENTRY("e", "proxy", "deny", "")), "deny", ANSWER_DENY },
        { NETWORK("ask", ENTRY("e", "proxy", "deny", "")), "ask", ANSWER_ASK },
        { NETWORK("allow-with-policy", ENTRY("e", "proxy", "deny", "")), "allow", ANSWER_NOTHING },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        fixture_init(&f);
        fixture_add(&f, LAYER_DEVICE, "device.json", rows[i].text);
        fixture_add(&f, LAYER_USER, "user.json",
                    NETWORK("deny", ENTRY("u", "user-firewall", "allow-any", "")));
        fixture_build(&f);
        CHECK_TEXT(fixture_ask(&f, "x.test", 443), rows[i].answer);
        CHECK_INT(f.verdict.layers[LAYER_DEVICE].answer, rows[i].layer);
        fixture_release(&f);
    }
}

TEST(an_entry_speaks_for_its_own_layer_and_never_for_a_higher_one)
{
    struct fixture f;
    fixture_init(&f);
    fixture_add(&f, LAYER_ENTERPRISE, "e.json",
                NETWORK("allow-with-policy",
                        ENTRY("moved", "user-firewall", "deny", ",'allowDomains':['a.test']")));
    fixture_add(&f, LAYER_USER, "u.json",
                NETWORK("allow-with-policy",
                        ENTRY("own", "corporate-firewall", "deny", ",'allowDomains':['b.test']")));
    fixture_build(&f);
    fixture_ask(&f, "a.test", 443);
    CHECK_INT(f.verdict.layers[LAYER_ENTERPRISE].answer, ANSWER_NOTHING);
    CHECK_INT(f.verdict.layers[LAYER_USER].answer, ANSWER_ALLOW);
    CHECK_TEXT(f.verdict.layers[LAYER_USER].document, "e.json");
    fixture_ask(&f, "b.test", 443);
    CHECK_INT(f.verdict.layers[LAYER_ENTERPRISE].answer, ANSWER_NOTHING);
    CHECK_INT(f.verdict.layers[LAYER_USER].answer, ANSWER_ALLOW);
    CHECK_TABLE(&f, { "a.test", 443, "allow" }, { "b.test", 443, "allow" },
                { "c.test", 443, "deny" });
    fixture_release(&f);
}

TEST(an_entry_that_moved_down_does_not_answer_for_its_document)
{
    struct fixture f;
    fixture_init(&f);
    fixture_add(
        &f, LAYER_ENTERPRISE, "e.json",
        NETWORK("deny", ENTRY("list", "proxy", "deny", ",'allowDomains':['a.test']") "," ENTRY(
                            "moved", "user-firewall", "allow-any", "")));
    fixture_build(&f);
    CHECK_TABLE(&f, { "a.test", 443, "allow" }, { "b.test", 443, "deny" });
    CHECK_INT(f.verdict.layer, LAYER_ENTERPRISE);
    fixture_release(&f);
}

TEST(the_agent_layers_hosts_are_allows_and_the_rest_is_nothing)
{
    struct fixture f;
    fixture_init(&f);
    fixture_add(&f, LAYER_USER, "tool.json",
                SURFACE("{'host':'registry.test'},{'host':'git.test','ports':[22],"
                        "'protocols':['tcp']},{'host':'198.51.100.0/24','ports':[80],"
                        "'protocols':['http']}"));
    fixture_build(&f);
    CHECK_TABLE(&f, { "registry.test", 443, "allow" }, { "registry.test", 80, "deny" },
                { "git.test", 22, "allow" }, { "198.51.100.7", 80, "allow" },
                { "other.test", 443, "deny" });
    CHECK_INT(f.verdict.layers[LAYER_AGENT].answer, ANSWER_NOTHING);
    fixture_ask(&f, "registry.test", 443);
    CHECK_INT(f.verdict.layer, LAYER_AGENT);
    CHECK(f.verdict.tls);
    fixture_release(&f);
}

TEST(a_mesh_answers_for_what_it_lists)
{
    struct fixture f;
    fixture_init(&f);
    fixture_add(&f, LAYER_WORKSPACE, "m.json",
                MESH("'egressMode':'egress-gateway','allowedHosts':['.svc.test'],"
                     "'deniedHosts':['admin.svc.test']"));
    fixture_add(&f, LAYER_DEVICE, "closed.json",
                MESH("'egressMode':'deny','allowedHosts':['.closed.test']"));
    fixture_build(&f);
    CHECK_TABLE(&f, { "a.svc.test", 80, "allow" }, { "admin.svc.test", 80, "deny" },
                { "a.closed.test", 80, "deny" }, { "other.test", 80, "deny" });
    CHECK_STR(f.verdict.rule, STR("built-in.no-layer-allows"));
    fixture_release(&f);
}

/* --- firewalls ------------------------------------------------------------------------------ */

TEST(of_the_four_modes_enforce_decides_and_observe_is_told)
{
    static const struct {
        const char *text, *answer;
        bool observed;
    } rows[] = {
        { FIREWALL("enforce", "", RULE("r", "deny", "a.test", "")), "deny", false },
        { FIREWALL("observe", "", RULE("r", "deny", "a.test", "")), "allow", true },
        { FIREWALL("observe", "",
                   RULE("r", "deny", ".test", "") "," RULE("s", "allow", "a.test", "")),
          "allow", false },
        { FIREWALL("plan", "", RULE("r", "deny", "a.test", "")), "allow", false },
        { FIREWALL("import-only", "", RULE("r", "deny", "a.test", "")), "allow", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        fixture_init(&f);
        fixture_add(&f, LAYER_ENTERPRISE, "fw.json", rows[i].text);
        fixture_add(&f, LAYER_USER, "u.json",
                    NETWORK("deny", ENTRY("u", "user-firewall", "allow-any", "")));
        fixture_build(&f);
        CHECK_TEXT(fixture_ask(&f, "a.test", 443), rows[i].answer);
        CHECK_INT(f.verdict.observed, rows[i].observed);
        fixture_release(&f);
    }
}

TEST(log_only_allows_and_records)
{
    struct fixture f;
    build_user(&f,
               FIREWALL("enforce", "",
                        RULE("r", "log-only", ".test", "") "," RULE("n", "deny", "n.test", "")));
    CHECK_TABLE(&f, { "n.test", 443, "deny" }, { "a.test", 443, "allow" });
    CHECK(f.verdict.log_only);
    fixture_ask(&f, "n.test", 443);
    CHECK(!f.verdict.log_only);
    fixture_release(&f);
}

TEST(rules_of_ingress_and_of_other_subjects_do_not_count)
{
    static const char text[] = FIREWALL(
        "enforce", "",
        "{'ruleId':'in','direction':'ingress','decision':'deny','subject':'*','destination':'*'},"
        "{'ruleId':'codex','direction':'both','decision':'allow','subject':'urn:srcos:agent:codex',"
        "'destination':'git.test'},"
        "{'ruleId':'other','direction':'egress','decision':'deny','subject':'urn:srcos:agent:other'"
        ","
        "'destination':'x.test'},"
        "{'ruleId':'path','direction':'egress','decision':'allow','subject':'/usr/bin/git',"
        "'destination':'p.test'},"
        "{'ruleId':'path2','direction':'egress','decision':'deny','subject':'/usr/bin/git',"
        "'destination':'q.test'},"
        "{'ruleId':'any','direction':'egress','decision':'allow','subject':'sandbox',"
        "'destination':'.x.test'}");
    struct fixture f;
    struct err err = { 0 };
    fixture_init(&f);
    CHECK_INT(policy_builder_subject(f.builder, STR("urn:srcos:agent:codex"), &err), 0);
    fixture_add(&f, LAYER_USER, "fw.json", text);
    fixture_build(&f);
    CHECK_TABLE(&f, { "git.test", 22, "allow" }, { "x.test", 22, "allow" },
                { "p.test", 22, "deny" }, { "q.test", 22, "deny" });
    CHECK_STR(f.verdict.rule, STR("path2"));
    fixture_release(&f);
    /* Nobody said who runs: what allows somebody does not count, what denies somebody does. */
    build_user(&f, text);
    CHECK_TABLE(&f, { "git.test", 22, "deny" }, { "x.test", 22, "deny" });
    fixture_release(&f);
}

TEST(a_denial_that_cannot_be_understood_is_an_error_and_an_allow_nothing)
{
    struct fixture f;
    struct err err = { 0 };
    fixture_init(&f);
    fixture_add(&f, LAYER_USER, "a.json",
                FIREWALL("enforce", "", RULE("r", "allow", "a service of its own", "")));
    CHECK(fixture_try(&f, LAYER_USER, "d.json",
                      FIREWALL("enforce", "", RULE("r", "deny", "a service of its own", "")),
                      &err) < 0);
    CHECK_TEXT(err.where, "d.json: /rules/0");
    fixture_release(&f);
}

/* --- across layers -------------------------------------------------------------------------- */

#define USER_ANY  NETWORK("deny", ENTRY("u", "user-firewall", "allow-any", ""))
#define USER_ASK  NETWORK("deny", ENTRY("u", "user-firewall", "allow-with-prompt", ""))
#define USER_DENY NETWORK("deny", ENTRY("u", "user-firewall", "deny", ""))

TEST(deny_beats_ask_beats_allow_and_silence_is_a_denial)
{
    static const char *const documents[ANSWER_COUNT] = {
        [ANSWER_ALLOW] = NETWORK("deny", ENTRY("e", "corporate-firewall", "allow-any", "")),
        [ANSWER_ASK] = NETWORK("deny", ENTRY("e", "corporate-firewall", "allow-with-prompt", "")),
        [ANSWER_DENY] = NETWORK("deny", ENTRY("e", "corporate-firewall", "deny", "")),
    };
    for (int a = 0; a < ANSWER_COUNT; a++) {
        for (int b = 0; b < ANSWER_COUNT; b++) {
            struct fixture f;
            int strictest = a > b ? a : b;
            fixture_init(&f);
            if (documents[a])
                fixture_add(&f, LAYER_ENTERPRISE, "a.json", documents[a]);
            if (documents[b])
                fixture_add(&f, LAYER_DEVICE, "b.json", documents[b]);
            fixture_build(&f);
            CHECK_TEXT(fixture_ask(&f, "x.test", 443),
                       strictest ? answer_names[strictest] : "deny");
            if (strictest)
                CHECK_INT(f.verdict.layer, strictest == a ? LAYER_ENTERPRISE : LAYER_DEVICE);
            CHECK_INT(f.verdict.built_in, !strictest);
            fixture_release(&f);
        }
    }
}

TEST(every_document_of_the_enterprise_is_asked)
{
    struct fixture f;
    fixture_init(&f);
    fixture_add(&f, LAYER_ENTERPRISE, "one.json",
                NETWORK("allow-with-policy", ENTRY("one", "proxy", "deny",
                                                   ",'allowDomains':['a.paste.test','b.test'],"
                                                   "'denyDomains':['.c.test']")));
    fixture_add(&f, LAYER_ENTERPRISE, "two.json",
                NETWORK("allow-with-policy", ENTRY("two", "proxy", "deny",
                                                   ",'allowDomains':['x.c.test'],"
                                                   "'denyDomains':['.paste.test']")));
    fixture_add(&f, LAYER_ENTERPRISE, "three.json",
                FIREWALL("enforce", "", RULE("no-mail", "deny", "*", ",'ports':[25]")));
    fixture_build(&f);
    CHECK_TABLE(&f, { "a.paste.test", 443, "deny" }, { "x.c.test", 443, "deny" },
                { "b.test", 25, "deny" }, { "b.test", 443, "allow" });
    fixture_release(&f);
}

TEST(a_choice_joins_the_user_layer_and_changes_no_other)
{
    struct fixture f;
    struct err err = { 0 };
    static const char *const allows[] = { "a.test",           "b.test:8443",  "10.0.0.5",
                                          "[2001:db8::1]:80", "192.0.2.0/24", ".deep.test",
                                          "denied.test",      "e.test" };
    fixture_init(&f);
    fixture_add(
        &f, LAYER_ENTERPRISE, "e.json",
        NETWORK("allow-with-policy", ENTRY("e", "proxy", "deny", ",'denyDomains':['e.test']")));
    fixture_add(&f, LAYER_USER, "u.json",
                NETWORK("deny", ENTRY("u", "user-firewall", "allow-with-prompt",
                                      ",'denyDomains':['denied.test']")));
    for (size_t i = 0; i < ARRAY_LEN(allows); i++)
        CHECK_INT(policy_add_choice(f.builder, str_from(allows[i]), true, &err), 0);
    CHECK_INT(policy_add_choice(f.builder, STR("x.deep.test"), false, &err), 0);
    CHECK(policy_add_choice(f.builder, STR("http://a.test/"), true, &err) < 0);
    CHECK_INT(err.code, ERR_USAGE);
    CHECK(policy_add_choice(f.builder, STR("a.test:70000"), true, &err) < 0);
    CHECK(policy_add_choice(f.builder, STR("a b"), true, &err) < 0);
    CHECK(policy_add_choice(f.builder, STR(""), true, &err) < 0);
    fixture_build(&f);
    CHECK_TABLE(&f, { "a.test", 443, "allow" }, { "b.test", 8443, "allow" },
                { "b.test", 443, "ask" }, { "10.0.0.5", 5432, "allow" },
                { "10.0.0.6", 5432, "deny" }, { "2001:db8::1", 80, "allow" },
                { "192.0.2.9", 80, "allow" }, { "y.deep.test", 443, "allow" },
                { "x.deep.test", 443, "deny" }, { "denied.test", 443, "deny" },
                { "e.test", 443, "deny" }, { "z.test", 443, "ask" });
    CHECK_TEXT(fixture_ask_address(&f, "a.test", 443, "10.0.0.5"), "allow");
    fixture_release(&f);
}

TEST(a_choice_answers_a_question_of_the_user_layer)
{
    struct fixture f;
    struct err err = { 0 };
    fixture_init(&f);
    fixture_add(&f, LAYER_USER, "u.json",
                FIREWALL("enforce", "", RULE("q", "ask", "a.test", ",'ports':[443]")));
    CHECK_INT(policy_add_choice(f.builder, STR("a.test"), true, &err), 0);
    fixture_build(&f);
    CHECK_TABLE(&f, { "a.test", 443, "allow" });
    fixture_release(&f);
}

/* Answers by layer under each conflict policy, as letters: E, W, D, U. */
TEST(the_four_conflict_policies)
{
    static const char *const rules[ANSWER_COUNT] = { "", RULE("r", "allow", "x.test", ""),
                                                     RULE("r", "ask", "x.test", ""),
                                                     RULE("r", "deny", "x.test", "") };
    static const struct {
        const char *policy, *answers, *expected; /* n(othing), a(llow), q(uestion), d(eny) */
    } rows[] = {
        { "most-restrictive-wins", "annd", "deny" },
        { "most-restrictive-wins", "qnnd", "deny" },
        { "most-restrictive-wins", "aqna", "ask" },
        { "enterprise-wins", "daaa", "deny" },
        { "enterprise-wins", "qnnd", "ask" },
        { "enterprise-wins", "annd", "deny" },
        { "enterprise-wins", "aqna", "ask" },
        { "enterprise-wins", "nnda", "deny" },
        { "user-wins", "adda", "allow" },
        { "user-wins", "ndqa", "allow" },
        { "user-wins", "naaq", "ask" },
        { "user-wins", "naad", "deny" },
        { "user-wins", "daaa", "deny" },
        { "user-wins", "qaaa", "ask" },
        { "user-wins", "ndan", "deny" },
        { "deny-on-conflict", "anna", "allow" },
        { "deny-on-conflict", "annq", "deny" },
        { "deny-on-conflict", "qnnq", "ask" },
        { "deny-on-conflict", "nnnn", "deny" },
        { "deny-on-conflict", "nann", "allow" },
    };
    static const char letters[] = "naqd";
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct buf text = BUF_INIT;
        fixture_init(&f);
        for (int layer = 0; layer <= LAYER_USER; layer++) {
            buf_reset(&text);
            buf_addf(&text, FIREWALL("enforce", "%s%s%s", "%s"), layer ? "" : ",'conflictPolicy':'",
                     layer ? "" : rows[i].policy, layer ? "" : "'",
                     rules[strchr(letters, rows[i].answers[layer]) - letters]);
            fixture_add(&f, (enum layer)layer, "fw.json", text.data);
        }
        fixture_build(&f);
        const char *answer = fixture_ask(&f, "x.test", 443);
        if (strcmp(answer, rows[i].expected) != 0)
            test_fail(__FILE__, __LINE__, "%s, %s: %s", rows[i].policy, rows[i].answers, answer);
        buf_release(&text);
        fixture_release(&f);
    }
}

TEST(the_conflict_policy_is_that_of_the_highest_layer_that_states_one)
{
    struct fixture f;
    fixture_init(&f);
    fixture_add(&f, LAYER_USER, "u.json", FIREWALL("enforce", ",'conflictPolicy':'user-wins'", ""));
    fixture_add(&f, LAYER_DEVICE, "d.json",
                FIREWALL("enforce", ",'conflictPolicy':'deny-on-conflict'", ""));
    fixture_add(&f, LAYER_ENTERPRISE, "o.json",
                FIREWALL("observe", ",'conflictPolicy':'enterprise-wins'", ""));
    fixture_build(&f);
    CHECK_TEXT(policy_conflict(f.policy), "deny-on-conflict");
    fixture_release(&f);
    fixture_init(&f);
    fixture_build(&f);
    CHECK_TEXT(policy_conflict(f.policy), "most-restrictive-wins");
    fixture_release(&f);
}

TEST(an_unreadable_document_denies_everything_by_name)
{
    struct fixture f;
    struct err err = { 0 };
    fixture_init(&f);
    fixture_add(&f, LAYER_USER, "u.json", USER_ANY);
    CHECK_INT(policy_add_unreadable(f.builder, LAYER_DEVICE, "/etc/d.json", "line 3: syntax", &err),
              0);
    CHECK_INT(policy_add_unreadable(f.builder, LAYER_ENTERPRISE, "/etc/e.json", "not root's", &err),
              0);
    CHECK_INT(policy_add_choice(f.builder, STR("x.test"), true, &err), 0);
    fixture_build(&f);
    CHECK_TEXT(fixture_ask(&f, "x.test", 443), "deny");
    CHECK(f.verdict.built_in);
    CHECK_INT(f.verdict.layer, LAYER_ENTERPRISE);
    CHECK_TEXT(f.verdict.document, "/etc/e.json");
    CHECK(strstr(f.verdict.reason, "not root's") != NULL);
    CHECK_TEXT(f.verdict.smallest_change, "mend or remove /etc/e.json");
    CHECK_TEXT(
        fixture_decide(&f, (struct policy_destination){ .host = STR("x.test"), .of_door = true }),
        "deny");
    CHECK_TEXT(fixture_ask_address(&f, "x.test", 443, "8.8.8.8"), "deny");
    fixture_release(&f);
}

/* --- model providers ------------------------------------------------------------------------ */

TEST(model_providers_are_for_the_model_door)
{
    struct fixture f;
    struct err err = { 0 };
    fixture_init(&f);
    fixture_add(&f, LAYER_USER, "u.json", USER_ANY);
    fixture_add(&f, LAYER_USER, "p.json",
                PROVIDER("https://models.corp.test:8443/v1", "allow-with-policy"));
    fixture_add(&f, LAYER_USER, "o.json", PROVIDER("http://127.0.0.1:11434", "deny"));
    CHECK_INT(policy_add_choice(f.builder, STR("api.openai.com"), true, &err), 0);
    CHECK_INT(policy_add_choice(f.builder, STR("127.0.0.1"), true, &err), 0);
    fixture_build(&f);
    CHECK_TABLE(&f, { "api.openai.com", 443, "deny" }, { "eu.api.openai.com", 443, "deny" },
                { "API.Anthropic.com.", 443, "deny" }, { "x.openai.azure.com", 443, "deny" },
                { "us-aiplatform.googleapis.com", 443, "deny" },
                { "storage.googleapis.com", 443, "allow" },
                { "bedrock-runtime.eu-west-1.amazonaws.com", 443, "deny" },
                { "s3.amazonaws.com", 443, "allow" }, { "openai.com", 443, "allow" },
                { "models.corp.test", 443, "deny" }, { "models.corp.test", 0, "deny" },
                { "127.0.0.1", 11434, "deny" }, { "127.0.0.1", 3000, "allow" });
    fixture_ask(&f, "api.openai.com", 443);
    CHECK_STR(f.verdict.rule, STR("built-in.model-hosts"));
    CHECK(strstr(f.verdict.smallest_change, "Model Door") != NULL);
    /* The door itself may, where the layers let it. */
    CHECK_TEXT(fixture_decide(&f, (struct policy_destination){ .host = STR("api.openai.com"),
                                                               .port = 443,
                                                               .of_door = true }),
               "allow");
    fixture_release(&f);
}

TEST(a_door_reaches_a_provider_as_its_profile_says)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
        const char *answer;
    } rows[] = {
        { PROVIDER("https://m.test/v1", "allow-with-policy"), "m.test", 443, "deny" },
        { PROVIDER("https://m.test/v1", "deny"), "m.test", 443, "deny" },
        { PROVIDER("http://127.0.0.1:11434", "deny"), "127.0.0.1", 11434, "allow" },
        { PROVIDER("http://127.0.0.1:11434", "deny"), "127.0.0.1", 22, "deny" },
        { PROVIDER("http://localhost:11434", "deny"), "localhost", 11434, "allow" },
        { PROVIDER("urn:srcos:somewhere:else", "deny"), "m.test", 443, "deny" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        build_user(&f, rows[i].text);
        CHECK_TEXT(fixture_decide(&f, (struct policy_destination){ .host = str_from(rows[i].host),
                                                                   .port = rows[i].port,
                                                                   .of_door = true }),
                   rows[i].answer);
        fixture_release(&f);
    }
    struct fixture f;
    fixture_init(&f);
    fixture_add(&f, LAYER_USER, "u.json", USER_ANY);
    fixture_add(&f, LAYER_USER, "p.json", PROVIDER("https://m.test/v1", "deny"));
    fixture_add(&f, LAYER_USER, "q.json", PROVIDER("https://n.test/v1", "allow-with-policy"));
    fixture_build(&f);
    CHECK_TEXT(
        fixture_decide(
            &f, (struct policy_destination){ .host = STR("m.test"), .port = 443, .of_door = true }),
        "deny");
    CHECK_INT(f.verdict.layer, LAYER_MODEL_PROVIDER);
    CHECK_TEXT(
        fixture_decide(
            &f, (struct policy_destination){ .host = STR("n.test"), .port = 443, .of_door = true }),
        "allow");
    fixture_release(&f);
}

TEST(rules_about_the_group_and_the_sandbox)
{
    struct fixture f;
    fixture_init(&f);
    fixture_add(&f, LAYER_USER, "u.json", USER_ANY);
    fixture_add(&f, LAYER_USER, "p.json", PROVIDER("https://m.test/v1", "allow-with-policy"));
    fixture_add(&f, LAYER_ENTERPRISE, "e.json",
                FIREWALL("enforce", "",
                         RULE("models", "deny", "external-model-provider", ",'ports':[443]")));
    fixture_add(&f, LAYER_DEVICE, "d.json",
                FIREWALL("enforce", "",
                         "{'ruleId':'s','direction':'egress','decision':'deny','subject':'sandbox',"
                         "'destination':'n.test'}"));
    fixture_build(&f);
    static const struct {
        const char *host;
        bool of_door;
        const char *answer;
    } rows[] = {
        { "api.openai.com", true, "deny" },
        { "m.test", true, "deny" },
        { "us-aiplatform.googleapis.com", true, "deny" },
        { "maps.googleapis.com", true, "allow" },
        { "n.test", true, "allow" },
        { "n.test", false, "deny" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_TEXT(fixture_decide(&f, (struct policy_destination){ .host = str_from(rows[i].host),
                                                                   .port = 443,
                                                                   .of_door = rows[i].of_door }),
                   rows[i].answer);
    fixture_release(&f);
}

/* --- what is said --------------------------------------------------------------------------- */

TEST(a_verdict_names_layer_rule_document_and_pointer)
{
    struct fixture f;
    fixture_init(&f);
    fixture_add(&f, LAYER_ENTERPRISE, "fw.json",
                FIREWALL("enforce", "",
                         RULE("first", "allow", "a.test",
                              "") "," RULE("no", "deny", "b.test", ",'reason':'It tells tales.'")));
    fixture_add(&f, LAYER_USER, "u.json", USER_ASK);
    fixture_build(&f);
    CHECK_TEXT(fixture_ask(&f, "b.test", 443), "deny");
    CHECK_INT(f.verdict.layer, LAYER_ENTERPRISE);
    CHECK_STR(f.verdict.rule, STR("no"));
    CHECK_TEXT(f.verdict.document, "fw.json");
    CHECK_STR(f.verdict.document_id, STR("urn:srcos:firewall-binding-profile:t"));
    CHECK_TEXT(f.verdict.pointer, "/rules/1");
    CHECK_TEXT(f.verdict.reason,
               "the enterprise layer denies it: no, /rules/1 of fw.json (It tells tales.)");
    CHECK_TEXT(f.verdict.smallest_change,
               "take out or narrow /rules/1 of fw.json; and --allow b.test:443");
    CHECK_TEXT(fixture_ask(&f, "a.test", 443), "ask");
    CHECK_TEXT(f.verdict.reason, "the user layer asks as it does all that it does not list: u, "
                                 "/profiles/0/defaultEgress of u.json");
    CHECK_TEXT(f.verdict.smallest_change, "--allow a.test:443");
    fixture_release(&f);
}

TEST(the_smallest_change_alters_the_verdict)
{
    static const char *const hosts[] = { "a.test", "8.8.8.8", "10.9.9.9", "::1", "q.test" };
    static const char *const documents[] = {
        USER_ASK, USER_DENY, FIREWALL("enforce", "", RULE("q", "ask", "q.test", ""))
    };
    for (size_t d = 0; d < ARRAY_LEN(documents); d++) {
        for (size_t h = 0; h < ARRAY_LEN(hosts); h++) {
            struct fixture before, after;
            struct err err = { 0 };
            build_user(&before, documents[d]);
            CHECK(strcmp(fixture_ask(&before, hosts[h], 443), "allow") != 0);
            struct str change = str_from(before.verdict.smallest_change);
            CHECK(str_starts(change, STR("--allow ")));
            fixture_init(&after);
            fixture_add(&after, LAYER_USER, "u.json", documents[d]);
            CHECK_INT(policy_add_choice(after.builder, str_from_offset(change, 8), true, &err), 0);
            fixture_build(&after);
            CHECK_TEXT(fixture_ask(&after, hosts[h], 443), "allow");
            fixture_release(&after);
            fixture_release(&before);
        }
    }
}

TEST(a_long_reason_is_cut_between_characters)
{
    struct fixture f;
    struct buf text = BUF_INIT;
    fixture_init(&f);
    buf_add_text(&text, "{'type':'FirewallBindingProfile','mode':'enforce','rules':[{'ruleId':'r',"
                        "'direction':'egress','decision':'deny','subject':'*',"
                        "'destination':'a.test','reason':'");
    for (int i = 0; i < 1000; i++)
        buf_add_text(&text, "é");
    buf_add_text(&text, "'}]}");
    fixture_add(&f, LAYER_USER, "u.json", text.data);
    fixture_build(&f);
    CHECK_TEXT(fixture_ask(&f, "a.test", 443), "deny");
    struct str reason = str_from(f.verdict.reason);
    CHECK(reason.len >= VERDICT_TEXT_SIZE - 3 && reason.len < VERDICT_TEXT_SIZE);
    CHECK(str_ends(reason, STR("é")));
    buf_release(&text);
    fixture_release(&f);
}

TEST(digests_name_the_documents_whatever_their_order)
{
    struct fixture a, b, c;
    fixture_init(&a);
    fixture_add(&a, LAYER_USER, "1.json", USER_ANY);
    fixture_add(&a, LAYER_USER, "2.json", USER_ASK);
    fixture_build(&a);
    fixture_init(&b);
    fixture_add(&b, LAYER_USER, "2.json", USER_ASK);
    fixture_add(&b, LAYER_USER, "1.json", USER_ANY);
    fixture_build(&b);
    fixture_init(&c);
    fixture_add(&c, LAYER_USER, "1.json", USER_ANY);
    fixture_build(&c);
    CHECK_TEXT(policy_digest(a.policy), policy_digest(b.policy));
    CHECK(strcmp(policy_digest(a.policy), policy_digest(c.policy)) != 0);
    CHECK_INT(strlen(policy_digest(a.policy)), 71);
    CHECK(policy_layer_digest(a.policy, LAYER_ENTERPRISE) == NULL);
    CHECK_TEXT(policy_layer_digest(a.policy, LAYER_USER),
               policy_layer_digest(b.policy, LAYER_USER));
    fixture_release(&a);
    fixture_release(&b);
    fixture_release(&c);
}

/* --- the examples --------------------------------------------------------------------------- */

/* The table of docs/contract-additions/network-assistant-model-doors.md. */
TEST(the_examples_decide_as_their_document_says)
{
    static const char *const files[] = { "examples/network_access_profile.enterprise_and_user.json",
                                         "examples/firewall_binding_profile.linux_nftables.json" };
    struct fixture f;
    struct err err = { 0 };
    fixture_init(&f);
    CHECK_INT(policy_builder_subject(f.builder, STR("urn:srcos:agent:codex"), &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        _cleanup_(buf_release) struct buf text = BUF_INIT;
        if (access(files[i], R_OK) < 0) {
            test_skip("%s is not here", files[i]);
            fixture_release(&f);
            return;
        }
        CHECK_INT(file_read(files[i], &text, &err), 0);
        CHECK_INT(json_read(buf_str(&text), &json_limits_default, &f.docs[f.count], &err), 0);
        f.count++;
        CHECK_INT(policy_add(f.builder, LAYER_ENTERPRISE, files[i],
                             yyjson_doc_get_root(f.docs[f.count - 1]), &err),
                  0);
    }
    fixture_build(&f);
    static const struct {
        const char *host;
        uint16_t port;
        enum answer enterprise, user, verdict;
    } rows[] = {
        { "registry.npmjs.org", 443, ANSWER_ALLOW, ANSWER_ALLOW, ANSWER_ALLOW },
        { "deb.debian.org", 443, ANSWER_NOTHING, ANSWER_ASK, ANSWER_ASK },
        { "telemetry.example.org", 443, ANSWER_DENY, ANSWER_ALLOW, ANSWER_DENY },
        { "ads.example.org", 443, ANSWER_NOTHING, ANSWER_DENY, ANSWER_DENY },
        { "ledger.finance.northwind.example.com", 443, ANSWER_ASK, ANSWER_ASK, ANSWER_ASK },
        { "github.com", 22, ANSWER_ALLOW, ANSWER_ALLOW, ANSWER_ALLOW },
        { "pypi.org", 22, ANSWER_DENY, ANSWER_ALLOW, ANSWER_DENY },
        { "169.254.169.254", 80, ANSWER_DENY, ANSWER_ASK, ANSWER_DENY },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_TEXT(fixture_ask(&f, rows[i].host, rows[i].port), answer_names[rows[i].verdict]);
        CHECK_INT(f.verdict.layers[LAYER_ENTERPRISE].answer, rows[i].enterprise);
        CHECK_INT(f.verdict.layers[LAYER_USER].answer, rows[i].user);
    }
    CHECK_STR(f.verdict.rule, STR("no-metadata"));
    fixture_ask(&f, "ledger.finance.northwind.example.com", 443);
    CHECK_INT(f.verdict.layer, LAYER_ENTERPRISE);
    CHECK(strstr(f.verdict.smallest_change, "delegated") != NULL);
    fixture_release(&f);
}
