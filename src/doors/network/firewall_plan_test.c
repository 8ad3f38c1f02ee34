/* firewall_plan: what stands in the text of each target, what is noted, and what never gets out. */
#include "doors/network/firewall_plan_test.h"

#define PLANNED(name)                                                                              \
    _cleanup_(planned_release) struct planned name;                                                \
    planned_init(&name, -1, "")

#define R(id, decision, subject, destination, more)                                                \
    "{'ruleId':'" id "','direction':'egress','decision':'" decision "','subject':'" subject        \
    "','destination':'" destination "'" more "}"

static const char mixed[] = FIREWALL(
    "plan", "",
    R("allow-all-tls", "allow", "*", "*", ",'ports':[443]") "," R("no-metadata", "deny", "*", "169.254.169.254", "") "," R("db", "ask", "*", "10.20.0.0/16", ",'ports':[5432]") "," R(
        "site", "allow", "*", "*.example.com",
        ",'protocols':['https']") "," R("no-site", "deny", "*", "bad.example.com",
                                        "") "," R("watched", "log-only", "*", "192.0.2.0/24",
                                                  ",'ports':[80,81,82,"
                                                  "443]") "," R("no-ping", "deny", "*", "*",
                                                                ",'"
                                                                "protocols"
                                                                "':['icmp'"
                                                                "]") "," R("mine", "allow",
                                                                           "urn:srcos:agent:codex",
                                                                           "198.51.100.7",
                                                                           "") "," R("program",
                                                                                     "allow",
                                                                                     "/usr/bin/git",
                                                                                     "github.com",
                                                                                     ",'ports':["
                                                                                     "22]") "," R("models",
                                                                                                  "deny",
                                                                                                  "sandbox",
                                                                                                  "external-model-provider",
                                                                                                  ""));

TEST(every_rule_is_in_the_text_or_noted)
{
    static const char *const ids[] = {
        "allow-all-tls", "no-metadata", "db",   "site",    "no-site",
        "watched",       "no-ping",     "mine", "program", "models"
    };
    PLANNED(p);
    CHECK_INT(planned_add(&p, mixed), 0);
    for (int target = 0; target < FIREWALL_TARGET_COUNT; target++) {
        CHECK_INT(planned_render(&p, (enum firewall_target)target), 0);
        for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
            if (!planned_has(&p, ids[i]))
                test_fail(__FILE__, __LINE__, "%s has nothing of %s", firewall_target_names[target],
                          ids[i]);
        }
    }
}

TEST(the_same_documents_give_the_same_bytes)
{
    PLANNED(p);
    PLANNED(q);
    CHECK_INT(planned_add(&p, mixed), 0);
    CHECK_INT(planned_add(&q, mixed), 0);
    for (int target = 0; target < FIREWALL_TARGET_COUNT; target++) {
        CHECK_INT(planned_render(&p, (enum firewall_target)target), 0);
        CHECK_INT(planned_render(&q, FIREWALL_LULU), 0); /* what was rendered before is no matter */
        CHECK_INT(planned_render(&q, (enum firewall_target)target), 0);
        CHECK_STR(buf_str(&p.text), buf_str(&q.text));
    }
}

TEST(nftables_says_addresses_ports_and_protocols)
{
    PLANNED(p);
    CHECK_INT(planned_add(&p, mixed), 0);
    CHECK_INT(planned_render(&p, FIREWALL_NFTABLES), 0);
    CHECK(planned_has(&p, "table inet agent_machine_t {"));
    CHECK(planned_has(&p, "ip daddr 169.254.169.254/32 reject with icmpx admin-prohibited comment "
                          "\"no-metadata\""));
    CHECK(planned_has(&p, "ip daddr 192.0.2.0/24 tcp dport { 80-82, 443 } log prefix "));
    CHECK(planned_has(&p, "meta l4proto { icmp, ipv6-icmp } reject"));
    CHECK(planned_notes(&p, FIREWALL_NOT_HELD, "no-site"));
    CHECK(planned_notes(&p, FIREWALL_LEFT_OUT, "site"));
    CHECK(planned_notes(&p, FIREWALL_STRICTER, "db"));
    CHECK(planned_notes(&p, FIREWALL_LEFT_OUT, "mine"));
    CHECK(planned_notes(&p, FIREWALL_ELSEWHERE, "models"));
}

TEST(the_subject_of_the_runs_is_anyone_in_their_plan)
{
    _cleanup_(planned_release) struct planned p;
    planned_init(&p, 1000, "urn:srcos:agent:codex");
    CHECK_INT(planned_add(&p, mixed), 0);
    CHECK_INT(planned_render(&p, FIREWALL_NFTABLES), 0);
    CHECK(planned_has(&p, "ip daddr 198.51.100.7/32 return comment \"mine\""));
    CHECK(planned_has(&p, "meta skuid 1000 jump egress_1"));
}

TEST(a_network_profile_is_planned_for_a_user_alone)
{
    static const char network[] =
        NETWORK("deny", ENTRY("company", "corporate-firewall", "allow-listed",
                              ",'allowCidrs':['192.0.2.0/24']"));
    PLANNED(everyone);
    CHECK_INT(planned_add(&everyone, network), 0);
    CHECK_INT(planned_render(&everyone, FIREWALL_NFTABLES), -EINVAL);
    _cleanup_(planned_release) struct planned p;
    planned_init(&p, 1000, "");
    CHECK_INT(planned_add(&p, network), 0);
    CHECK_INT(planned_render(&p, FIREWALL_NFTABLES), 0);
    CHECK(planned_has(&p, "ip daddr 192.0.2.0/24 return comment \"company\""));
    CHECK(planned_has(&p, "reject with icmpx admin-prohibited comment \"default of company\""));
}

TEST(what_no_document_allows_is_denied_once_a_network_profile_is_there)
{
    _cleanup_(planned_release) struct planned p;
    planned_init(&p, 1000, "");
    CHECK_INT(
        planned_add(&p, NETWORK("allow-with-policy", ENTRY("way", "proxy", "allow-listed",
                                                           ",'allowCidrs':['192.0.2.0/24']"))),
        0);
    CHECK_INT(planned_render(&p, FIREWALL_NFTABLES), 0);
    CHECK(planned_has(&p, "comment \"no document allows it\""));
}

TEST(a_proxy_is_allowed_whatever_the_documents_say_of_it)
{
    static const char map[] = "{'proxies':{'urn:srcos:proxy:corp':{'url':'http://10.0.0.5:3128'},"
                              "'urn:srcos:proxy:vpn':{'direct':true}}}";
    static const char network[] = NETWORK(
        "deny", ENTRY("company", "corporate-firewall", "allow-listed",
                      ",'allowDomains':['example.com'],'proxyRef':'urn:srcos:"
                      "proxy:corp'") "," ENTRY("tunnel", "vpn", "allow-listed",
                                               ",'proxyRef':'urn:srcos:proxy:"
                                               "vpn'") "," ENTRY("lost", "proxy", "allow-listed",
                                                                 ",'proxyRef':'"
                                                                 "urn:srcos:"
                                                                 "proxy:"
                                                                 "nowhere'"));
    static const char denial[] =
        FIREWALL("plan", "", R("no-inside", "deny", "*", "10.0.0.0/8", ""));
    struct firewall_scope scope = { .uid = 1000 };
    struct references *references;
    PLANNED(p);
    yyjson_doc *doc = fixture_read(&p.documents, map);
    CHECK_INT(references_new(&references, NULL), 0);
    CHECK_INT(references_add(references, LAYER_USER, "r", yyjson_doc_get_root(doc), NULL), 0);
    firewall_plan_free(p.plan);
    scope.references = references;
    CHECK_INT(firewall_plan_new(&scope, &p.plan, NULL), 0);
    CHECK_INT(planned_add(&p, network), 0);
    CHECK_INT(planned_add(&p, denial), 0);
    CHECK_INT(planned_render(&p, FIREWALL_NFTABLES), 0);
    const char *way = strstr(p.text.data, "meta skuid 1000 ip daddr 10.0.0.5/32 tcp dport 3128 "
                                          "accept comment \"proxy of company\"");
    const char *jump = strstr(p.text.data, "meta skuid 1000 jump egress_1");
    CHECK(way && jump && way < jump);
    CHECK(planned_notes(&p, FIREWALL_LEFT_OUT, "lost"));
    CHECK(!planned_notes(&p, FIREWALL_LEFT_OUT, "tunnel"));
    CHECK_INT(planned_render(&p, FIREWALL_KUBERNETES), 0);
    CHECK(planned_has(&p, "cidr: \"10.0.0.5/32\"\n      ports:\n        - protocol: TCP\n"
                          "          port: 3128"));
    CHECK_INT(planned_render(&p, FIREWALL_CILIUM), 0);
    CHECK(planned_has(&p, "cidr: \"10.0.0.5/32\""));
    CHECK(planned_has(&p, "          except:\n            - \"10.0.0.5/32\""));
    CHECK_INT(planned_render(&p, FIREWALL_GATEWAY), 0);
    CHECK(planned_notes(&p, FIREWALL_ELSEWHERE, "company"));
    references_free(references);
}

TEST(a_denial_that_cannot_be_understood_is_an_error)
{
    PLANNED(p);
    CHECK_INT(planned_add(&p, FIREWALL("plan", "", R("x", "deny", "*", "service:billing", ""))),
              -EBADMSG);
    CHECK(strstr(p.err.cause, "service:billing"));
    PLANNED(q);
    CHECK_INT(planned_add(&q, FIREWALL("plan", "", R("x", "allow", "*", "service:billing", ""))),
              0);
    CHECK_INT(planned_render(&q, FIREWALL_GATEWAY), 0);
    CHECK(planned_notes(&q, FIREWALL_LEFT_OUT, "x"));
    PLANNED(other);
    CHECK_INT(planned_add(&other, MESH("")), -EBADMSG);
}

TEST(a_gateway_denies_first_but_for_what_is_more_specific)
{
    PLANNED(p);
    CHECK_INT(planned_add(&p, mixed), 0);
    CHECK_INT(planned_render(&p, FIREWALL_GATEWAY), 0);
    const char *denied = strstr(p.text.data, "http_access deny am_");
    const char *allowed = strstr(p.text.data, "http_access allow am_");
    CHECK(denied && allowed && denied < allowed);
    CHECK(planned_has(&p, "dstdomain -n bad.example.com"));
    CHECK(planned_has(&p, "dstdom_regex -n -i ^.+\\.example\\.com$"));
    CHECK(planned_has(&p, "dst 169.254.169.254/32"));
    CHECK(planned_has(&p, "dst -n 192.0.2.0/24"));
    CHECK(planned_has(&p, "http_access deny all\n"));
}

TEST(kubernetes_takes_denied_ranges_out_of_allowed_ones)
{
    PLANNED(p);
    CHECK_INT(planned_add(
                  &p, FIREWALL("plan", "",
                               R("all", "allow", "*", "*", "") "," R(
                                   "no-mail", "deny", "*", "*",
                                   ",'protocols':['tcp'],'ports':[25]") "," R("inside", "deny", "*",
                                                                              "10.0.0.0/8", ""))),
              0);
    CHECK_INT(planned_render(&p, FIREWALL_KUBERNETES), 0);
    CHECK(planned_has(&p,
                      "cidr: \"0.0.0.0/0\"\n            except:\n              - \"10.0.0.0/8\""));
    CHECK(planned_has(&p, "port: 1\n          endPort: 24"));
    CHECK(planned_has(&p, "port: 26\n          endPort: 65535"));
    CHECK(planned_has(&p, "# not allowed: no-mail"));
}

TEST(cilium_gives_up_a_pattern_with_a_denied_name_in_it)
{
    PLANNED(p);
    CHECK_INT(
        planned_add(&p, FIREWALL("plan", "",
                                 R("site", "allow", "*", ".example.com", ",'ports':[443]") "," R(
                                     "other", "allow", "*", "example.net",
                                     "") "," R("no-site", "deny", "*", "bad.example.com", ""))),
        0);
    CHECK_INT(planned_render(&p, FIREWALL_CILIUM), 0);
    CHECK(planned_has(&p, "matchName: \"example.net\""));
    CHECK(!planned_has(&p, "matchPattern: \"*.example.com\""));
    CHECK(planned_notes(&p, FIREWALL_STRICTER, "site"));
}

TEST(labels_and_namespaces_are_what_kubernetes_takes)
{
    static const struct {
        const char *selector, *namespace;
        int r;
    } rows[] = {
        { "app=agent-machine,team=compass", "runs", 0 },
        { "example.com/app=x", "", 0 },
        { "app=\"x\"", "", -EINVAL },
        { "app=x\n  y", "", -EINVAL },
        { "app", "", -EINVAL },
        { "app=x,", "", -EINVAL },
        { "app=x", "Runs", -EINVAL },
        { "app=x", "a\nb", -EINVAL },
        { "app=x", "a.b", -EINVAL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct firewall_scope scope = { .uid = -1,
                                        .selector = str_from(rows[i].selector),
                                        .namespace = str_from(rows[i].namespace) };
        struct firewall_plan *plan;
        struct buf text = BUF_INIT;
        CHECK_INT(firewall_plan_new(&scope, &plan, NULL), 0);
        CHECK_INT(firewall_plan_render(plan, FIREWALL_KUBERNETES, &text, NULL), rows[i].r);
        CHECK_INT(firewall_plan_render(plan, FIREWALL_CILIUM, &text, NULL), rows[i].r);
        firewall_plan_free(plan);
        buf_release(&text);
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

static bool is_plain(const struct buf *text)
{
    for (size_t i = 0; i < text->len; i++) {
        unsigned char c = (unsigned char)text->data[i];
        if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

TEST(an_id_that_would_end_its_comment_adds_no_line)
{
    static const char *const hostile[] = {
        "x\\n} flush ruleset {",
        "\\\" accept; #",
        "x\\r\\nhttp_access allow all",
        "\\u2028- {}",
        "\\u0085egress:",
        "\\\\\\\" comment \\\\",
        "x\\t\\u0000y",
        "*/ --> ]]>",
        "${include} $(id) `id`",
        "\\\"],\\\"*\\\":[{",
        "' or '",
        "%0a%22",
        "\\n\\ninclude \\\"/etc/passwd\\\"",
        "\\u00e4\\u4e2d\\ud83d\\ude00",
    };
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        for (int target = 0; target < FIREWALL_TARGET_COUNT; target++) {
            size_t lines[2];
            for (int side = 0; side < 2; side++) {
                PLANNED(p);
                const char *id = side ? hostile[i] : "plain";
                const char *format = FIREWALL(
                    "plan", "",
                    R("%s", "deny", "*", "*", ",'ports':[22]") "," R(
                        "%s", "allow", "%s", "example.com",
                        ",'protocols':['https']") "," R("%s", "log-only", "*", "192.0.2.1", ""));
                struct buf json = BUF_INIT;
                for (const char *at = format; *at; at++) {
                    bool here = at[0] == '%' && at[1] == 's';
                    buf_add_text(&json, here ? id : (char[]){ *at == '\'' ? '"' : *at, '\0' });
                    at += here;
                }
                yyjson_doc *doc = yyjson_read(json.data, json.len, 0);
                CHECK(doc);
                CHECK_INT(firewall_plan_add(p.plan, yyjson_doc_get_root(doc), &p.err), 0);
                CHECK_INT(planned_render(&p, (enum firewall_target)target), 0);
                CHECK(is_plain(&p.text));
                lines[side] = count_lines(&p.text);
                yyjson_doc_free(doc);
                buf_release(&json);
            }
            if (lines[0] != lines[1])
                test_fail(__FILE__, __LINE__, "%s: %s makes %zu lines of %zu",
                          firewall_target_names[target], hostile[i], lines[1], lines[0]);
        }
    }
}

TEST(two_documents_never_share_a_table)
{
    static const char *const ids[] = { "a-b",
                                       "a_b",
                                       "a.b",
                                       "A-b",
                                       "a--b",
                                       "a-b-",
                                       "-a-b",
                                       "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee",
                                       "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeef" };
    char names[ARRAY_LEN(ids)][FIREWALL_NAME_MAX], json[512];
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        PLANNED(p);
        snprintf(json, sizeof(json),
                 "{'id':'urn:srcos:firewall-binding-profile:%s','type':'FirewallBindingProfile',"
                 "'rules':[]}",
                 ids[i]);
        CHECK_INT(planned_add(&p, json), 0);
        snprintf(names[i], sizeof(names[i]), "%s", firewall_plan_table(p.plan));
        CHECK(strspn(names[i], "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(names[i]));
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(names[i], names[j]) != 0);
    }
}

TEST(a_plan_has_limits)
{
    PLANNED(p);
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    buf_add_text(&json, "{'id':'urn:srcos:firewall-binding-profile:t','type':"
                        "'FirewallBindingProfile','rules':[");
    for (size_t i = 0; i <= FIREWALL_RULES_MAX; i++)
        buf_addf(&json,
                 "%s{'ruleId':'r%zu','direction':'egress','decision':'deny','subject':'*',"
                 "'destination':'h%zu.example.com'}",
                 i ? "," : "", i, i);
    buf_add_text(&json, "]}");
    CHECK_INT(planned_add(&p, json.data), -E2BIG);
}
