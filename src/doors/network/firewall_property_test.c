/*
 * firewall_property: what targets make of many plans, held against the verdicts on the same
 * documents.
 *
 * Random documents are compiled as documents of the enterprise, each of which
 * is asked, as each is in a plan. Then LuLu's and the clusters' ways of reading
 * their rules are followed here, as their projects describe them. None may let
 * a connection through that the verdict denies or asks about; LuLu says the
 * same as the verdict in every case but the questions.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "contract/rules.h"
#include "contract/yaml.h"
#include "doors/network/firewall_plan_test.h"

#define PLANS         200
#define RULES_MAX     9
#define DOCUMENTS_MAX 3
#define DOCUMENT_FORMAT                                                                            \
    "{'id':'urn:srcos:firewall-binding-profile:d%d','type':'FirewallBindingProfile',"              \
    "'specVersion':'1.0.0','name':'t','bindingClass':'other','evidence':{},'mode':'enforce',"      \
    "'rules':["

static uint64_t seed;

static unsigned pick(unsigned count)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % count);
}

static void write_document(struct buf *ret, int number)
{
    static const char *const ends[] = {
        "*",
        "example.com",
        ".example.com",
        "*.example.com",
        "a.example.com",
        ".a.example.com",
        "b.a.example.com",
        "203.0.113.0/24",
        "203.0.113.128/25",
        "203.0.113.200",
        "0.0.0.0/0",
        "198.51.100.0/22",
        "2001:db8::5",
        "example.net",
    };
    static const char *const decisions[] = { "allow", "allow", "deny", "deny", "ask", "log-only" };
    static const char *const ports[] = { "", "", ",'ports':[443]", ",'ports':[22,443]",
                                         ",'ports':[8080]" };
    unsigned count = 1 + pick(RULES_MAX);
    buf_addf(ret, DOCUMENT_FORMAT, number);
    for (unsigned i = 0; i < count; i++)
        buf_addf(ret,
                 "%s{'ruleId':'r%u','direction':'egress','subject':'*','destination':'%s',"
                 "'decision':'%s'%s}",
                 i ? "," : "", i, ends[pick(ARRAY_LEN(ends))],
                 decisions[pick(ARRAY_LEN(decisions))], ports[pick(ARRAY_LEN(ports))]);
    buf_add_text(ret, "]}");
}

static const char *const hosts[] = { "example.com",   "a.example.com", "b.a.example.com",
                                     "x.example.com", "example.net",   "other.example.org" };
static const char *const addresses[] = { "203.0.113.5",  "203.0.113.130", "203.0.113.200",
                                         "198.51.101.9", "192.88.99.7",   "2001:db8::5",
                                         "2001:db8::6" };
static const uint16_t ports_asked[] = { 22, 443, 8080, 9 };

/* --- LuLu ---------------------------------------------------------------------------------- */

enum found { FOUND_NOTHING, FOUND_ALLOW, FOUND_BLOCK };

static bool matches_regex(struct str pattern, const char *subject)
{
    int code;
    PCRE2_SIZE offset;
    pcre2_code *regex =
        pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, 0, &code, &offset, NULL);
    pcre2_match_data *data = regex ? pcre2_match_data_create_from_pattern(regex, NULL) : NULL;
    bool found =
        regex && pcre2_match(regex, (PCRE2_SPTR)subject, strlen(subject), 0, 0, data, NULL) > 0;
    CHECK(regex);
    pcre2_match_data_free(data);
    pcre2_code_free(regex);
    return found;
}

static bool is_end(struct str pattern, bool is_regex, const char *end)
{
    return end && (is_regex ? matches_regex(pattern, end) : str_equal(pattern, str_from(end)));
}

/*
 * LuLu knows a connection by its name and by its address. Both count, whichever a rule has.
 * Address and port beat either alone, and that beats neither; the last one of a class holds.
 */
static enum found lulu_finds(const yyjson_val *root, const char *host, const char *address,
                             uint16_t port)
{
    enum found classes[3] = { FOUND_NOTHING, FOUND_NOTHING, FOUND_NOTHING };
    yyjson_val *rows = member(root, "*"), *row;
    size_t index, count;
    char text[8];
    snprintf(text, sizeof(text), "%u", port);
    if (!rows)
        return FOUND_NOTHING;
    yyjson_arr_foreach(rows, index, count, row)
    {
        struct str pattern = text_of(member(row, "endpointAddr"));
        bool any_address = str_equal(pattern, STR("*"));
        bool any_port = text_is(member(row, "endpointPort"), "*");
        bool is_regex = text_is(member(row, "isEndpointAddrRegex"), "1");
        if (!any_port && !text_is(member(row, "endpointPort"), text))
            continue;
        if (!any_address && !is_end(pattern, is_regex, host) && !is_end(pattern, is_regex, address))
            continue;
        classes[any_address + any_port] =
            text_is(member(row, "action"), "1") ? FOUND_ALLOW : FOUND_BLOCK;
    }
    return classes[0] ? classes[0] : classes[1] ? classes[1] : classes[2];
}

/* `by_address`: the same connection without its name. */
static bool lulu_is_right(const struct verdict *verdict, enum answer by_address, enum found found,
                          bool has_family)
{
    switch (verdict->answer) {
    case ANSWER_ALLOW: /* a denial of every address of one family counts against names at all */
        return found == FOUND_ALLOW || has_family;
    case ANSWER_ASK:
        return found != FOUND_ALLOW || by_address == ANSWER_ALLOW;
    case ANSWER_DENY:
    case ANSWER_NOTHING:
        return (found == FOUND_ALLOW && by_address == ANSWER_ALLOW) || found == FOUND_BLOCK ||
               (found == FOUND_NOTHING && verdict->built_in);
    }
    return false;
}

/* --- clusters ------------------------------------------------------------------------------ */

static bool has_address(struct str range, const char *address)
{
    char wide_path[DESTINATION_PATH_SIZE], narrow_path[DESTINATION_PATH_SIZE];
    struct destination wide, narrow;
    return destination_read(range, wide_path, &wide, NULL) == 1 &&
           destination_read(str_from(address), narrow_path, &narrow, NULL) == 1 &&
           destination_covers(&wide, &narrow);
}

static bool block_has(const yyjson_val *block, const char *address)
{
    yyjson_val *except = member(block, "except"), *range;
    size_t index, count;
    if (!has_address(text_of(member(block, "cidr")), address))
        return false;
    if (!except)
        return true;
    yyjson_arr_foreach(except, index, count, range)
    {
        if (has_address(text_of(range), address))
            return false;
    }
    return true;
}

/* Cilium's "*" is one label of letters, digits, "-" and "_". */
static bool pattern_has(struct str pattern, const char *host)
{
    struct buf regex = BUF_INIT;
    buf_add_char(&regex, '^');
    for (size_t i = 0; i < pattern.len; i++)
        buf_addf(&regex,
                 pattern.ptr[i] == '*'   ? "[-a-zA-Z0-9_]*"
                 : pattern.ptr[i] == '.' ? "[.]"
                                         : "%c",
                 pattern.ptr[i]);
    buf_add_char(&regex, '$');
    bool has = matches_regex(buf_str(&regex), host);
    buf_release(&regex);
    return has;
}

static bool names_have(yyjson_val *names, const char *host)
{
    size_t index, count;
    yyjson_val *name;
    yyjson_arr_foreach(names, index, count, name)
    {
        struct str pattern = text_of(member(name, "matchPattern"));
        if (text_is(member(name, "matchName"), host) || (pattern.len && pattern_has(pattern, host)))
            return true;
    }
    return false;
}

static unsigned long number_of(const yyjson_val *value)
{
    return yyjson_is_str((yyjson_val *)value)
               ? strtoul(yyjson_get_str((yyjson_val *)value), NULL, 10)
               : (unsigned long)count_of(value);
}

static bool ports_have(yyjson_val *ports, uint16_t port)
{
    size_t index, count;
    yyjson_val *row;
    if (!ports)
        return true;
    yyjson_arr_foreach(ports, index, count, row)
    {
        const yyjson_val *nested = member(row, "ports"), *first = member(row, "port");
        if (nested && ports_have((yyjson_val *)nested, port))
            return true;
        unsigned long low = number_of(first), high = number_of(member(row, "endPort"));
        if (!nested && text_is(member(row, "protocol"), "TCP") &&
            (!low || low == port || (low < port && port <= high)))
            return true;
    }
    return false;
}

/* A connection: by name, which resolved to an address, or by address alone (host NULL). */
struct connection {
    const char *host, *address;
    uint16_t port;
};

/* Whether an item of a list of what is allowed (or denied) is about a connection. */
static bool item_has(const yyjson_val *item, const struct connection *c)
{
    yyjson_val *blocks = member(item, "to") ? member(item, "to") : member(item, "toCIDRSet"),
               *block;
    yyjson_val *names = member(item, "toFQDNs");
    size_t index, count;
    if (yyjson_obj_size((yyjson_val *)item) == 0 || member(item, "toEndpoints") ||
        member(item, "icmps"))
        return false;
    if (!ports_have(member(item, "ports") ? member(item, "ports") : member(item, "toPorts"),
                    c->port))
        return false;
    if (names)
        return c->host && names_have(names, c->host);
    if (!blocks)
        return true;
    yyjson_arr_foreach(blocks, index, count, block)
    {
        const yyjson_val *inner = member(block, "ipBlock");
        if (block_has(inner ? inner : block, c->address))
            return true;
    }
    return false;
}

static bool list_has(const yyjson_val *list, const struct connection *c)
{
    size_t index, count;
    yyjson_val *item;
    if (!list)
        return false;
    yyjson_arr_foreach((yyjson_val *)list, index, count, item)
    {
        if (item_has(item, c))
            return true;
    }
    return false;
}

/* --- many plans ---------------------------------------------------------------------------- */

struct trial {
    struct fixture policy;
    struct planned plan;
    yyjson_doc *of[FIREWALL_TARGET_COUNT];
    struct buf texts[FIREWALL_TARGET_COUNT], said; /* said: the documents */
};

static size_t allowed_by[FIREWALL_TARGET_COUNT], allowed;

static void trial_open(struct trial *trial)
{
    int documents = 1 + (int)pick(DOCUMENTS_MAX);
    trial->said = BUF_INIT;
    fixture_init(&trial->policy);
    planned_init(&trial->plan, -1, "");
    for (int i = 0; i < documents; i++) {
        char name[16];
        struct buf text = BUF_INIT;
        snprintf(name, sizeof(name), "d%d.json", i);
        write_document(&text, i);
        fixture_add(&trial->policy, LAYER_ENTERPRISE, name, text.data);
        CHECK_INT(planned_add(&trial->plan, text.data), 0);
        buf_addf(&trial->said, "%s\n", text.data);
        buf_release(&text);
    }
    fixture_build(&trial->policy);
    for (int target = 0; target < FIREWALL_TARGET_COUNT; target++) {
        trial->texts[target] = BUF_INIT;
        trial->of[target] = NULL;
        CHECK_INT(planned_render(&trial->plan, (enum firewall_target)target), 0);
        buf_add_str(&trial->texts[target], buf_str(&trial->plan.text));
        if (target != FIREWALL_NFTABLES && target != FIREWALL_GATEWAY)
            CHECK_INT((target == FIREWALL_LULU ? json_read : yaml_read)(
                          buf_str(&trial->plan.text), &json_limits_default, &trial->of[target],
                          &trial->plan.err),
                      0);
    }
}

static void trial_close(struct trial *trial)
{
    for (int target = 0; target < FIREWALL_TARGET_COUNT; target++) {
        yyjson_doc_free(trial->of[target]);
        buf_release(&trial->texts[target]);
    }
    buf_release(&trial->said);
    planned_release(&trial->plan);
    fixture_release(&trial->policy);
}

static enum answer decide(struct trial *trial, const struct connection *c)
{
    struct policy_destination destination = { .host = str_from(c->host ? c->host : c->address),
                                              .port = c->port,
                                              .protocol = STR("tcp") };
    struct address_range address;
    CHECK(address_range_read(str_from(c->address), &address));
    CHECK_INT(policy_decide_address(trial->policy.policy, &destination, &address,
                                    &trial->policy.verdict, NULL),
              0);
    return trial->policy.verdict.answer;
}

static void ask(struct trial *trial, const struct connection *c)
{
    static const enum firewall_target clusters[] = { FIREWALL_KUBERNETES, FIREWALL_CILIUM };
    const struct connection plain = { NULL, c->address, c->port };
    enum answer by_address = decide(trial, &plain), answer = decide(trial, c);
    const struct verdict *verdict = &trial->policy.verdict;
    const yyjson_val *lulu = yyjson_doc_get_root(trial->of[FIREWALL_LULU]);
    enum found found = lulu_finds(lulu, c->host, c->address, c->port);
    allowed += answer == ANSWER_ALLOW;
    if (!lulu_is_right(verdict, by_address, found, c->host && strstr(trial->said.data, "/0'")))
        test_fail(__FILE__, __LINE__, "%s (%s):%u is %s by %.*s, and %d for LuLu:\n%s%s",
                  c->host ? c->host : "-", c->address, c->port, answer_names[answer],
                  STR_ARG(verdict->rule), (int)found, trial->said.data,
                  trial->texts[FIREWALL_LULU].data);
    for (size_t i = 0; i < ARRAY_LEN(clusters); i++) {
        const yyjson_val *spec = at(yyjson_doc_get_root(trial->of[clusters[i]]), "/spec");
        bool lets = list_has(member(spec, "egress"), c) && !list_has(member(spec, "egressDeny"), c);
        bool knows = !c->host || clusters[i] == FIREWALL_CILIUM;
        allowed_by[clusters[i]] += lets && answer == ANSWER_ALLOW;
        if (lets && answer != ANSWER_ALLOW && by_address != ANSWER_ALLOW && knows)
            test_fail(__FILE__, __LINE__, "%s (%s):%u is %s by %.*s, and %s allows it:\n%s%s",
                      c->host ? c->host : "-", c->address, c->port, answer_names[answer],
                      STR_ARG(verdict->rule), firewall_target_names[clusters[i]], trial->said.data,
                      trial->texts[clusters[i]].data);
    }
}

TEST(no_target_lets_through_what_a_verdict_does_not)
{
    static struct trial trial;
    for (unsigned i = 1; i <= PLANS; i++) {
        seed = i * 0x9e3779b97f4a7c15u;
        trial_open(&trial);
        for (size_t p = 0; p < ARRAY_LEN(ports_asked); p++) {
            for (size_t a = 0; a < ARRAY_LEN(addresses); a++) {
                ask(&trial, &(struct connection){ NULL, addresses[a], ports_asked[p] });
                for (size_t h = 0; h < ARRAY_LEN(hosts); h++)
                    ask(&trial, &(struct connection){ hosts[h], addresses[a], ports_asked[p] });
            }
        }
        trial_close(&trial);
    }
    CHECK(allowed > PLANS); /* and they let through something */
    CHECK(allowed_by[FIREWALL_KUBERNETES] > allowed / 8);
    CHECK(allowed_by[FIREWALL_CILIUM] > allowed / 4);
}
