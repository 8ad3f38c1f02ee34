/*
 * verdict_property: what holds of every policy, over thousands of random ones.
 *
 * A model is a random set of documents over a small world of names and
 * addresses, so that rules meet often. It is rendered as documents and
 * compiled; beside it stands a naive evaluator, which goes through all rules of
 * the model for every question and was written from the design's sentences,
 * without tries, units or sorting. AM_TEST_SEED begins at another set.
 */
#include <arpa/inet.h>

#include "authority/verdict_test.h"

#define SETS          2500
#define DOCUMENTS_MAX 9
#define GROUPS_MAX    3
#define FACTS_MAX     6

/* --- the world ------------------------------------------------------------------------------ */

static const char *const patterns[] = {
    "a.test",        "*.a.test",        ".a.test",    "b.a.test",
    "*.b.a.test",    ".b.a.test",       "c.b.a.test", ".test",
    "*.test",        "x.test",          ".x.test",    "*",
    "10.0.0.0/8",    "10.1.0.0/16",     "10.1.2.3",   "8.0.0.0/6",
    "8.8.0.0/16",    "8.8.8.8/32",      "0.0.0.0/0",  "134744072",
    "2001:db8::/32", "2001:db8:1::/48", "::/0",       "::ffff:8.8.8.8",
    "fd00::/8",      "169.254.0.0/16",
};
#define FIRST_RANGE 12
static const char *const hosts[] = {
    "a.test",      "b.a.test", "c.b.a.test",    "d.c.b.a.test",    "x.test",
    "y.x.test",    "test",     "other.example", "8.8.8.8",         "8.8.4.4",
    "9.9.9.9",     "10.1.2.3", "10.1.9.9",      "10.9.9.9",        "2001:db8:1::1",
    "2001:db8::1", "2a00::1",  "fd00::1",       "169.254.169.254", "169.254.1.1",
};
#define FIRST_ADDRESS 8
static const uint16_t ports[] = { 443, 22, 80 };
static const char *const protocols[] = { "", "https", "http", "tcp", "udp" };

enum type { NETWORK_PROFILE, FIREWALL_PROFILE, MESH_PROFILE, SURFACE_PROFILE, CHOICE, TYPE_COUNT };
enum class { USER_CLASS, CORPORATE_CLASS, OFFLINE_CLASS, PROXY_CLASS, VPN_CLASS, CLASS_COUNT };
static const char *const class_words[CLASS_COUNT] = { "user-firewall", "corporate-firewall",
                                                      "offline", "proxy", "vpn" };
static const char *const egress_words[] = { "deny", "allow-listed", "allow-with-prompt",
                                            "allow-any" };
static const char *const decision_words[] = { "deny", "ask", "allow-with-policy" };
static const char *const mode_words[] = { "enforce", "enforce", "enforce", "observe", "plan" };
static const char *const conflict_words[] = { "most-restrictive-wins", "enterprise-wins",
                                              "user-wins", "deny-on-conflict" };

struct fact {
    unsigned pattern;
    enum answer answer;
    unsigned ports; /* bits by index; 0: any */
    unsigned protocol;
};

struct group {
    enum class class;
    unsigned egress;
    struct fact facts[FACTS_MAX];
    unsigned count;
};

struct model_document {
    enum type type;
    enum layer layer;
    unsigned decision, mode;
    int conflict; /* -1: not stated */
    struct group groups[GROUPS_MAX];
    unsigned count;
};

struct model {
    struct model_document documents[DOCUMENTS_MAX + 2];
    unsigned count;
};

static uint64_t random_state;

static unsigned pick(unsigned below)
{
    random_state += 0x9e3779b97f4a7c15ull;
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (unsigned)((z ^ (z >> 31)) % below);
}

static bool is_range(unsigned pattern)
{
    return pattern >= FIRST_RANGE;
}

/* The lists of a network profile take no ports, and its ranges no odd spellings. */
static struct fact random_fact(enum type type)
{
    struct fact fact = { .pattern = pick(ARRAY_LEN(patterns)) };
    fact.answer = pick(2) ? ANSWER_ALLOW : ANSWER_DENY;
    if (type == MESH_PROFILE)
        fact.pattern = pick(FIRST_RANGE);
    if (type == SURFACE_PROFILE || type == CHOICE)
        while (strcmp(patterns[fact.pattern], "*") == 0)
            fact.pattern = pick(ARRAY_LEN(patterns));
    if (type == SURFACE_PROFILE)
        fact.answer = ANSWER_ALLOW;
    if (type == FIREWALL_PROFILE && !pick(4))
        fact.answer = ANSWER_ASK;
    if (type == FIREWALL_PROFILE || type == SURFACE_PROFILE) {
        fact.ports = pick(3) ? 0 : 1 + pick(7);
        fact.protocol = pick(3) ? 0 : pick(ARRAY_LEN(protocols));
    }
    if (type == SURFACE_PROFILE && fact.protocol == ARRAY_LEN(protocols) - 1)
        fact.protocol = 0; /* udp is none of its words */
    return fact;
}

static struct model_document random_document(void)
{
    struct model_document document = { .type = pick(TYPE_COUNT), .conflict = -1 };
    document.layer = (enum layer)pick(LAYER_USER + 1);
    if (document.type == SURFACE_PROFILE)
        document.layer = LAYER_AGENT;
    if (document.type == CHOICE)
        document.layer = LAYER_USER;
    document.decision = pick(ARRAY_LEN(decision_words));
    document.mode = pick(ARRAY_LEN(mode_words));
    if (document.type == FIREWALL_PROFILE && !pick(3))
        document.conflict = (int)pick(ARRAY_LEN(conflict_words));
    document.count = document.type == NETWORK_PROFILE ? 1 + pick(GROUPS_MAX) : 1;
    for (unsigned i = 0; i < document.count; i++) {
        struct group *group = &document.groups[i];
        group->class = (enum class)pick(CLASS_COUNT);
        group->egress = pick(ARRAY_LEN(egress_words));
        group->count = document.type == CHOICE ? 1 : pick(FACTS_MAX);
        for (unsigned j = 0; j < group->count; j++)
            group->facts[j] = random_fact(document.type);
    }
    return document;
}

static void random_model(struct model *model)
{
    *model = (struct model){ .count = 1 + pick(DOCUMENTS_MAX) };
    for (unsigned i = 0; i < model->count; i++)
        model->documents[i] = random_document();
}

/* --- rendering ------------------------------------------------------------------------------ */

static void add_list(struct buf *out, const char *name, const struct group *group,
                     enum answer answer, int ranges)
{
    const char *separator = "";
    buf_addf(out, ",'%s':[", name);
    for (unsigned i = 0; i < group->count; i++) {
        const struct fact *fact = &group->facts[i];
        bool odd = strcmp(patterns[fact->pattern], "134744072") == 0; /* stands among names */
        if (fact->answer != answer || (ranges >= 0 && (is_range(fact->pattern) && !odd) != ranges))
            continue;
        buf_addf(out, "%s'%s'", separator, patterns[fact->pattern]);
        separator = ",";
    }
    buf_add_text(out, "]");
}

static void add_limits(struct buf *out, const struct fact *fact)
{
    const char *separator = "";
    if (fact->ports) {
        buf_add_text(out, ",'ports':[");
        for (unsigned i = 0; i < ARRAY_LEN(ports); i++) {
            if (!(fact->ports >> i & 1))
                continue;
            buf_addf(out, "%s%u", separator, ports[i]);
            separator = ",";
        }
        buf_add_text(out, "]");
    }
    if (fact->protocol)
        buf_addf(out, ",'protocols':['%s']", protocols[fact->protocol]);
}

static void render(const struct model_document *document, struct buf *out)
{
    const struct group *only = &document->groups[0];
    static const char *const answers[] = { "", "allow", "ask", "deny" };
    buf_reset(out);
    if (document->type == NETWORK_PROFILE) {
        buf_addf(out, "{'type':'NetworkAccessProfile','defaultDecision':'%s','profiles':[",
                 decision_words[document->decision]);
        for (unsigned i = 0; i < document->count; i++) {
            const struct group *group = &document->groups[i];
            buf_addf(out, "%s{'profileId':'p%u','profileClass':'%s','defaultEgress':'%s'",
                     i ? "," : "", i, class_words[group->class], egress_words[group->egress]);
            add_list(out, "allowDomains", group, ANSWER_ALLOW, false);
            add_list(out, "denyDomains", group, ANSWER_DENY, false);
            add_list(out, "allowCidrs", group, ANSWER_ALLOW, true);
            add_list(out, "denyCidrs", group, ANSWER_DENY, true);
            buf_add_text(out, "}");
        }
        buf_add_text(out, "]}");
    } else if (document->type == MESH_PROFILE) {
        buf_add_text(out, "{'type':'MeshBindingProfile','traffic':{'egressMode':'ambient'");
        add_list(out, "allowedHosts", only, ANSWER_ALLOW, -1);
        add_list(out, "deniedHosts", only, ANSWER_DENY, -1);
        buf_add_text(out, "}}");
    } else {
        bool surface = document->type == SURFACE_PROFILE;
        buf_addf(out, "{'type':'%s','mode':'%s'",
                 surface ? "AgentToolSurface" : "FirewallBindingProfile",
                 mode_words[document->mode]);
        if (document->conflict >= 0)
            buf_addf(out, ",'conflictPolicy':'%s'", conflict_words[document->conflict]);
        buf_addf(out, ",'%s':[", surface ? "hosts" : "rules");
        for (unsigned i = 0; i < only->count; i++) {
            const struct fact *fact = &only->facts[i];
            buf_addf(out, "%s{'ruleId':'r%u','subject':'*','decision':'%s','%s':'%s'", i ? "," : "",
                     i, answers[fact->answer], surface ? "host" : "destination",
                     patterns[fact->pattern]);
            add_limits(out, fact);
            buf_add_text(out, "}");
        }
        buf_add_text(out, "]}");
    }
}

/* Compiles a model; documents are added in an order that `turn` shifts. */
static void compile(const struct model *model, unsigned turn, struct fixture *ret)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    struct err err = { 0 };
    fixture_init(ret);
    for (unsigned i = 0; i < model->count; i++) {
        unsigned index =
            turn % 2 ? (2 * model->count - 1 - i + turn) % model->count : (i + turn) % model->count;
        const struct model_document *document = &model->documents[index];
        char name[16];
        snprintf(name, sizeof(name), "d%u", index);
        if (document->type == CHOICE) {
            const struct fact *fact = &document->groups[0].facts[0];
            if (policy_add_choice(ret->builder, str_from(patterns[fact->pattern]),
                                  fact->answer == ANSWER_ALLOW, &err) < 0)
                test_fail(__FILE__, __LINE__, "%s", err.cause);
            continue;
        }
        render(document, &text);
        fixture_add(ret, document->layer, name, text.data);
    }
    fixture_build(ret);
}

/* --- the naive evaluator -------------------------------------------------------------------- */

struct query {
    unsigned host;
    uint16_t port;
    unsigned protocol;
    const char *resolved; /* or NULL */
};

static bool read_cidr(const char *text, unsigned char ret[16], int *ret_bits)
{
    char copy[64];
    snprintf(copy, sizeof(copy), "%s", text);
    char *slash = strchr(copy, '/');
    if (slash)
        *slash = '\0';
    memset(ret, 0, 16);
    if (strcmp(copy, "134744072") == 0)
        snprintf(copy, sizeof(copy), "8.8.8.8");
    if (strncmp(copy, "::ffff:", 7) == 0)
        memmove(copy, copy + 7, strlen(copy + 7) + 1);
    bool is_v4 = inet_pton(AF_INET, copy, ret) == 1;
    if (!is_v4 && inet_pton(AF_INET6, copy, ret) != 1)
        return false;
    *ret_bits = slash ? (int)strtol(slash + 1, NULL, 10) : is_v4 ? 32 : 128;
    return true;
}

static bool is_v6(const char *text)
{
    return strchr(text, ':') && strncmp(text, "::ffff:", 7) != 0;
}

/* How specific a pattern matches: -1 not at all, 0 as `*`, more the more specific. */
static int match(const char *pattern, const char *host)
{
    unsigned char range[16], address[16];
    int bits, host_bits;
    if (strcmp(pattern, "*") == 0)
        return 0;
    bool range_like = read_cidr(pattern, range, &bits);
    bool address_like = read_cidr(host, address, &host_bits);
    if (range_like != address_like)
        return -1;
    if (range_like) {
        if (is_v6(pattern) != is_v6(host))
            return -1;
        for (int i = 0; i < bits; i++)
            if ((range[i / 8] ^ address[i / 8]) >> (7 - i % 8) & 1)
                return -1;
        return 1 + bits;
    }
    bool below = pattern[0] == '*';
    const char *name = below ? pattern + 2 : pattern[0] == '.' ? pattern + 1 : pattern;
    size_t name_len = strlen(name), host_len = strlen(host);
    int labels = 1;
    for (const char *c = name; *c; c++)
        labels += *c == '.';
    if (strcmp(name, host) == 0)
        return below ? -1 : pattern[0] == '.' ? 2 * labels : 2 * labels + 1;
    bool is_under = host_len > name_len && host[host_len - name_len - 1] == '.' &&
                    strcmp(host + host_len - name_len, name) == 0;
    return is_under && pattern[0] != name[0] ? 2 * labels : -1;
}

/* Whether ports and protocol of a fact let it apply. `lenient`: of an unknown port, also asks. */
static bool fact_applies(const struct fact *fact, const struct query *query, bool lenient,
                         bool surface)
{
    unsigned allowed_ports = surface && !fact->ports ? 1 : fact->ports;
    unsigned protocol = surface && !fact->protocol ? 1 : fact->protocol;
    const char *rule = protocols[protocol];
    const char *asked = protocols[query->protocol];
    bool carried = !asked[0] || strcmp(asked, "tcp") == 0;
    if (rule[0] && strcmp(rule, asked) != 0) {
        bool is_tcp = strcmp(rule, "tcp") == 0;
        bool is_udp = strcmp(rule, "udp") == 0;
        bool may_be = carried && ((strcmp(rule, "https") == 0 && query->port != 80) ||
                                  (strcmp(rule, "http") == 0 && query->port != 443));
        if (is_udp || (is_tcp && strcmp(asked, "udp") == 0) || (!is_tcp && !may_be))
            return false;
    }
    if (!allowed_ports)
        return true;
    if (!query->port)
        return fact->answer == ANSWER_ALLOW || (fact->answer == ANSWER_ASK && lenient);
    for (unsigned i = 0; i < ARRAY_LEN(ports); i++)
        if (allowed_ports >> i & 1 && ports[i] == query->port)
            return true;
    return false;
}

/* The best of what was found so far, and how specific it was. */
struct best {
    int rank; /* -1: nothing */
    int strictness;
    enum answer answer;
    int bits; /* of a range */
};

static void consider(struct best *best, int rank, enum answer answer, bool choice, int bits)
{
    int strictness = answer == ANSWER_DENY ? 3 : choice ? 2 : answer == ANSWER_ASK ? 1 : 0;
    if (rank > best->rank || (rank == best->rank && strictness > best->strictness))
        *best = (struct best){ rank, strictness, answer, bits };
}

static enum layer layer_of(const struct model_document *document, const struct group *group)
{
    bool moves = document->type == NETWORK_PROFILE && group->class == USER_CLASS;
    return moves && document->layer < LAYER_USER ? LAYER_USER : document->layer;
}

static bool answers_all(const struct group *group)
{
    return group->class == USER_CLASS || group->class == CORPORATE_CLASS ||
           group->class == OFFLINE_CLASS;
}

static int bits_of(const char *pattern)
{
    unsigned char range[16];
    int bits;
    return read_cidr(pattern, range, &bits) ? bits : 0;
}

/* What one document says for a layer about a host: what it lists, and where `all`, of the rest. */
static void consult(const struct model_document *document, enum layer layer, const char *host,
                    const struct query *query, bool lenient, bool all, struct best *best)
{
    bool has_default = false;
    if (document->type == FIREWALL_PROFILE && strcmp(mode_words[document->mode], "enforce") != 0)
        return;
    for (unsigned i = 0; i < document->count; i++) {
        const struct group *group = &document->groups[i];
        bool network = document->type == NETWORK_PROFILE;
        if (layer_of(document, group) != layer)
            continue;
        for (unsigned j = 0; j < group->count; j++) {
            const struct fact *fact = &group->facts[j];
            const char *pattern = patterns[fact->pattern];
            int rank = match(pattern, host);
            if (rank < 0 || (rank == 0 && (network || !all)))
                continue;
            if (fact_applies(fact, query, lenient, document->type == SURFACE_PROFILE))
                consider(best, rank, fact->answer,
                         document->type == CHOICE && fact->answer == ANSWER_ALLOW,
                         bits_of(pattern));
        }
        if (!network || !answers_all(group))
            continue;
        if (layer == document->layer)
            has_default = true;
        if (all)
            consider(best, 0,
                     group->egress == 3   ? ANSWER_ALLOW
                     : group->egress == 2 ? ANSWER_ASK
                                          : ANSWER_DENY,
                     false, 0);
    }
    if (all && document->type == NETWORK_PROFILE && document->layer == layer && !has_default &&
        document->decision != 2)
        consider(best, 0, document->decision ? ANSWER_ASK : ANSWER_DENY, false, 0);
}

static const struct best none = { -1, -1, ANSWER_NOTHING, 0 };

/* A range of length 0 is as broad as all names are; what lists the name is more specific. */
static void narrow_by(const struct best *resolved, const struct best *name, struct best *ret)
{
    *ret = *name;
    if (resolved->rank < 0 || (resolved->rank == 1 && name->rank > 0))
        return;
    if (resolved->answer > (name->rank < 0 ? ANSWER_ALLOW : name->answer))
        *ret = *resolved;
}

static const struct {
    const char *range;
    int bits;
} specials[] = {
    { "169.254.169.254/32", 32 }, { "169.254.0.0/16", 16 }, { "10.0.0.0/8", 8 }, { "fc00::/7", 7 }
};

static int special_bits(const char *address)
{
    for (size_t i = 0; i < ARRAY_LEN(specials); i++)
        if (match(specials[i].range, address) >= 0)
            return specials[i].bits;
    return -1;
}

static enum answer across(const struct model *model, const enum answer given[LAYER_COUNT])
{
    enum answer answers[LAYER_COUNT];
    int policy = 0;
    enum answer strictest = ANSWER_NOTHING;
    bool differ = false;
    memcpy(answers, given, sizeof(answers));
    for (int layer = LAYER_COUNT - 1; layer >= 0; layer--) {
        static const int strictness[] = { 2, 1, 0, 3 }; /* of several in one layer, the strictest */
        int stated = -1;
        for (unsigned i = 0; i < model->count; i++) {
            const struct model_document *document = &model->documents[i];
            if (document->type == FIREWALL_PROFILE && document->layer == (enum layer)layer &&
                document->conflict >= 0 && strcmp(mode_words[document->mode], "enforce") == 0 &&
                (stated < 0 || strictness[document->conflict] > strictness[stated]))
                stated = document->conflict;
        }
        policy = stated < 0 ? policy : stated;
    }
    if (policy == 1 && answers[LAYER_ENTERPRISE] >= ANSWER_ASK)
        return answers[LAYER_ENTERPRISE];
    if (policy == 2 && answers[LAYER_USER])
        answers[LAYER_WORKSPACE] = answers[LAYER_DEVICE] = ANSWER_NOTHING;
    for (int layer = 0; layer < LAYER_COUNT; layer++) {
        differ = differ || (answers[layer] && strictest && answers[layer] != strictest);
        strictest = answers[layer] > strictest ? answers[layer] : strictest;
    }
    return !strictest || (differ && policy == 3) ? ANSWER_DENY : strictest;
}

static enum answer naive_once(const struct model *model, const struct query *query, bool lenient)
{
    const char *host = hosts[query->host];
    const char *address = query->resolved ? query->resolved : host;
    enum answer by_name[LAYER_COUNT] = { 0 }, narrowed[LAYER_COUNT] = { 0 };
    int bits = query->resolved || query->host >= FIRST_ADDRESS ? special_bits(address) : -1;
    bool named = false;
    for (int layer = 0; layer < LAYER_COUNT; layer++) {
        struct best name = none, resolved = none, both;
        for (unsigned i = 0; i < model->count; i++) {
            const struct model_document *document = &model->documents[i];
            consult(document, (enum layer)layer, host, query, lenient, true, &name);
            if (query->resolved)
                consult(document, (enum layer)layer, address, query, lenient, false, &resolved);
            bool last = i + 1 == model->count;
            if (layer != LAYER_ENTERPRISE && !last)
                continue; /* of other layers all documents are one */
            narrow_by(&resolved, &name, &both);
            if (name.rank >= 0 && name.answer > by_name[layer])
                by_name[layer] = name.answer;
            if (both.rank >= 0 && both.answer > narrowed[layer])
                narrowed[layer] = both.answer;
            const struct best *ranged = query->resolved ? &resolved : &name;
            bool skipped = query->resolved && resolved.rank == 1 && name.rank > 0;
            named = named || (ranged->rank > 0 && !skipped && ranged->answer != ANSWER_DENY &&
                              ranged->bits >= bits);
            name = resolved = none;
        }
    }
    enum answer answer = across(model, by_name);
    if (query->resolved && answer != ANSWER_DENY)
        answer = across(model, narrowed);
    return bits >= 0 && !named ? ANSWER_DENY : answer;
}

static enum answer naive(const struct model *model, const struct query *query)
{
    enum answer answer = naive_once(model, query, false);
    if (answer != ANSWER_DENY || query->port || query->resolved)
        return answer;
    return naive_once(model, query, true) == ANSWER_ASK ? ANSWER_ASK : ANSWER_DENY;
}

/* --- the questions -------------------------------------------------------------------------- */

#define QUERIES 48

static struct query random_query(void)
{
    static const uint16_t asked[] = { 443, 22, 80, 8080, 0 };
    static const char *const resolved[] = { "8.8.8.8", "10.1.2.3",      "10.9.9.9",
                                            "9.9.9.9", "2001:db8:1::1", "169.254.169.254" };
    struct query query = { .host = pick(ARRAY_LEN(hosts)),
                           .port = asked[pick(ARRAY_LEN(asked))],
                           .protocol = pick(2) ? 0 : pick(ARRAY_LEN(protocols)) };
    if (query.host < FIRST_ADDRESS && query.port && !pick(3))
        query.resolved = resolved[pick(ARRAY_LEN(resolved))];
    return query;
}

static enum answer compiled(struct fixture *fixture, const struct query *query)
{
    struct policy_destination destination = { .host = str_from(hosts[query->host]),
                                              .port = query->port,
                                              .protocol = str_from(protocols[query->protocol]) };
    struct address_range range;
    struct err err = { 0 };
    int r = 0;
    if (query->resolved && address_range_read(str_from(query->resolved), &range))
        r = policy_decide_address(fixture->policy, &destination, &range, &fixture->verdict, &err);
    else
        r = policy_decide(fixture->policy, &destination, &fixture->verdict, &err);
    if (r < 0)
        test_fail(__FILE__, __LINE__, "%s", err.cause);
    return fixture->verdict.answer;
}

static void complain(const struct model *model, uint64_t seed, const struct query *query,
                     const char *what, enum answer before, enum answer after)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT, all = BUF_INIT;
    for (unsigned i = 0; i < model->count; i++) {
        render(&model->documents[i], &text);
        buf_addf(&all, "\n  %s %s", layer_names[model->documents[i].layer], text.data);
        if (model->documents[i].type == CHOICE)
            buf_addf(&all, " (a choice)");
    }
    test_fail(__FILE__, __LINE__, "set %llu: %s: %s:%u %s %s: %s, %s%s", (unsigned long long)seed,
              what, hosts[query->host], query->port, protocols[query->protocol],
              query->resolved ? query->resolved : "", answer_names[before], answer_names[after],
              all.data);
}

static uint64_t first_seed(void)
{
    const char *seed = getenv("AM_TEST_SEED");
    return seed ? strtoull(seed, NULL, 10) : 1;
}

#define FOR_EACH_SET(seed)                                                                         \
    for (uint64_t seed = first_seed(), end_ = seed + SETS; seed < end_; seed++)

/* --- properties ----------------------------------------------------------------------------- */

TEST(the_compiled_verdict_is_the_naive_evaluators)
{
    size_t counts[ANSWER_COUNT] = { 0 };
    FOR_EACH_SET(seed)
    {
        struct model model;
        struct fixture f;
        random_state = seed;
        random_model(&model);
        compile(&model, 0, &f);
        for (int i = 0; i < QUERIES; i++) {
            struct query query = random_query();
            enum answer expected = naive(&model, &query);
            enum answer actual = compiled(&f, &query);
            counts[actual]++;
            if (actual != expected)
                complain(&model, seed, &query, "naive, compiled", expected, actual);
        }
        fixture_release(&f);
    }
    /* The worlds are such that every answer is common. */
    CHECK(counts[ANSWER_ALLOW] > SETS && counts[ANSWER_ASK] > SETS && counts[ANSWER_DENY] > SETS);
}

/* Adds a denial to a document that can hold one, or in a document of its own. */
static void add_deny(struct model *model)
{
    struct model_document *document = &model->documents[pick(model->count)];
    struct group *group = &document->groups[pick(document->count)];
    bool fits =
        document->type != SURFACE_PROFILE && document->type != CHOICE && group->count < FACTS_MAX;
    struct model_document own = { .type = FIREWALL_PROFILE, .count = 1, .conflict = -1 };
    if (!fits || !pick(3)) {
        own.layer = (enum layer)pick(LAYER_USER + 1);
        model->documents[model->count++] = own;
        document = &model->documents[model->count - 1];
        group = &document->groups[0];
    }
    struct fact fact = random_fact(document->type);
    fact.answer = ANSWER_DENY;
    group->facts[group->count++] = fact;
}

TEST(adding_a_deny_never_turns_anything_into_allow)
{
    size_t changed = 0;
    FOR_EACH_SET(seed)
    {
        struct model before, after;
        struct fixture f, g;
        random_state = seed;
        random_model(&before);
        after = before;
        add_deny(&after);
        compile(&before, 0, &f);
        compile(&after, 0, &g);
        for (int i = 0; i < QUERIES; i++) {
            struct query query = random_query();
            enum answer one = compiled(&f, &query), other = compiled(&g, &query);
            changed += one != other;
            if (one != ANSWER_ALLOW && other == ANSWER_ALLOW)
                complain(&after, seed, &query, "before and after one more denial", one, other);
        }
        fixture_release(&f);
        fixture_release(&g);
    }
    CHECK(changed > SETS / 4);
}

static bool remove_allow(struct model *model)
{
    for (int tries = 0; tries < 20; tries++) {
        struct model_document *document = &model->documents[pick(model->count)];
        struct group *group = &document->groups[pick(document->count)];
        unsigned at = group->count ? pick(group->count) : 0;
        if (!group->count || group->facts[at].answer != ANSWER_ALLOW || document->type == CHOICE)
            continue;
        group->facts[at] = group->facts[--group->count];
        return true;
    }
    return false;
}

TEST(removing_an_allow_never_turns_anything_into_allow)
{
    size_t changed = 0;
    FOR_EACH_SET(seed)
    {
        struct model before, after;
        struct fixture f, g;
        random_state = seed;
        random_model(&before);
        after = before;
        if (!remove_allow(&after))
            continue;
        compile(&before, 0, &f);
        compile(&after, 0, &g);
        for (int i = 0; i < QUERIES; i++) {
            struct query query = random_query();
            enum answer one = compiled(&f, &query), other = compiled(&g, &query);
            changed += one != other;
            if (one != ANSWER_ALLOW && other == ANSWER_ALLOW)
                complain(&before, seed, &query, "before and after one allow less", one, other);
        }
        fixture_release(&f);
        fixture_release(&g);
    }
    CHECK(changed > SETS / 8);
}

TEST(a_deny_of_the_enterprise_survives_every_user_document_and_conflict_policy)
{
    size_t denials = 0;
    FOR_EACH_SET(seed)
    {
        struct model before, after;
        struct fixture f, g;
        random_state = seed;
        random_model(&before);
        after = before;
        for (int i = 0; i < 2; i++) {
            struct model_document *more = &after.documents[after.count++];
            do
                *more = random_document();
            while (more->layer == LAYER_ENTERPRISE);
        }
        for (unsigned i = 0; i < after.count; i++)
            after.documents[i].conflict = after.documents[i].type == FIREWALL_PROFILE
                                              ? (int)pick(ARRAY_LEN(conflict_words))
                                              : -1;
        compile(&before, 0, &f);
        compile(&after, 0, &g);
        for (int i = 0; i < QUERIES; i++) {
            struct query query = random_query();
            (void)compiled(&f, &query);
            /* Without a port it may be that the enterprise asks at one and denies the rest. */
            if (!query.port || f.verdict.layers[LAYER_ENTERPRISE].answer != ANSWER_DENY)
                continue;
            denials++;
            enum answer other = compiled(&g, &query);
            if (f.verdict.answer != ANSWER_DENY || other != ANSWER_DENY)
                complain(&after, seed, &query, "denied by the enterprise", f.verdict.answer, other);
        }
        fixture_release(&f);
        fixture_release(&g);
    }
    CHECK(denials > SETS);
}

TEST(the_order_of_documents_does_not_matter)
{
    FOR_EACH_SET(seed)
    {
        struct model model;
        struct fixture f, g;
        random_state = seed;
        random_model(&model);
        compile(&model, 0, &f);
        compile(&model, 1 + pick(DOCUMENTS_MAX), &g);
        CHECK_TEXT(policy_digest(f.policy), policy_digest(g.policy));
        for (int i = 0; i < QUERIES; i++) {
            struct query query = random_query();
            enum answer one = compiled(&f, &query), other = compiled(&g, &query);
            if (one != other)
                complain(&model, seed, &query, "in two orders", one, other);
            CHECK_TEXT(f.verdict.reason, g.verdict.reason);
            CHECK_TEXT(f.verdict.smallest_change, g.verdict.smallest_change);
        }
        fixture_release(&f);
        fixture_release(&g);
    }
}
