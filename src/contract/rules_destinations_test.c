/* The rules about hosts and ranges: spellings, specificity, defaults, long lists. */
#include "contract/rules_test.h"

#define PROFILE  "network_access_profile.enterprise_and_user.json"
#define COMPANY  "network_access_profile.multi_corporate.json"
#define AIRGAP   "network_access_profile.airgapped.json"
#define MESH     "mesh_binding_profile.istio_admiral_enterprise.json"
#define FIREWALL "firewall_binding_profile.linux_nftables.json"
#define SURFACE  "agent-tool-surface.codex.example.json"

#define DENIED "doors.user-allows-denied"

/* The rule's finding on an allow of the user's entry, with the entry's own list replaced. */
static void check_user_allow(const char *example, const char *list, const char *allow, bool found)
{
    char value[512], pointer[64], expected[128];
    int entry = strcmp(example, PROFILE) == 0 ? 1 : 3;
    snprintf(value, sizeof(value), "[\"%s\"]", allow);
    snprintf(pointer, sizeof(pointer), "/profiles/%d/%s", entry, list);
    snprintf(expected, sizeof(expected), "%s/0", pointer);
    check_rule_case(
        &(struct rule_case){ example, pointer, value, DENIED, found ? expected : NULL });
}

TEST(a_user_s_allow_is_compared_with_the_most_specific_word_of_the_enterprise)
{
    static const struct {
        const char *list, *allow;
        bool found;
    } cases[] = {
        { "allowDomains", "telemetry.example.org", true },
        { "allowDomains", "Telemetry.Example.ORG.", true },
        { "allowDomains", "x.telemetry.example.org", false }, /* denied by nobody */
        { "allowDomains", ".example.org", false },            /* denied in part */
        { "allowDomains", "*.paste.example.org", true },
        { "allowDomains", "paste.example.org", false },
        { "allowDomains", ".a.paste.example.org", true },
        { "allowDomains", "10.20.255.7", true },
        { "allowDomains", "0x0a14ff07", true },
        { "allowDomains", "*", false },
        { "allowCidrs", "10.20.255.0/24", true },
        { "allowCidrs", "::ffff:10.20.255.1", true },
        { "allowCidrs", "10.20.254.0/24", false },
        { "allowCidrs", "10.20.0.0/16", false },
        { "allowCidrs", "10.0.0.0/8", false },
        { "allowCidrs", "192.168.0.0/24", false }, /* denied by the user alone */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_user_allow(PROFILE, cases[i].list, cases[i].allow, cases[i].found);
}

TEST(what_a_corporate_firewall_does_not_list_it_denies)
{
    static const struct {
        const char *list, *allow;
        bool found;
    } cases[] = {
        { "allowDomains", "deb.debian.org", true },
        { "allowDomains", "*.debian.org", true },
        { "allowDomains", "registry.npmjs.org", false },
        { "allowDomains", ".npmjs.org", false }, /* listed in part */
        { "allowDomains", "*.registry.npmjs.org", true },
        { "allowDomains", "github.com", true }, /* listed and denied alike */
        { "allowDomains", "build.eastlake.example.net", false },
        { "allowDomains", "vault.eastlake.example.net", true },
        { "allowCidrs", "10.77.3.0/24", false },
        { "allowCidrs", "10.0.0.0/8", false },
        { "allowCidrs", "10.78.0.0/16", true },
        { "allowCidrs", "::/0", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_user_allow(COMPANY, cases[i].list, cases[i].allow, cases[i].found);
}

TEST(where_no_entry_speaks_for_the_enterprise_nothing_is_denied_by_it)
{
    const struct rule_case cases[] = {
        { COMPANY, "/scope", "\"user\"", DENIED, NULL },
        { COMPANY, "/scope", "\"device\"", DENIED, NULL },
        { COMPANY, "/scope", "\"cluster\"", DENIED, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(an_allow_is_cancelled_by_a_denial_in_other_spelling)
{
    const char *rule = "doors.allow-cancelled";
    const struct rule_case cases[] = {
        { PROFILE, "/profiles/1/allowDomains", "[\"x.example\", \"ADS.example.org.\"]", rule,
          "/profiles/1/allowDomains/1" },
        { PROFILE, "/profiles/1/allowDomains", "[\"*.ads.example.org\"]", rule, NULL },
        { PROFILE, "/profiles/1/allowCidrs", "[\"192.168.5.5/16\"]", rule,
          "/profiles/1/allowCidrs/0" },
        { PROFILE, "/profiles/1/allowCidrs", "[\"192.168.5.0/24\"]", rule, NULL },
        { PROFILE, "/profiles/1/allowCidrs", "[\"::ffff:192.168.0.0/112\"]", rule,
          "/profiles/1/allowCidrs/0" },
        { PROFILE, "/profiles/1/denyDomains", "[\"telemetry.example.org\"]", rule, NULL },
        { MESH, "/traffic/deniedHosts", "[\"*.MODEL-router.mesh\"]", rule,
          "/traffic/allowedHosts/0" },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_wildcard_over_a_public_suffix_is_found_in_every_list)
{
    const char *rule = "doors.public-suffix-wildcard";
    const struct rule_case cases[] = {
        { PROFILE, "/profiles/1/allowDomains", "[\"*.COM.\"]", rule, "/profiles/1/allowDomains/0" },
        { PROFILE, "/profiles/1/allowDomains", "[\"*.\xd1\x80\xd1\x84\"]", rule,
          "/profiles/1/allowDomains/0" },
        { PROFILE, "/profiles/1/allowDomains", "[\"com\", \"*\", \"*.mesh\"]", rule, NULL },
        { MESH, "/traffic/deniedHosts", "[\".co.uk\"]", rule, "/traffic/deniedHosts/0" },
        { FIREWALL, "/rules/0/destination", "\"10.0.0.0/8\"", rule, NULL },
        { FIREWALL, "/rules/0/destination", "\".com\"", rule, "/rules/0/destination" },
        { SURFACE, "/hosts", "[{\"host\": \"a.example\"}, {\"host\": \"*.github.io\"}]", rule,
          "/hosts/1/host" },
        { SURFACE, "/hosts", "[{\"host\": \"2001:db8::/32\"}]", rule, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(an_offline_entry_may_list_this_machine)
{
    const char *rule = "doors.offline-reaches-nothing";
    const struct rule_case cases[] = {
        { AIRGAP, "/profiles/0/allowDomains", "[\"LOCALHOST.\", \"127.0.0.1\"]", rule, NULL },
        { AIRGAP, "/profiles/0/allowDomains", "[\"*\"]", rule, "/profiles/0/allowDomains/0" },
        { AIRGAP, "/profiles/0/allowDomains", "[\".localhost\"]", rule,
          "/profiles/0/allowDomains/0" },
        { AIRGAP, "/profiles/0/allowCidrs", "[\"127.0.0.0/8\", \"::1\", \"::ffff:127.0.0.9\"]",
          rule, NULL },
        { AIRGAP, "/profiles/0/allowCidrs", "[\"127.0.0.0/7\"]", rule, "/profiles/0/allowCidrs/0" },
        { AIRGAP, "/profiles/0/meshBindingRef", "\"urn:example:mesh\"", rule,
          "/profiles/0/meshBindingRef" },
        { AIRGAP, "/profiles/0/defaultEgress", "\"allow-listed\"", rule,
          "/profiles/0/defaultEgress" },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_star_is_named_where_it_changes_nothing)
{
    const char *rule = "doors.star-restates-default";
    const struct rule_case cases[] = {
        { AIRGAP, "/profiles/0/defaultEgress", "\"allow-listed\"", rule, NULL },
        { AIRGAP, "/profiles/0/defaultEgress", "\"allow-any\"", rule, "/profiles/0/denyDomains/0" },
        { AIRGAP, "/profiles/0/allowDomains", "[\"a.example\", \"*\"]", rule,
          "/profiles/0/allowDomains/1" },
        { PROFILE, "/profiles/1",
          "{\"profileId\": \"a\", \"profileClass\": \"user-firewall\", \"priority\": 1, "
          "\"defaultEgress\": \"allow-any\", \"allowDomains\": [\"*\"]}",
          rule, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(an_address_is_known_in_any_spelling)
{
    static const char *const addresses[] = { "10.1", "0x7f.1", "017700000001", "*.10.0.0.1",
                                             "\xef\xbc\x91\xef\xbc\x90.0.0.1" };
    static const char *const names[] = { "10.example", "256.0.0.1", "0x", "a10", "1.2.3.4.5" };
    const char *rule = "doors.address-among-names";
    for (size_t i = 0; i < ARRAY_LEN(addresses) + ARRAY_LEN(names); i++) {
        bool found = i < ARRAY_LEN(addresses);
        char value[128];
        snprintf(value, sizeof(value), "[\"%s\"]",
                 found ? addresses[i] : names[i - ARRAY_LEN(addresses)]);
        check_rule_case(&(struct rule_case){ MESH, "/traffic/deniedHosts", value, rule,
                                             found ? "/traffic/deniedHosts/0" : NULL });
    }
}

TEST(bits_beyond_a_prefix_are_named)
{
    const char *rule = "doors.cidr-has-host-bits";
    const struct rule_case cases[] = {
        { PROFILE, "/profiles/0/denyCidrs", "[\"10.0.0.0/8\", \"10.0.0.1\", \"10.0.0.1/32\"]", rule,
          NULL },
        { PROFILE, "/profiles/0/denyCidrs", "[\"fd12::1/64\"]", rule, "/profiles/0/denyCidrs/0" },
        { PROFILE, "/profiles/0/denyCidrs", "[\"::ffff:10.1.0.0/104\"]", rule,
          "/profiles/0/denyCidrs/0" },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

/* As many hosts as a schema lets one entry list, by number. */
static void add_hosts(struct buf *buf, const char *suffix)
{
    buf_add_char(buf, '[');
    for (unsigned i = 0; i < 10000; i++)
        buf_addf(buf, "%s\"h%u.%s\"", i ? "," : "", i, suffix);
    buf_add_char(buf, ']');
}

TEST(the_longest_lists_are_compared_in_no_time)
{
    struct buf value = BUF_INIT;
    buf_add_text(&value, "[{\"profileId\": \"a\", \"profileClass\": \"corporate-firewall\", "
                         "\"priority\": 1, \"defaultEgress\": \"deny\", \"allowDomains\": ");
    add_hosts(&value, "example.com");
    buf_add_text(&value, ", \"denyDomains\": ");
    add_hosts(&value, "sub.example.com");
    buf_add_text(&value, "}, {\"profileId\": \"b\", \"profileClass\": \"user-firewall\", "
                         "\"priority\": 2, \"defaultEgress\": \"deny\", \"allowDomains\": ");
    add_hosts(&value, "example.com");
    buf_add_text(&value, ", \"denyDomains\": [\"h9999.example.com\"]}]");
    CHECK_INT(value.error, 0);
    check_rule_case(&(struct rule_case){ COMPANY, "/profiles", value.data, DENIED, NULL });
    check_rule_case(&(struct rule_case){ COMPANY, "/profiles", value.data, "doors.allow-cancelled",
                                         "/profiles/1/allowDomains/9999" });
    buf_release(&value);
}
